"""What an API token may do now, by what its owner may."""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import RowMapping

from auth_service.api_tokens.rules import ADMINISTRATION
from auth_service.users.policies import refusal_of
from auth_service.users.rules import ADMIN


def is_active(token: RowMapping, *, now: datetime, verification_required: bool) -> bool:
    """Tell whether a token, read with its owner's state, may be used: not without an owner who may have a session."""
    if token["revoked_at"] is not None or token["expires_at"] <= now:
        return False
    return may_act(token, verification_required=verification_required)


def may_act(account: RowMapping, *, verification_required: bool) -> bool:
    """Tell whether an account may have credentials in force now; of service accounts no address is expected."""
    if account["kind"] == "service":
        return bool(account["status"] == "active")
    return refusal_of(account, verification_required=verification_required) is None


def scopes_at_use(scopes: Sequence[str], roles: Sequence[str]) -> list[str]:
    """Return what of a token's scopes its owner's roles allow."""
    return [scope for scope in scopes if scope != ADMINISTRATION or ADMIN in roles]
