from datetime import datetime
from typing import Any, Literal
from uuid import UUID

from pydantic import BaseModel, Field
from sqlalchemy import RowMapping


class TrashEntry(BaseModel):
    """Something in the trash; what went there with it comes back with it, and is not listed by itself."""

    type: Literal["task", "project"]
    id: UUID
    workspace_id: UUID
    project_id: UUID = Field(description="The project that it is in; of a project, itself.")
    key: str | None = Field(description="The key of a task.")
    title: str = Field(description="The title of a task, the name of a project.")
    deleted_at: datetime
    deleted_by: UUID | None

    @classmethod
    def of(cls, row: RowMapping) -> "TrashEntry":
        """Make the entry of a row; rows come from our own tables and are not validated again."""
        return cls.model_construct(**dict(row))


TRASH_EXAMPLE: dict[str, Any] = {
    "type": "task",
    "id": "0199d3b2-7a52-7f0e-8f3a-1d1f6c0f5a11",
    "workspace_id": "0199d3b2-6f00-7c11-9b5e-0f6f6a9d2c01",
    "project_id": "0199d3b2-6f01-7d22-8a4d-5b1e3c7f9a02",
    "key": "INBOX-12",
    "title": "Buy milk",
    "deleted_at": "2026-11-25T10:00:00Z",
    "deleted_by": "0199d3b2-5e00-7b00-8c6f-2d7e4a8b1c03",
}
