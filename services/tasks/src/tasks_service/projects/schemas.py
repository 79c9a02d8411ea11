from datetime import datetime
from typing import Annotated, Any, ClassVar
from uuid import UUID

from chassis.patching import MergePatch, NotNull, without_default
from pydantic import BaseModel, ConfigDict, Field, StringConstraints
from sqlalchemy import RowMapping

from tasks_service.permissions.rules import ProjectRole, ShareRole
from tasks_service.projects.rules import BlockerRule, Visibility
from tasks_service.tasks.schemas import Description

Name = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=200)]
Prefix = Annotated[str, StringConstraints(pattern=r"^[A-Z][A-Z0-9]{1,9}$")]

PREFIX_SAYS = "What the keys of its tasks begin with: 2 to 10 capital letters and digits, a letter first."
VISIBILITY_SAYS = "Who sees it: the members of the workspace, or its own members alone."
MEMBER_ROLE_SAYS = "What members of the workspace may do here, unless it is private."
BLOCKERS_SAY = "What happens when a blocked task is completed."
PARENT_SAYS = "The project that it is in; projects nest three deep."


class ProjectOut(BaseModel):
    """A list of tasks within a workspace."""

    id: UUID
    workspace_id: UUID
    name: str
    description: str | None
    parent_id: UUID | None = Field(description=PARENT_SAYS)
    prefix: str = Field(description="What the keys of its tasks begin with.")
    is_inbox: bool = Field(description="Whether tasks that name no project go here.")
    visibility: Visibility = Field(description=VISIBILITY_SAYS)
    member_role: ShareRole = Field(description=MEMBER_ROLE_SAYS)
    enforce_blockers: BlockerRule = Field(description=BLOCKERS_SAY)
    archived_at: datetime | None = Field(description="Since when nothing in it can be changed.")
    deleted_at: datetime | None
    created_by: UUID
    version: int = Field(description="Raised by every change; the entity tag.")
    created_at: datetime
    updated_at: datetime

    @classmethod
    def of(cls, row: RowMapping) -> "ProjectOut":
        """Make the resource of a row."""
        return cls.model_validate({name: row[name] for name in cls.model_fields})


class ProjectView(ProjectOut):
    """A project as it is read."""

    role: ProjectRole = Field(description="Your role in it.")


READ_ONLY = frozenset(ProjectOut.model_fields)


class ProjectCreate(BaseModel):
    """A new project. Only the name is needed; without a workspace it is in the caller's personal one."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{"name": "Garden"}]})
    read_only_fields: ClassVar[frozenset[str]] = READ_ONLY

    name: Name = Field(description="1 to 200 characters.", examples=["Garden"])
    description: Description | None = Field(default=None, description="Up to 10,000 characters, in Markdown.")
    workspace_id: UUID | None = Field(default=None, description="Workspace; your personal one when absent.")
    parent_id: UUID | None = Field(default=None, description=PARENT_SAYS)
    prefix: Prefix | None = Field(default=None, description=f"{PREFIX_SAYS} Made of the name when absent.")
    visibility: Visibility = Field(
        default="workspace",
        description=f"{VISIBILITY_SAYS} When absent that of the project that it is in; `workspace` in none.",
        json_schema_extra=without_default,
    )
    member_role: ShareRole = Field(default="editor", description=MEMBER_ROLE_SAYS)
    enforce_blockers: BlockerRule = Field(default="off", description=BLOCKERS_SAY)


class ProjectPatch(MergePatch):
    """A JSON merge patch (RFC 7396): absent keeps, null clears."""

    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"examples": [{"name": "Kitchen garden"}, {"parent_id": None}]}
    )
    read_only_fields: ClassVar[frozenset[str]] = READ_ONLY

    name: Annotated[Name, NotNull] = Field(default="", json_schema_extra=without_default)
    description: Description | None = Field(default=None, json_schema_extra=without_default)
    parent_id: UUID | None = Field(default=None, description=PARENT_SAYS, json_schema_extra=without_default)
    prefix: Annotated[Prefix, NotNull] = Field(
        default="", description=f"{PREFIX_SAYS} Former keys stay valid.", json_schema_extra=without_default
    )
    visibility: Annotated[Visibility, NotNull] = Field(
        default="workspace", description=VISIBILITY_SAYS, json_schema_extra=without_default
    )
    member_role: Annotated[ShareRole, NotNull] = Field(
        default="editor", description=MEMBER_ROLE_SAYS, json_schema_extra=without_default
    )
    enforce_blockers: Annotated[BlockerRule, NotNull] = Field(
        default="off", description=BLOCKERS_SAY, json_schema_extra=without_default
    )


class ProjectLocation(BaseModel):
    """Where a project is; for the other services."""

    project_id: UUID
    workspace_id: UUID


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
OWN_PROJECT_EXAMPLE = {
    **PROJECT_VIEW_EXAMPLE,
    "id": "0199d3b2-6f11-7d22-8a4d-5b1e3c7f9a08",
    "name": "Garden",
    "prefix": "GARDE",
    "is_inbox": False,
}
PROJECT_LOCATION_EXAMPLE = {"project_id": PROJECT_EXAMPLE["id"], "workspace_id": PROJECT_EXAMPLE["workspace_id"]}
