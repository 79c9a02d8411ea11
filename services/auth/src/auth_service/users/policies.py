"""Whether an account may have a session now."""

from collections.abc import Mapping
from typing import Any

from chassis.errors import PersistedError
from sqlalchemy import RowMapping

from auth_service.users.errors import (
    AccountDeactivated,
    AccountDeleting,
    AccountDisabled,
    EmailNotVerified,
    PasswordResetRequired,
)

REFUSALS: Mapping[str, type[PersistedError]] = {
    "deactivated": AccountDeactivated,
    "disabled": AccountDisabled,
    "deleting": AccountDeleting,
    # A tombstone has no credentials that could fit; this is for tokens that are older than it.
    "deleted": AccountDisabled,
}


def refusal_of(account: RowMapping | Mapping[str, Any], *, verification_required: bool) -> PersistedError | None:
    """Return what stands between this account and a session, or None.

    To be told only to somebody who has proved to be its owner: it says that there is such an account.
    """
    refusal = REFUSALS.get(account["status"])
    if refusal is not None:
        return refusal()
    if verification_required and account["email_verified_at"] is None:
        return EmailNotVerified()
    return PasswordResetRequired() if account["password_reset_required"] else None
