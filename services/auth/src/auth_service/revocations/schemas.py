from datetime import datetime
from typing import Any
from uuid import UUID

from pydantic import BaseModel, Field


class RevokedSession(BaseModel):
    sid: UUID
    expires_at: datetime


class RevokedUser(BaseModel):
    user_id: UUID
    not_before: datetime
    expires_at: datetime


class RevocationsOut(BaseModel):
    """Marks after `since`. Ask again at once while `more` is true."""

    cursor: int = Field(description="The `since` of the next question.")
    more: bool
    sessions: list[RevokedSession]
    users: list[RevokedUser]


REVOCATIONS_EXAMPLE: dict[str, Any] = {
    "cursor": 41,
    "more": False,
    "sessions": [{"sid": "0199d3b2-5e01-7a00-9c6f-2d7e4a8b1c07", "expires_at": "2026-11-25T09:00:00Z"}],
    "users": [
        {
            "user_id": "0199d3b2-5e00-7b00-8c6f-2d7e4a8b1c03",
            "not_before": "2026-11-24T09:30:00Z",
            "expires_at": "2026-11-25T09:30:00Z",
        }
    ],
}
