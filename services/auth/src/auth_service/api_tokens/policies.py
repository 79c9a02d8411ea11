"""Whether an API token may be used now, by what its owner may."""

from datetime import datetime

from sqlalchemy import RowMapping

from auth_service.users.policies import refusal_of


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
