from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from chassis.patching import MergePatch, NotNull, without_default
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy import RowMapping

from auth_service.users.schemas import DisplayName

Role = Literal["member", "guest"]


class ServiceAccountCreate(BaseModel):
    """A new service account of a workspace."""

    model_config = ConfigDict(extra="forbid")

    workspace_id: UUID = Field(
        description="One that you administer.", examples=["0199d3b2-6f10-7c11-9b5e-0f6f6a9d2c02"]
    )
    name: DisplayName = Field(examples=["Importer"])
    role: Role = Field(default="member", description="What it is in the workspace.")


class ServiceAccountPatch(MergePatch):
    """A JSON merge patch: absent fields keep their value."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{"role": "guest"}]})

    name: Annotated[DisplayName, NotNull] = Field(default="", json_schema_extra=without_default)
    role: Annotated[Role, NotNull] = Field(default="member", json_schema_extra=without_default)


class ServiceAccountOut(BaseModel):
    """A service account; what it does is done as the user with this id."""

    id: UUID
    workspace_id: UUID
    name: str
    role: Role
    created_by: UUID
    version: int
    created_at: datetime
    updated_at: datetime

    @classmethod
    def of(cls, row: RowMapping) -> "ServiceAccountOut":
        """Return an account as the admins of its workspace see it."""
        return cls.model_validate({**row, "id": row["account_id"]})


SERVICE_ACCOUNT_EXAMPLE: dict[str, Any] = {
    "id": "0199d3b2-5e05-7c00-8d1a-3e8f5b9c2d31",
    "workspace_id": "0199d3b2-6f10-7c11-9b5e-0f6f6a9d2c02",
    "name": "Importer",
    "role": "member",
    "created_by": "0199d3b2-5e00-7b00-8c6f-2d7e4a8b1c03",
    "version": 1,
    "created_at": "2026-11-24T09:00:00Z",
    "updated_at": "2026-11-24T09:00:00Z",
}
