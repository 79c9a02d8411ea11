from datetime import datetime
from typing import Any, ClassVar
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy import RowMapping

from tasks_service.permissions.rules import ShareRole


class TaskShareResource(BaseModel):
    """A task that is shown to somebody who need not see its project, as events show it."""

    id: UUID
    workspace_id: UUID
    project_id: UUID
    task_id: UUID
    user_id: UUID
    role: ShareRole
    shared_by: UUID
    version: int
    created_at: datetime


class TaskShareOut(TaskShareResource):
    """A task that is shown to somebody who need not see its project."""

    name: str | None = Field(description="`Deleted user` of somebody who is gone; null until it is known.")

    @classmethod
    def of(cls, row: RowMapping, task: RowMapping) -> "TaskShareOut":
        """Make the resource of a row and that of its task."""
        return cls.model_construct(**resource_of(row, task), name=row["name"])


class TaskSharePut(BaseModel):
    """What somebody may do with a task from now on, whatever their role in its project."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{"role": "commenter"}]})
    read_only_fields: ClassVar[frozenset[str]] = frozenset(TaskShareOut.model_fields) - {"role"}

    role: ShareRole


def resource_of(row: RowMapping, task: RowMapping) -> dict[str, Any]:
    """Return what there is to say of a share of a task."""
    shown = {name: row[name] for name in TaskShareResource.model_fields if name != "project_id"}
    return {**shown, "project_id": task["project_id"]}


TASK_SHARE_EXAMPLE: dict[str, Any] = {
    "id": "0199d3b2-7a55-7f0e-8f3a-1d1f6c0f5a12",
    "workspace_id": "0199d3b2-6f10-7c11-9b5e-0f6f6a9d2c02",
    "project_id": "0199d3b2-6f11-7d22-8a4d-5b1e3c7f9a08",
    "task_id": "0199d3b2-7a54-7f0e-8f3a-1d1f6c0f5a13",
    "user_id": "0199d3b2-5e00-7b00-8c6f-2d7e4a8b1c04",
    "role": "commenter",
    "shared_by": "0199d3b2-5e00-7b00-8c6f-2d7e4a8b1c03",
    "version": 1,
    "created_at": "2026-11-24T09:00:00Z",
}
TASK_SHARE_OUT_EXAMPLE = {**TASK_SHARE_EXAMPLE, "name": "Mia"}
