from datetime import datetime
from typing import Any
from uuid import UUID

from pydantic import BaseModel, Field


class ReminderResource(BaseModel):
    """A reminder as its event shows it; it is for its user alone."""

    id: UUID
    workspace_id: UUID
    project_id: UUID
    task_id: UUID
    user_id: UUID = Field(description="Who is reminded.")
    remind_at: datetime = Field(description="When it was to be.")
    is_urgent: bool = Field(description="Whether it may come in quiet hours, if its user has chosen so.")
    version: int


REMINDER_EXAMPLE: dict[str, Any] = {
    "id": "0199d3b2-8b00-7c55-9a41-3e5d7f9b1c24",
    "workspace_id": "0199d3b2-6f00-7c11-9b5e-0f6f6a9d2c01",
    "project_id": "0199d3b2-6f01-7d22-8a4d-5b1e3c7f9a02",
    "task_id": "0199d3b2-7a52-7f0e-8f3a-1d1f6c0f5a11",
    "user_id": "0199d3b2-5e00-7b00-8c6f-2d7e4a8b1c03",
    "remind_at": "2026-12-01T08:00:00Z",
    "is_urgent": False,
    "version": 1,
}
