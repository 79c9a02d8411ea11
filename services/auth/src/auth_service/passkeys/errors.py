from chassis.errors import Conflict, ErrorKind, NotFound, PersistedError


class PasskeyRefused(PersistedError):
    """Persisted, because the challenge is used up. The same for all that can be wrong."""

    code = "INVALID_PASSKEY"
    kind = ErrorKind.UNAUTHENTICATED
    message = "This passkey was not accepted: begin again with new options."


class PasskeyNotAccepted(PersistedError):
    """Persisted, because the challenge is used up."""

    code = "PASSKEY_NOT_ACCEPTED"
    kind = ErrorKind.INVALID
    message = "This passkey can't be registered: begin again with new options."


class PasskeyTaken(Conflict):
    code = "PASSKEY_TAKEN"
    message = "This passkey is registered already."


class TooManyPasskeys(Conflict):
    code = "TOO_MANY_PASSKEYS"
    message = "An account has at most 20 passkeys: remove one first."


class LastCredential(Conflict):
    code = "LAST_CREDENTIAL"
    message = "Without this passkey nobody could log in any more: set a password first."


class PasskeyNotFound(NotFound):
    """The same answer whether the passkey never was, is gone or is somebody else's."""
