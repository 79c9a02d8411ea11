from chassis.errors import AppError, ErrorKind


class UndoExpired(AppError):
    code = "UNDO_EXPIRED"
    kind = ErrorKind.GONE
    message = "This was done too long ago to be undone."
