from chassis.errors import InvalidInput


class ShareeNotFound(InvalidInput):
    code = "USER_NOT_FOUND"
    message = "There is no such member of this workspace."
