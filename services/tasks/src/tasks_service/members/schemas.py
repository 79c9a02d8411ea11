from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy import RowMapping

from tasks_service.directory.rules import DELETED, DELETED_NAME
from tasks_service.permissions.rules import WorkspaceRole
from tasks_service.tasks.schemas import NotNull, without_default


class MemberPatch(BaseModel):
    """A JSON merge patch (RFC 7396): absent fields keep their value."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{"role": "admin"}]})

    role: Annotated[WorkspaceRole, NotNull] = Field(
        default="member", description="The new role.", json_schema_extra=without_default
    )

    def given(self) -> dict[str, Any]:
        """Return the fields that the patch names, and only those."""
        return {name: getattr(self, name) for name in self.model_fields_set}


class OwnershipTransfer(BaseModel):
    """Who is to own a workspace."""

    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"examples": [{"user_id": "0199d3b2-5e00-7b00-8c6f-2d7e4a8b1c04"}]}
    )

    user_id: UUID = Field(description="A member of the workspace.")


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
        deleted = row["status"] == DELETED
        shown = {"name": DELETED_NAME, "avatar_url": None} if deleted else {"name": row["display_name"]}
        return cls.model_validate({**row, **shown, "deleted": deleted})


MEMBER_VIEW_EXAMPLE: dict[str, Any] = {
    "id": "0199d3b2-6f00-7c22-8d5e-1a6f6a9d2c04",
    "workspace_id": "0199d3b2-6f00-7c11-9b5e-0f6f6a9d2c01",
    "user_id": "0199d3b2-5e00-7b00-8c6f-2d7e4a8b1c04",
    "role": "member",
    "name": "Mia",
    "avatar_url": None,
    "kind": "human",
    "deleted": False,
    "version": 1,
    "created_at": "2026-11-24T08:59:00Z",
}
