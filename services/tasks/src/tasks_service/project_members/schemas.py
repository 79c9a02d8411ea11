from datetime import datetime
from typing import Any, ClassVar
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy import RowMapping

from tasks_service.permissions.rules import ProjectRole


class ProjectMemberResource(BaseModel):
    """A membership in a project, as events show it."""

    id: UUID
    workspace_id: UUID
    project_id: UUID
    user_id: UUID
    role: ProjectRole
    version: int
    created_at: datetime

    @classmethod
    def of(cls, row: RowMapping) -> "ProjectMemberResource":
        """Make the resource of a row."""
        return cls.model_validate({name: row[name] for name in cls.model_fields})


class ProjectMemberOut(BaseModel):
    """Somebody who has a role in the project of its own."""

    id: UUID
    workspace_id: UUID
    project_id: UUID
    user_id: UUID
    name: str | None = Field(description="`Deleted user` of somebody who is gone; null until it is known.")
    avatar_url: str | None
    role: ProjectRole = Field(description="The role that was given here.")
    effective_role: ProjectRole = Field(
        description=(
            "The role that they have: the highest of this one and what the workspace gives them, which is `manager` "
            "for owners and admins, and for members the project's `member_role`, unless it is private."
        )
    )
    version: int
    created_at: datetime

    @classmethod
    def of(cls, row: RowMapping) -> "ProjectMemberOut":
        """Make the resource of a row."""
        return cls.model_validate({name: row[name] for name in cls.model_fields})


class ProjectMemberPut(BaseModel):
    """The role that somebody has in the project from now on."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{"role": "editor"}]})
    read_only_fields: ClassVar[frozenset[str]] = frozenset(ProjectMemberOut.model_fields)

    role: ProjectRole


PROJECT_MEMBER_EXAMPLE: dict[str, Any] = {
    "id": "0199d3b2-6f05-7a22-8d5e-1a6f6a9d2c07",
    "workspace_id": "0199d3b2-6f10-7c11-9b5e-0f6f6a9d2c02",
    "project_id": "0199d3b2-6f11-7d22-8a4d-5b1e3c7f9a08",
    "user_id": "0199d3b2-5e00-7b00-8c6f-2d7e4a8b1c03",
    "role": "editor",
    "version": 1,
    "created_at": "2026-11-24T09:00:00Z",
}
PROJECT_MEMBER_VIEW_EXAMPLE = {**PROJECT_MEMBER_EXAMPLE, "effective_role": "editor", "name": "Ada", "avatar_url": None}
