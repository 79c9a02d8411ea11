from chassis.errors import AppError, ErrorKind


class CredentialRevoked(AppError):
    """What a session or an API token has started is not gone on with after its end."""

    code = "CREDENTIAL_REVOKED"
    kind = ErrorKind.FORBIDDEN
    message = "The session or API token that started this was ended meanwhile."


class CredentialExpired(AppError):
    code = "CREDENTIAL_EXPIRED"
    kind = ErrorKind.FORBIDDEN
    message = "The API token that started this has expired meanwhile."
