from chassis.errors import Conflict, InvalidInput


class UnsubscribeLinkInvalid(InvalidInput):
    code = "UNSUBSCRIBE_LINK_INVALID"
    message = "This link is none of ours, or was changed on the way: change your preferences instead."


class EmailNotVerified(Conflict):
    code = "EMAIL_NOT_VERIFIED"
    message = "Mail goes to verified addresses alone: verify yours first."
