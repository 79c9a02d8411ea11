from types import MappingProxyType

from chassis.errors import AppError, ErrorKind, NotFound, PersistedError


class InvalidRefreshToken(AppError):
    code = "INVALID_REFRESH_TOKEN"
    kind = ErrorKind.UNAUTHENTICATED
    message = "This refresh token is unknown or has expired: log in again."


class RefreshReused(PersistedError):
    """Persisted, because the session ends with it."""

    code = "REFRESH_REUSED"
    kind = ErrorKind.UNAUTHENTICATED
    message = "This refresh token was used before, so its session has been ended: log in again."


class StepUpRequired(AppError):
    """Carries the accepted proofs in `data.methods`."""

    code = "STEP_UP_REQUIRED"
    kind = ErrorKind.FORBIDDEN
    message = "Prove again that it is you: POST /api/v1/auth/step-up."
    data_example = MappingProxyType({"methods": ["password"]})


class SessionNotFound(NotFound):
    """The same answer whether the session never was, has ended or is somebody else's."""
