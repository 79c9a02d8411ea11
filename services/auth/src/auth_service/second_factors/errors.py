from chassis.errors import AppError, Conflict, ErrorKind, NotFound, PersistedError


class InvalidOtp(PersistedError):
    """Persisted, because the try is counted in the same transaction."""

    code = "INVALID_OTP"
    kind = ErrorKind.UNAUTHENTICATED
    message = "This code is wrong, has expired or was used before."


class TooManyOtpTries(AppError):
    code = "TOO_MANY_OTP_TRIES"
    kind = ErrorKind.RATE_LIMITED
    message = "Too many codes were tried on this account: wait as long as Retry-After says."


class TotpAlreadyEnabled(Conflict):
    code = "TOTP_ALREADY_ENABLED"
    message = "One-time codes are set up already: remove them first."


class TotpNotPending(Conflict):
    code = "TOTP_NOT_PENDING"
    message = "There is nothing to confirm, or it is too late: begin again with POST /api/v1/auth/mfa/totp."


class TotpNotEnabled(NotFound):
    """One-time codes that are not set up can't be removed."""


class NoSecondFactor(Conflict):
    code = "NO_SECOND_FACTOR"
    message = "Set up one-time codes or a passkey first: recovery codes stand in for these."
