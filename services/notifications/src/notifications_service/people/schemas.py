"""What this service reads of accounts in others' events; whatever else they carry is ignored."""

from typing import Any, Literal
from uuid import UUID

from pydantic import BaseModel, Field

from notifications_service.people.rules import ACTIVE, SERVICE


class Deletion(BaseModel):
    """Of somebody who is gone only the id matters."""

    entity_id: UUID


class UserResource(BaseModel):
    """The resource of user.* events."""

    id: UUID
    kind: Literal["human", "service"] = "human"
    status: str = Field(default=ACTIVE, max_length=16)
    email: str | None = Field(default=None, max_length=320)
    email_verified: bool = False
    display_name: str = Field(max_length=200)
    timezone: str | None = Field(default=None, max_length=64)
    locale: str | None = Field(default=None, max_length=35)
    version: int

    def as_person(self) -> dict[str, Any]:
        """Return the columns of a person."""
        return {"user_id": self.id, **self.model_dump(exclude={"id"})}


class UserChange(BaseModel):
    resource: UserResource


class ServiceAccountResource(BaseModel):
    """The resource of service_account.* events."""

    id: UUID
    name: str = Field(max_length=200)
    version: int

    def as_person(self) -> dict[str, Any]:
        """Return the columns of a program's account."""
        nothing = {"email": None, "email_verified": False, "timezone": None, "locale": None}
        known = {"user_id": self.id, "display_name": self.name, "version": self.version}
        return {**known, **nothing, "kind": SERVICE, "status": ACTIVE}


class ServiceAccountChange(BaseModel):
    resource: ServiceAccountResource
