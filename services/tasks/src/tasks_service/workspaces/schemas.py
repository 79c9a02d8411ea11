from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

from chassis.patching import MergePatch, NotNull, without_default
from pydantic import BaseModel, ConfigDict, Field, StrictBool, StringConstraints
from sqlalchemy import RowMapping

from tasks_service.permissions.rules import WorkspaceRole

Role = WorkspaceRole

WorkspaceName = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=200)]


class WorkspaceCreate(BaseModel):
    """A new workspace."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{"name": "Choir"}]})

    name: WorkspaceName = Field(description="What its members call it, 1 to 200 characters.")


class WorkspacePatch(MergePatch):
    """A JSON merge patch (RFC 7396): absent fields keep their value."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{"name": "Choir and band"}]})

    name: Annotated[WorkspaceName, NotNull] = Field(default="", json_schema_extra=without_default)
    require_if_match: Annotated[StrictBool, NotNull] = Field(
        default=False,
        description="Whether changes of what is in it have to come with `If-Match`.",
        json_schema_extra=without_default,
    )


class WorkspaceOut(BaseModel):
    """A team's or a person's own space: what is in it is visible to its members only."""

    id: UUID
    name: str
    personal: bool = Field(description="Whether this is the caller's own space, made at sign-up.")
    role: Role = Field(description="The caller's role.")
    require_if_match: bool = Field(description="Whether changes of what is in it have to come with `If-Match`.")
    created_by: UUID
    version: int
    created_at: datetime
    updated_at: datetime

    @classmethod
    def of(cls, row: RowMapping) -> "WorkspaceOut":
        """Make the resource of a row with the caller's `role`."""
        return cls.model_validate({**row, "personal": row["personal_owner_id"] is not None})


class WorkspaceResource(BaseModel):
    """A workspace as events show it: without anything about the reader."""

    id: UUID
    name: str
    personal: bool
    require_if_match: bool
    created_by: UUID
    version: int
    created_at: datetime
    updated_at: datetime
    deleted_at: datetime | None

    @classmethod
    def of(cls, row: RowMapping) -> "WorkspaceResource":
        """Make the resource of a row."""
        return cls.model_validate({**row, "personal": row["personal_owner_id"] is not None})


class MemberResource(BaseModel):
    """A membership as events show it. `joined_seq` is the position from which on the member sees changes."""

    id: UUID
    workspace_id: UUID
    user_id: UUID
    role: Role
    joined_seq: int
    version: int
    created_at: datetime


class MembershipOut(BaseModel):
    """One membership of the caller, for the other services."""

    workspace_id: UUID
    role: Role
    joined_seq: int


class MembershipsOut(BaseModel):
    memberships: list[MembershipOut]


WORKSPACE_EXAMPLE: dict[str, Any] = {
    "id": "0199d3b2-6f00-7c11-9b5e-0f6f6a9d2c01",
    "name": "Personal",
    "personal": True,
    "role": "owner",
    "require_if_match": False,
    "created_by": "0199d3b2-5e00-7b00-8c6f-2d7e4a8b1c03",
    "version": 1,
    "created_at": "2026-11-24T08:59:00Z",
    "updated_at": "2026-11-24T08:59:00Z",
}
MEMBERSHIPS_EXAMPLE: dict[str, Any] = {
    "memberships": [{"workspace_id": WORKSPACE_EXAMPLE["id"], "role": "owner", "joined_seq": 1}]
}
MEMBER_EXAMPLE: dict[str, Any] = {
    "id": "0199d3b2-6f00-7c22-8d5e-1a6f6a9d2c04",
    "workspace_id": "0199d3b2-6f00-7c11-9b5e-0f6f6a9d2c01",
    "user_id": "0199d3b2-5e00-7b00-8c6f-2d7e4a8b1c03",
    "role": "owner",
    "joined_seq": 1,
    "version": 1,
    "created_at": "2026-11-24T08:59:00Z",
}
