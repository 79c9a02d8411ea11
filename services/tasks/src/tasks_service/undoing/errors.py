from types import MappingProxyType

from chassis.errors import AppError, Conflict, ErrorKind


class UndoExpired(AppError):
    code = "UNDO_EXPIRED"
    kind = ErrorKind.GONE
    message = "This was done too long ago to be undone."


class UndoTooLarge(Conflict):
    """`data.limit` is how many changes a request may have made to be undone."""

    code = "UNDO_TOO_LARGE"
    message = "This made more changes than are turned back at once."
    data_example = MappingProxyType({"limit": 2000})
