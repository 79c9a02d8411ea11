from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Any, Literal, Self
from uuid import UUID

from chassis.patching import MergePatch, NotNull, without_default
from pydantic import BaseModel, ConfigDict, Field, StrictBool, model_validator
from pydantic_core import PydanticCustomError
from sqlalchemy import RowMapping

from tasks_service.permissions.rules import WorkspaceRole

MAX_IDS = 1_000


class MemberPatch(MergePatch):
    """A JSON merge patch (RFC 7396): absent fields keep their value."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{"role": "admin"}]})

    role: Annotated[WorkspaceRole, NotNull] = Field(
        default="member", description="The new role.", json_schema_extra=without_default
    )


class OwnershipTransfer(BaseModel):
    """Who is to own a workspace."""

    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"examples": [{"user_id": "0199d3b2-5e00-7b00-8c6f-2d7e4a8b1c04"}]}
    )

    user_id: UUID = Field(description="A member of the workspace.")


class Offboard(BaseModel):
    """What is to become of what a member has: exactly one of `reassign_to` and `unassign`."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [{"reassign_to": "0199d3b2-5e00-7b00-8c6f-2d7e4a8b1c05", "transfer_private": True}]
        },
    )

    reassign_to: UUID | None = Field(default=None, description="A member who gets the open tasks.")
    unassign: StrictBool = Field(default=False, description="Nobody gets the tasks.")
    transfer_private: StrictBool = Field(
        default=False,
        description=(
            "Whether private projects that nobody else manages get a manager: `reassign_to`, or you. Owners and admins "
            "see them anyway."
        ),
    )

    @model_validator(mode="after")
    def _says_one(self) -> Self:
        if (self.reassign_to is not None) is self.unassign:
            raise PydanticCustomError("REASSIGN_OR_UNASSIGN", "Give exactly one of reassign_to and unassign.")
        return self


class Affected(BaseModel):
    """Some things: how many, and the ids of the first 1,000."""

    count: int
    ids: list[UUID]

    @classmethod
    def of(cls, ids: Sequence[UUID]) -> "Affected":
        return cls(count=len(ids), ids=list(ids[:MAX_IDS]))


class OffboardReport(BaseModel):
    """What went with a membership."""

    workspace_id: UUID
    user_id: UUID
    reassigned: Affected = Field(description="Open tasks that `reassign_to` has got.")
    unassigned: Affected = Field(
        description="Tasks that they are just taken off: closed ones, and those that `reassign_to` can't see."
    )
    projects_transferred: Affected = Field(description="Private projects that have got a manager.")
    project_memberships: int = Field(description="Roles in projects that ended.")
    shares: int = Field(description="Shares of tasks with them that ended.")
    checklist_items: int = Field(description="Items of checklists that they are taken off.")
    unwatched: int = Field(description="Tasks that they watched, or had stopped to watch.")
    unstarred: int = Field(description="Stars that are gone.")
    unlabelled: int = Field(description="Personal labels on tasks that are gone.")
    filters: int = Field(description="Personal saved filters that are gone; shared ones stay.")


class MemberOut(BaseModel):
    """A member of a workspace."""

    id: UUID
    workspace_id: UUID
    user_id: UUID
    role: WorkspaceRole
    name: str | None = Field(description="What to call them, where it is known.")
    avatar_url: str | None
    kind: Literal["human", "service"] = Field(description="A person, or a service account.")
    deleted: bool = Field(description="Whether their account is deleted; what they made stays.")
    version: int = Field(description="Raised by every change; the entity tag.")
    created_at: datetime = Field(description="Since when they are a member.")

    @classmethod
    def of(cls, row: RowMapping) -> "MemberOut":
        """Make the resource of a row with what the directory knows."""
        return cls.model_validate({**row, "avatar_url": None if row["deleted"] else row["avatar_url"]})


MEMBER_VIEW_EXAMPLE: dict[str, Any] = {
    "id": "0199d3b2-6f00-7c22-8d5e-1a6f6a9d2c04",
    "workspace_id": "0199d3b2-6f10-7c11-9b5e-0f6f6a9d2c02",
    "user_id": "0199d3b2-5e00-7b00-8c6f-2d7e4a8b1c04",
    "role": "member",
    "name": "Mia",
    "avatar_url": None,
    "kind": "human",
    "deleted": False,
    "version": 1,
    "created_at": "2026-11-24T08:59:00Z",
}
OFFBOARD_EXAMPLE: dict[str, Any] = {
    "workspace_id": "0199d3b2-6f10-7c11-9b5e-0f6f6a9d2c02",
    "user_id": "0199d3b2-5e00-7b00-8c6f-2d7e4a8b1c04",
    "reassigned": {"count": 1, "ids": ["0199d3b2-7a54-7f0e-8f3a-1d1f6c0f5a13"]},
    "unassigned": {"count": 0, "ids": []},
    "projects_transferred": {"count": 1, "ids": ["0199d3b2-6f11-7d22-8a4d-5b1e3c7f9a08"]},
    "project_memberships": 2,
    "shares": 0,
    "checklist_items": 0,
    "unwatched": 14,
    "unstarred": 3,
    "unlabelled": 0,
    "filters": 1,
}
