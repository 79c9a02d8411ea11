from datetime import datetime
from typing import Any
from uuid import UUID

from pydantic import BaseModel, Field


class ProjectOut(BaseModel):
    """A list of tasks within a workspace."""

    id: UUID
    workspace_id: UUID
    name: str
    is_inbox: bool = Field(description="Whether tasks that name no project go here.")
    created_by: UUID
    version: int
    created_at: datetime
    updated_at: datetime


PROJECT_EXAMPLE: dict[str, Any] = {
    "id": "0199d3b2-6f01-7d22-8a4d-5b1e3c7f9a02",
    "workspace_id": "0199d3b2-6f00-7c11-9b5e-0f6f6a9d2c01",
    "name": "Inbox",
    "is_inbox": True,
    "created_by": "0199d3b2-5e00-7b00-8c6f-2d7e4a8b1c03",
    "version": 1,
    "created_at": "2026-11-24T08:59:00Z",
    "updated_at": "2026-11-24T08:59:00Z",
}
