from chassis.errors import InvalidInput


class StatusNotFound(InvalidInput):
    code = "STATUS_NOT_FOUND"
    message = "The project has no such status."
