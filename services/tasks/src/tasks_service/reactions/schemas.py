from datetime import datetime
from typing import Any
from uuid import UUID

from pydantic import BaseModel


class ReactionResource(BaseModel):
    """A reaction of somebody to a comment as events show it. One that is given again has another id."""

    id: UUID
    workspace_id: UUID
    task_id: UUID
    comment_id: UUID
    user_id: UUID
    emoji: str
    version: int
    created_at: datetime


REACTION_EXAMPLE: dict[str, Any] = {
    "id": "0199d3b2-7b20-5c44-8a7b-3c2f6c0f5a31",
    "workspace_id": "0199d3b2-6f00-7c11-9b5e-0f6f6a9d2c01",
    "task_id": "0199d3b2-7a52-7f0e-8f3a-1d1f6c0f5a11",
    "comment_id": "0199d3b2-7b10-7c33-9f6a-2b1f6c0f5a21",
    "user_id": "0199d3b2-5e00-7b00-8c6f-2d7e4a8b1c03",
    "emoji": "👍",
    "version": 1,
    "created_at": "2026-11-24T09:06:00Z",
}
