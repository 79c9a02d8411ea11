from chassis.errors import AppError, ErrorKind, PersistedError


class InvalidCredentials(PersistedError):
    """Persisted, because the failure is counted in the same transaction."""

    code = "INVALID_CREDENTIALS"
    kind = ErrorKind.UNAUTHENTICATED
    message = "E-mail and password do not fit together."


class TooManyFailures(AppError):
    code = "TOO_MANY_LOGIN_FAILURES"
    kind = ErrorKind.RATE_LIMITED
    message = "Too many failed logins from here: wait as long as Retry-After says."
