from datetime import datetime
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
