from chassis.errors import MalformedRequest, UnsupportedMediaType


class FormRequired(UnsupportedMediaType):
    """The code is that of every body of the wrong type; the sentence says what is right here."""

    message = "Send the file as multipart/form-data, without a content encoding."


class FormMalformed(MalformedRequest):
    code = "MALFORMED_FORM"
    message = "The body is not a whole multipart form."
