from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field


class TokenQuestion(BaseModel):
    """An API token that somebody has presented, by its SHA-256; `address` is the client's."""

    model_config = ConfigDict(extra="forbid")

    digest: str = Field(pattern=r"^[0-9a-f]{64}$", max_length=64)
    address: str | None = Field(max_length=45)


class ActiveToken(BaseModel):
    """What the token may do at this moment."""

    active: Literal[True]
    token_id: UUID
    user_id: UUID
    kind: Literal["user", "service_account"]
    roles: list[str]
    scopes: list[str]
    workspace_id: UUID | None
    project_ids: list[UUID] | None
    ip_allowlist: list[str] | None
    read_only: bool
    expires_at: datetime


class InactiveToken(BaseModel):
    """The token is unknown, revoked or expired, or its owner may do nothing at the moment."""

    active: Literal[False]


TokenAnswer = Annotated[ActiveToken | InactiveToken, Field(discriminator="active")]

ACTIVE_EXAMPLE: dict[str, Any] = {
    "active": True,
    "token_id": "0199d3b2-5e04-7a00-9c6f-2d7e4a8b1c21",
    "user_id": "0199d3b2-5e00-7b00-8c6f-2d7e4a8b1c03",
    "kind": "user",
    "roles": ["user"],
    "scopes": ["tasks:read"],
    "workspace_id": None,
    "project_ids": None,
    "ip_allowlist": ["203.0.113.0/24"],
    "read_only": False,
    "expires_at": "2027-02-22T09:00:00Z",
}
