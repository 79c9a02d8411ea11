"""Which mails there are about accounts."""

from datetime import timedelta
from enum import StrEnum
from uuid import UUID


class MailKind(StrEnum):
    """What a mail is about. To its owner's address, where nothing else is said."""

    VERIFY_EMAIL = "verify_email"
    ALREADY_REGISTERED = "already_registered"
    RESET_PASSWORD = "reset_password"  # noqa: S105 - a name, not a password
    RESET_PASSWORD_FORCED = "reset_password_forced"  # noqa: S105 - same
    CONFIRM_EMAIL_CHANGE = "confirm_email_change"
    """Goes to the new address."""
    EMAIL_CHANGED = "email_changed"
    """Goes to the old address."""
    PASSWORD_CHANGED = "password_changed"  # noqa: S105 - same
    SESSION_COMPROMISED = "session_compromised"
    SIGN_IN_BLOCKED = "sign_in_blocked"
    """Too many failures: only known networks may log in until the password is reset."""
    SECOND_FACTOR_ADDED = "second_factor_added"
    SECOND_FACTOR_REMOVED = "second_factor_removed"
    RECOVERY_CODES_RENEWED = "recovery_codes_renewed"
    RECOVERY_CODE_USED = "recovery_code_used"
    PASSKEY_ADDED = "passkey_added"
    PASSKEY_REMOVED = "passkey_removed"
    PASSKEY_SUSPECT = "passkey_suspect"
    """A counter went back: there may be a copy of the passkey."""
    API_TOKEN_CREATED = "api_token_created"  # noqa: S105 - same
    SSO_LINKED = "sso_linked"
    SSO_UNLINKED = "sso_unlinked"
    ACCOUNT_DISABLED = "account_disabled"
    ACCOUNT_ENABLED = "account_enabled"
    ACCOUNT_DEACTIVATED = "account_deactivated"
    ACCOUNT_REACTIVATED = "account_reactivated"
    DELETION_SCHEDULED = "deletion_scheduled"
    ACCOUNT_DELETED = "account_deleted"
    ROLE_CHANGED = "role_changed"


NOTICES_PER_HOUR = 20
NOTICE_LIFE = timedelta(days=7)
"""Longer no notice waits for a server that takes it."""
NOTICES = "notices"
"""What all notices together are counted as."""
ASKED_BY_ADDRESS = frozenset(
    {
        MailKind.VERIFY_EMAIL,
        MailKind.CONFIRM_EMAIL_CHANGE,
        MailKind.RESET_PASSWORD,
        MailKind.RESET_PASSWORD_FORCED,
        MailKind.ALREADY_REGISTERED,
    }
)
"""No notices: they are for an address that may be unproved. What others can bring on is counted by kind."""
TO_ANY_ADDRESS = frozenset({MailKind.PASSWORD_CHANGED, MailKind.ACCOUNT_DELETED})
"""Notices that go to an address that was never confirmed, too: the owner of a new account is to know of its loss."""
ALWAYS_SENT = frozenset({MailKind.SESSION_COMPROMISED, MailKind.PASSWORD_CHANGED, MailKind.EMAIL_CHANGED})
"""Notices of a confirmed address that a flood of others must not keep away."""


ABOUT_A_REQUEST = frozenset(
    {
        MailKind.EMAIL_CHANGED,
        MailKind.PASSWORD_CHANGED,
        MailKind.SESSION_COMPROMISED,
        MailKind.SIGN_IN_BLOCKED,
        MailKind.SECOND_FACTOR_ADDED,
        MailKind.SECOND_FACTOR_REMOVED,
        MailKind.RECOVERY_CODES_RENEWED,
        MailKind.RECOVERY_CODE_USED,
        MailKind.PASSKEY_ADDED,
        MailKind.PASSKEY_REMOVED,
        MailKind.PASSKEY_SUSPECT,
        MailKind.API_TOKEN_CREATED,
        MailKind.SSO_LINKED,
        MailKind.SSO_UNLINKED,
        MailKind.ACCOUNT_DEACTIVATED,
        MailKind.ACCOUNT_REACTIVATED,
        MailKind.DELETION_SCHEDULED,
    }
)
"""Mails by which an owner can tell a stranger's request: they say from where it came.

The others may go to an address that nobody has proved, or are about what an admin did, whose address is not the owner's
affair.
"""


def token_place(mail_id: UUID) -> str:
    """Return where a mail's token belongs: sealed for this place, it opens for no other mail."""
    return f"account_mail|token|{mail_id}"
