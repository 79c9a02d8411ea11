from datetime import datetime
from typing import Any
from uuid import UUID

from pydantic import BaseModel
from sqlalchemy import RowMapping

from tasks_service.changes.schemas import derived_id


class StarOut(BaseModel):
    """A task that somebody wants to find again; nobody else is told."""

    id: UUID
    workspace_id: UUID
    project_id: UUID
    task_id: UUID
    user_id: UUID
    created_at: datetime

    @classmethod
    def of(cls, row: RowMapping, task: RowMapping) -> "StarOut":
        """Make the resource of a row and that of its task."""
        return cls.model_construct(
            id=derived_id("star", task["id"], row["user_id"]),
            workspace_id=task["workspace_id"],
            project_id=task["project_id"],
            task_id=task["id"],
            user_id=row["user_id"],
            created_at=row["created_at"],
        )


STAR_EXAMPLE: dict[str, Any] = {
    "id": "2d0ee6b2-2d6d-5d2c-9d7e-0f2b4a8b1c03",
    "workspace_id": "0199d3b2-6f00-7c11-9b5e-0f6f6a9d2c01",
    "project_id": "0199d3b2-6f01-7d22-8a4d-5b1e3c7f9a02",
    "task_id": "0199d3b2-7a52-7f0e-8f3a-1d1f6c0f5a11",
    "user_id": "0199d3b2-5e00-7b00-8c6f-2d7e4a8b1c03",
    "created_at": "2026-11-24T09:00:00Z",
}
