from chassis.errors import Conflict, InvalidInput


class NotAnEmoji(InvalidInput):
    code = "NOT_AN_EMOJI"
    message = "One emoji is needed here, percent-encoded in UTF-8."


class TooManyReactions(Conflict):
    code = "TOO_MANY_REACTIONS"
    message = "A comment takes at most 20 different emoji."
