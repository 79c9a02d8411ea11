from chassis.errors import AppError, ErrorKind


class TooManySockets(AppError):
    code = "TOO_MANY_SOCKETS"
    kind = ErrorKind.RATE_LIMITED
    message = "Too many open WebSockets: close one first."


class CursorExpired(Exception):
    """The cursor is older than what is kept."""
