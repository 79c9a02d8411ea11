from chassis.errors import AppError, ErrorKind


class UnknownTimezone(AppError):
    code = "UNKNOWN_TIMEZONE"
    kind = ErrorKind.INVALID
    message = "A timezone is an IANA name such as Europe/Berlin."
