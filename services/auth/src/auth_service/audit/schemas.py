from datetime import datetime
from typing import Any
from uuid import UUID

from pydantic import BaseModel, Field


class AuditEntryOut(BaseModel):
    """Something that happened to the security of an account."""

    id: UUID
    occurred_at: datetime
    action: str
    outcome: str = Field(description="`success` or `refused`.")
    actor_id: UUID | None = Field(description="Who did it; null where nobody is known, and for the system itself.")
    subject_id: UUID | None = Field(description="The account that it happened to.")
    credential_id: UUID | None = Field(description="The session or API token by which it was done.")
    address: str | None
    device: str | None
    request_id: str
    details: dict[str, Any]


AUDIT_EXAMPLE: dict[str, Any] = {
    "id": "0199d3b2-5e03-7d00-8e2b-4f9a6cad3e22",
    "occurred_at": "2026-11-24T09:00:00Z",
    "action": "login",
    "outcome": "success",
    "actor_id": "0199d3b2-5e00-7b00-8c6f-2d7e4a8b1c03",
    "subject_id": "0199d3b2-5e00-7b00-8c6f-2d7e4a8b1c03",
    "credential_id": "0199d3b2-5e01-7a00-9c6f-2d7e4a8b1c07",
    "address": "203.0.113.7",
    "device": "curl/7.88.1",
    "request_id": "0199d3b2-7fe0-7a10-9c41-5e2b7d904c33",
    "details": {"methods": ["password"]},
}
