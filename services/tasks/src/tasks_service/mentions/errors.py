from chassis.errors import InvalidInput


class TooManyMentions(InvalidInput):
    code = "TOO_MANY_MENTIONS"
    message = "At most 50 people can be mentioned at once."
