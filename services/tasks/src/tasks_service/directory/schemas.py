from typing import Any, Literal
from uuid import UUID

from chassis.addresses import parse_email
from pydantic import BaseModel, Field
from sqlalchemy import RowMapping

from tasks_service.workspaces.schemas import Role


class DirectoryEntry(BaseModel):
    """Somebody to assign or mention."""

    id: UUID
    name: str | None = Field(description="What to show; null for a moment, until it is known here.")
    avatar_url: str | None = Field(description="An https URL, which is shown and never fetched.")
    kind: Literal["human", "service"]
    role: Role = Field(description="The role in the workspace.")
    deleted: bool = Field(description="Whether the account is gone: then it is shown as `Deleted user`.")

    @classmethod
    def of(cls, row: RowMapping) -> "DirectoryEntry":
        """Return a member with what is known of the person."""
        return cls(
            id=row["user_id"],
            name=row["name"],
            avatar_url=row["avatar_url"],
            kind=row["kind"] or "human",
            role=row["role"],
            deleted=row["deleted"],
        )


class UserResource(BaseModel):
    """What this service reads of a user in events."""

    id: UUID
    kind: Literal["human", "service"] = "human"
    status: str = Field(default="active", max_length=16)
    email: str | None = Field(default=None, max_length=320)
    email_verified: bool = False
    display_name: str = Field(max_length=200)
    avatar_url: str | None = Field(default=None, max_length=2048)
    timezone: str | None = Field(default=None, max_length=64)
    version: int

    def as_person(self) -> dict[str, Any]:
        """Return the person as the directory keeps it; an address that is none is not kept."""
        address = None if self.email is None else parse_email(self.email)
        return {
            **self.model_dump(exclude={"email", "email_verified"}),
            "email_canonical": None if address is None else address.canonical,
            "email_verified": address is not None and self.email_verified,
        }


class ServiceAccountResource(BaseModel):
    """What this service reads of a service account in events."""

    id: UUID
    name: str = Field(max_length=200)
    version: int

    def as_person(self) -> dict[str, Any]:
        """Return the account as the directory keeps it."""
        return {
            "id": self.id,
            "display_name": self.name,
            "avatar_url": None,
            "email_canonical": None,
            "email_verified": False,
            "kind": "service",
            "status": "active",
            "timezone": None,
            "version": self.version,
        }


DIRECTORY_EXAMPLE: dict[str, Any] = {
    "id": "0199d3b2-5e00-7b00-8c6f-2d7e4a8b1c03",
    "name": "Ada",
    "avatar_url": None,
    "kind": "human",
    "role": "owner",
    "deleted": False,
}
