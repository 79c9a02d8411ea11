from datetime import datetime
from typing import Any

from pydantic import BaseModel, Field

from auth_service.audit.schemas import AUDIT_EXAMPLE, AuditEntryOut
from auth_service.users.schemas import USER_EXAMPLE, UserOut


class DataExportOut(BaseModel):
    """All that this service holds about a user, without what would let somebody in."""

    exported_at: datetime
    profile: UserOut
    records: dict[str, list[dict[str, Any]]] = Field(
        description="What there is beside the profile, by kind: sessions, API tokens, second factors, identities …"
    )
    audit: list[AuditEntryOut] = Field(description="What happened to the account, the newest first.")
    cut: list[str] = Field(
        description=(
            "The kinds of which there is more than the 10,000 that are here; `GET /api/v1/users/me/audit` has all of "
            "`audit`."
        )
    )


DATA_EXPORT_EXAMPLE: dict[str, Any] = {
    "exported_at": "2026-11-24T09:00:00Z",
    "profile": USER_EXAMPLE,
    "records": {
        "known_network": [
            {
                "account_id": USER_EXAMPLE["id"],
                "network": "203.0.113.0/24",
                "last_at": "2026-11-24T09:00:00Z",
            }
        ],
    },
    "audit": [AUDIT_EXAMPLE],
    "cut": [],
}
