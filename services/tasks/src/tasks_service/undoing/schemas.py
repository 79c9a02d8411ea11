from typing import Any
from uuid import UUID

from pydantic import BaseModel, Field

from tasks_service.changes.schemas import ChangeDraft


class UndoneChange(BaseModel):
    """One change that an undo made."""

    workspace_id: UUID
    project_id: UUID | None
    task_id: UUID | None = Field(description="The task that it is about.")
    type: str = Field(description="What happened, as events name it.", examples=["task.updated"])
    entity_type: str
    entity_id: UUID
    version: int = Field(description="The version that it made.")

    @classmethod
    def of(cls, workspace_id: UUID, draft: ChangeDraft) -> "UndoneChange":
        """Make the entry of a change."""
        return cls.model_construct(
            workspace_id=workspace_id,
            project_id=draft.project_id,
            task_id=draft.task_id,
            type=draft.type.removesuffix(".v1"),
            entity_type=draft.entity_type,
            entity_id=draft.entity_id,
            version=draft.version,
        )


UNDONE_EXAMPLE: dict[str, Any] = {
    "workspace_id": "0199d3b2-6f00-7c11-9b5e-0f6f6a9d2c01",
    "project_id": "0199d3b2-6f01-7d22-8a4d-5b1e3c7f9a02",
    "task_id": "0199d3b2-7a52-7f0e-8f3a-1d1f6c0f5a11",
    "type": "task.updated",
    "entity_type": "task",
    "entity_id": "0199d3b2-7a52-7f0e-8f3a-1d1f6c0f5a11",
    "version": 3,
}
