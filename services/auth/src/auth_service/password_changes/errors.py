from chassis.errors import ErrorKind, InvalidInput, PersistedError


class WrongPassword(PersistedError):
    """Persisted, because the failure is counted; no 401, since the session is in order."""

    code = "WRONG_PASSWORD"
    kind = ErrorKind.FORBIDDEN
    message = "This is not the password of the account."


class PasswordUnchanged(InvalidInput):
    code = "PASSWORD_UNCHANGED"
    message = "This is the password that the account has: choose another one."
