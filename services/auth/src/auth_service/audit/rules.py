"""What is kept in the audit."""

from datetime import datetime
from enum import StrEnum
from typing import Literal
from uuid import UUID

Outcome = Literal["success", "refused"]


class AuditAction(StrEnum):
    """What happened. Names are stable: readers filter by them."""

    ACCOUNT_REGISTERED = "account.registered"
    EMAIL_VERIFIED = "email.verified"
    EMAIL_CHANGE_REQUESTED = "email.change_requested"
    EMAIL_CHANGED = "email.changed"
    PROFILE_CHANGED = "profile.changed"
    ACCOUNT_DEACTIVATED = "account.deactivated"
    ACCOUNT_REACTIVATED = "account.reactivated"
    DELETION_REQUESTED = "account.deletion_requested"
    ACCOUNT_DELETED = "account.deleted"
    DATA_EXPORTED = "account.data_exported"

    LOGIN = "login"
    LOGOUT = "logout"
    LOGOUT_ALL = "logout_all"
    SESSION_ENDED = "session.ended"
    REFRESH_REUSED = "session.refresh_reused"
    STEP_UP = "session.step_up"
    SIGN_IN_BLOCKED = "login.blocked_from_new_networks"

    PASSWORD_CHANGED = "password.changed"
    PASSWORD_RESET_REQUESTED = "password.reset_requested"
    PASSWORD_RESET = "password.reset"

    TOTP_ENABLED = "totp.enabled"
    TOTP_DISABLED = "totp.disabled"
    RECOVERY_CODES_RENEWED = "recovery_codes.renewed"
    RECOVERY_CODE_USED = "recovery_code.used"
    PASSKEY_ADDED = "passkey.added"
    PASSKEY_CHANGED = "passkey.changed"
    PASSKEY_REMOVED = "passkey.removed"
    PASSKEY_SUSPECT = "passkey.suspect"

    API_TOKEN_CREATED = "api_token.created"
    API_TOKEN_REVOKED = "api_token.revoked"
    API_TOKEN_FIRST_USED = "api_token.first_used"
    API_TOKEN_USED_ELSEWHERE = "api_token.used_elsewhere"
    SERVICE_ACCOUNT_CREATED = "service_account.created"
    SERVICE_ACCOUNT_CHANGED = "service_account.changed"
    SERVICE_ACCOUNT_DELETED = "service_account.deleted"

    OIDC_LINKED = "oidc.linked"
    OIDC_UNLINKED = "oidc.unlinked"
    OIDC_REFUSED = "oidc.refused"

    ACCOUNT_DISABLED = "admin.account_disabled"
    ACCOUNT_ENABLED = "admin.account_enabled"
    PASSWORD_RESET_FORCED = "admin.password_reset_forced"
    ROLES_CHANGED = "admin.roles_changed"

    KEYS_ROTATED = "signing_keys.rotated"


def lowest_id_at(instant: datetime) -> UUID:
    """Return an id that is lower than those of all entries from then on (RFC 9562, section 5.7: time comes first)."""
    return UUID(int=max(int(instant.timestamp() * 1000), 0) << 80)
