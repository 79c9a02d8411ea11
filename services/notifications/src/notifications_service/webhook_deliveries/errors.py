from chassis.errors import AppError, ErrorKind, InvalidInput, NotFound


class DeliveryMissing(NotFound):
    message = "There is no such delivery of this webhook."


class CursorExpired(AppError):
    code = "CURSOR_EXPIRED"
    kind = ErrorKind.GONE
    message = "What came after this cursor is not kept any more."


class NothingBetween(InvalidInput):
    code = "CURSORS_REVERSED"
    message = "`to_cursor` is before `from_cursor`."
