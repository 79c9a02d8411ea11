from chassis.errors import AppError, ErrorKind


class TooManySockets(AppError):
    code = "TOO_MANY_SOCKETS"
    kind = ErrorKind.RATE_LIMITED
    message = "Too many open WebSockets and event streams: close one first."


class CursorExpired(AppError):
    code = "CURSOR_EXPIRED"
    kind = ErrorKind.GONE
    message = "What follows this cursor is not kept any more: read what there is now, and begin anew."


class TooManySubscriptions(AppError):
    code = "TOO_MANY_SUBSCRIPTIONS"
    kind = ErrorKind.INVALID
    message = "Too many subscriptions at once: end one first, or take a wider one."


class UnknownMessage(AppError):
    code = "UNKNOWN_MESSAGE"
    kind = ErrorKind.INVALID
    message = "Send subscribe, unsubscribe or ping, as JSON objects with a `type`."
