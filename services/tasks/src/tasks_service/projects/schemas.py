from datetime import datetime
from typing import Any, Literal
from uuid import UUID

from pydantic import BaseModel, Field

from tasks_service.permissions.rules import ProjectRole, ShareRole

Visibility = Literal["workspace", "private"]
BlockerRule = Literal["off", "warn", "block"]


class ProjectOut(BaseModel):
    """A list of tasks within a workspace."""

    id: UUID
    workspace_id: UUID
    name: str
    description: str | None
    parent_id: UUID | None
    prefix: str = Field(description="What the keys of its tasks begin with.")
    is_inbox: bool = Field(description="Whether tasks that name no project go here.")
    visibility: Visibility = Field(description="Who sees it: the members of the workspace, or its own members alone.")
    member_role: ShareRole = Field(description="What members of the workspace may do here, unless it is private.")
    enforce_blockers: BlockerRule = Field(description="What happens when a blocked task is completed.")
    archived_at: datetime | None
    deleted_at: datetime | None
    created_by: UUID
    version: int
    created_at: datetime
    updated_at: datetime


class ProjectView(ProjectOut):
    """A project as it is read."""

    role: ProjectRole = Field(description="Your role in it.")


PROJECT_EXAMPLE: dict[str, Any] = {
    "id": "0199d3b2-6f01-7d22-8a4d-5b1e3c7f9a02",
    "workspace_id": "0199d3b2-6f00-7c11-9b5e-0f6f6a9d2c01",
    "name": "Inbox",
    "description": None,
    "parent_id": None,
    "prefix": "INBOX",
    "is_inbox": True,
    "visibility": "workspace",
    "member_role": "editor",
    "enforce_blockers": "off",
    "archived_at": None,
    "deleted_at": None,
    "created_by": "0199d3b2-5e00-7b00-8c6f-2d7e4a8b1c03",
    "version": 1,
    "created_at": "2026-11-24T08:59:00Z",
    "updated_at": "2026-11-24T08:59:00Z",
}
PROJECT_VIEW_EXAMPLE = {**PROJECT_EXAMPLE, "role": "manager"}
