from chassis.errors import Conflict, ErrorKind, InvalidInput, PersistedError, VersionConflict


class EmailTaken(Conflict):
    code = "EMAIL_TAKEN"
    message = "There is an account with this address already."


class EmailInvalid(InvalidInput):
    code = "EMAIL_INVALID"
    message = "This is not a valid e-mail address."


class ProfileVersionConflict(VersionConflict):
    """A stale If-Match; `data.current` is the profile as it is now."""


class UserVersionConflict(VersionConflict):
    """A stale If-Match; `data.current` is the account as it is now."""


class LastAdmin(Conflict):
    code = "LAST_ADMIN"
    message = "This is the last active administrator of the instance: make somebody else one first."


class AccountDisabled(PersistedError):
    """Persisted like all refusals of the right credentials, because the attempt is in the audit."""

    code = "ACCOUNT_DISABLED"
    kind = ErrorKind.FORBIDDEN
    message = "This account has been disabled by an administrator."


class AccountDeactivated(PersistedError):
    code = "ACCOUNT_DEACTIVATED"
    kind = ErrorKind.FORBIDDEN
    message = "You have deactivated this account: POST /api/v1/auth/reactivate takes it back."


class AccountDeleting(PersistedError):
    code = "ACCOUNT_DELETING"
    kind = ErrorKind.FORBIDDEN
    message = "This account is about to be deleted: POST /api/v1/auth/reactivate takes it back."


class EmailNotVerified(PersistedError):
    code = "EMAIL_NOT_VERIFIED"
    kind = ErrorKind.FORBIDDEN
    message = "Confirm your e-mail address first, by the link that was mailed to it."


class PasswordResetRequired(PersistedError):
    code = "PASSWORD_RESET_REQUIRED"
    kind = ErrorKind.FORBIDDEN
    message = "Choose a new password first: POST /api/v1/auth/password/forgot mails you a link."


ACCOUNT_REFUSALS = (AccountDisabled, AccountDeactivated, AccountDeleting, EmailNotVerified, PasswordResetRequired)
"""What may stand between the right credentials and a session."""
