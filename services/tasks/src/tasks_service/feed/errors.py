from chassis.errors import AppError, ErrorKind, InvalidInput


class CursorExpired(AppError):
    code = "CURSOR_EXPIRED"
    kind = ErrorKind.GONE
    message = "What came after this cursor is not kept any more."


class UnknownEvent(InvalidInput):
    code = "UNKNOWN_EVENT"
    message = "There is no such event: take a name, such as task.updated, all of a kind, such as task.*, or *."
