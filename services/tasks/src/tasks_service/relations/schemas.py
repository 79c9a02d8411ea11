from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field, StringConstraints
from sqlalchemy import RowMapping

from tasks_service.relations.rules import RelationType, StoredType, seen_from
from tasks_service.tasks.rules import NAME_PATTERN, StatusCategory

TaskName = Annotated[str, StringConstraints(pattern=NAME_PATTERN)]


class RelationCreate(BaseModel):
    """How the task of the path is related to another one."""

    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"examples": [{"type": "blocked_by", "task_id": "INBOX-13"}]}
    )

    type: RelationType
    task_id: TaskName = Field(description="The other task of the same workspace, by its id or its key.")


class RelatedTask(BaseModel):
    """The other task of a relation."""

    id: UUID
    key: str
    project_id: UUID
    title: str
    status: str
    status_category: StatusCategory


class RelationOut(BaseModel):
    """A relation as it is seen from one of its tasks."""

    id: UUID
    workspace_id: UUID
    type: RelationType
    task: RelatedTask
    created_by: UUID
    created_at: datetime

    @classmethod
    def of(cls, row: RowMapping, other: RowMapping, *, task_id: UUID) -> "RelationOut":
        """Make the resource of a relation and the row of its other task, as one end sees it."""
        return cls.model_construct(
            id=row["id"],
            workspace_id=row["workspace_id"],
            type=seen_from(row["type"], is_from=row["from_task_id"] == task_id),
            task=RelatedTask.model_construct(**{name: other[name] for name in RelatedTask.model_fields}),
            created_by=row["created_by"],
            created_at=row["created_at"],
        )


class RelationResource(BaseModel):
    """A relation as events show it; told to those who see both tasks, which are in these projects then."""

    id: UUID
    workspace_id: UUID
    type: StoredType
    from_task_id: UUID
    to_task_id: UUID
    from_project_id: UUID
    to_project_id: UUID
    created_by: UUID
    created_at: datetime


_TASK_ID = "0199d3b2-7a52-7f0e-8f3a-1d1f6c0f5a11"
_OTHER_ID = "0199d3b2-7a53-7f0e-8f3a-1d1f6c0f5a12"
_COMMON: dict[str, Any] = {
    "id": "0199d3b2-7a70-7c3d-9a11-5b1e3c7f9a31",
    "workspace_id": "0199d3b2-6f00-7c11-9b5e-0f6f6a9d2c01",
    "created_by": "0199d3b2-5e00-7b00-8c6f-2d7e4a8b1c03",
    "created_at": "2026-11-24T09:00:00Z",
}
_PROJECT_ID = "0199d3b2-6f01-7d22-8a4d-5b1e3c7f9a02"
RELATION_EXAMPLE: dict[str, Any] = {
    **_COMMON,
    "type": "blocked_by",
    "task": {
        "id": _OTHER_ID,
        "key": "INBOX-13",
        "project_id": _PROJECT_ID,
        "title": "Book the hall",
        "status": "todo",
        "status_category": "todo",
    },
}
RELATION_RESOURCE_EXAMPLE: dict[str, Any] = {
    **_COMMON,
    "type": "blocks",
    "from_task_id": _OTHER_ID,
    "to_task_id": _TASK_ID,
    "from_project_id": _PROJECT_ID,
    "to_project_id": _PROJECT_ID,
}
