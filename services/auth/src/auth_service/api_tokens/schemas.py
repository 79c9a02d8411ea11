import ipaddress
import re
from datetime import datetime
from typing import Annotated, Any, Literal, TypeVar
from uuid import UUID

from chassis.patching import without_default
from chassis.secret_tokens import API_TOKEN
from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, StrictBool, StringConstraints
from pydantic.json_schema import SkipJsonSchema
from pydantic_core import PydanticCustomError
from sqlalchemy import RowMapping

from auth_service.api_tokens.rules import SCOPES
from auth_service.users.schemas import DisplayName

T = TypeVar("T", str, UUID)

# RFC 3339, section 5.6.
INSTANT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,9})?(Z|[+-]\d\d:\d\d)?", re.ASCII | re.IGNORECASE)
NETWORK = re.compile(r"[0-9A-Fa-f:.]+(/[0-9]{1,3})?")
FIRST_YEAR, LAST_YEAR = 1970, 2100


def _instant(value: Any) -> datetime:
    if value is None:
        raise PydanticCustomError("NOT_NULLABLE", "Every API token ends: leave it out for the default.")
    found = _parsed_instant(value)
    if found is None or not FIRST_YEAR <= found.year <= LAST_YEAR:
        raise PydanticCustomError("INVALID_FORMAT", "An instant looks like 2026-12-01T09:00:00Z.")
    if found.tzinfo is None:
        raise PydanticCustomError("TIMEZONE_REQUIRED", "This instant needs an offset, such as Z.")
    return found


def _parsed_instant(value: Any) -> datetime | None:
    if not isinstance(value, str) or not INSTANT.fullmatch(value):
        return None
    try:
        return datetime.fromisoformat(value.upper())
    except ValueError:
        return None


def _network(text: str) -> str:
    """Return a network in its one spelling."""
    try:
        found = ipaddress.ip_network(text) if NETWORK.fullmatch(text) else None
    except ValueError:
        found = None
    if found is None:
        raise PydanticCustomError(
            "INVALID_NETWORK", "Give an address, or a network in CIDR form whose host bits are zero: 203.0.113.0/24."
        )
    if isinstance(found, ipaddress.IPv6Network) and found.network_address.ipv4_mapped is not None:
        raise PydanticCustomError("INVALID_NETWORK", "Give IPv4 addresses as such, not within IPv6.")
    return str(found)


def _unique(values: list[T]) -> list[T]:
    if len(set(values)) != len(values):
        raise PydanticCustomError("REPEATED_ENTRY", "Each entry may be given only once.")
    return values


Instant = Annotated[datetime | SkipJsonSchema[None], BeforeValidator(_instant)]
Network = Annotated[str, StringConstraints(max_length=49), AfterValidator(_network)]


class BotTokenCreate(BaseModel):
    """A new API token of a service account, which is confined to the account's workspace."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [
                {"name": "CI", "scopes": ["tasks:read"]},
                {
                    "name": "CI",
                    "scopes": ["tasks:read", "tasks:write"],
                    "expires_at": "2026-12-24T09:00:00Z",
                    "ip_allowlist": ["203.0.113.0/24"],
                },
            ]
        },
    )

    name: DisplayName = Field(examples=["CI"])
    scopes: list[Annotated[str, StringConstraints(max_length=64)]] = Field(
        min_length=1, max_length=len(SCOPES), description=f"Of {', '.join(SCOPES)}.", examples=[["tasks:read"]]
    )
    expires_at: Instant = Field(
        default=None,
        json_schema_extra=without_default,
        description="In 90 days unless given, and never later than the service allows, which is 365 days at most.",
    )
    project_ids: Annotated[list[UUID], AfterValidator(_unique)] | None = Field(
        default=None, min_length=1, max_length=100, description="All that it sees; null for all projects."
    )
    ip_allowlist: Annotated[list[Network], AfterValidator(_unique)] | None = Field(
        default=None,
        min_length=1,
        max_length=50,
        description="Addresses and networks, of IPv4 and IPv6, that it may be used from; null for all.",
        examples=[["203.0.113.0/24"]],
    )
    read_only: StrictBool = Field(default=False, description="Leaves of its scopes those that end in `:read`.")


class TokenCreate(BotTokenCreate):
    """A new API token of one's own.

    Workspace and projects only narrow what it sees, so they are not looked up: of one that its owner can't see it
    sees nothing.
    """

    workspace_id: UUID | None = Field(default=None, description="All that it sees; null for all workspaces.")


class TokenOut(BaseModel):
    """An API token, without its secret. `prefix` is how it begins."""

    id: UUID
    name: str
    prefix: str
    scopes: list[str]
    workspace_id: UUID | None
    project_ids: list[UUID] | None
    ip_allowlist: list[str] | None
    read_only: bool
    expires_at: datetime
    created_by: UUID
    created_at: datetime
    last_used_at: datetime | None
    last_used_address: str | None

    @classmethod
    def of(cls, row: RowMapping) -> "TokenOut":
        """Return a token as its owner sees it."""
        return cls.model_validate({**row, "prefix": f"{API_TOKEN.prefix}{row['prefix']}"})


class NewTokenOut(TokenOut):
    """A new API token with its secret, which is told this once; null in the replay of an idempotency key."""

    token: str | None

    @classmethod
    def with_secret(cls, row: RowMapping, token: str | None) -> "NewTokenOut":
        """Return a token as it is shown to whoever has just made it."""
        return cls.model_validate({**TokenOut.of(row).model_dump(), "token": token})


class TokenResource(BaseModel):
    """An API token as events show it: nothing of its secret. `user_id` is whose rights it has."""

    id: UUID
    user_id: UUID
    name: str
    scopes: list[str]
    workspace_id: UUID | None
    project_ids: list[UUID] | None
    read_only: bool
    expires_at: datetime
    created_by: UUID
    created_at: datetime


class TokenQuestion(BaseModel):
    """An API token that somebody has presented, by its SHA-256; `address` is the client's."""

    model_config = ConfigDict(extra="forbid")

    digest: str = Field(
        pattern=r"^[0-9a-f]{64}$",
        max_length=64,
        description="In hexadecimal.",
        examples=["9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"],
    )
    address: str | None = Field(max_length=45, description="Null if it is not known.", examples=["203.0.113.7"])


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

TOKEN_EXAMPLE: dict[str, Any] = {
    "id": "0199d3b2-5e04-7a00-9c6f-2d7e4a8b1c21",
    "name": "CI",
    "prefix": "tlm_pat_4Xq0ZbTn",
    "scopes": ["tasks:read"],
    "workspace_id": None,
    "project_ids": None,
    "ip_allowlist": ["203.0.113.0/24"],
    "read_only": False,
    "expires_at": "2027-02-22T09:00:00Z",
    "created_by": "0199d3b2-5e00-7b00-8c6f-2d7e4a8b1c03",
    "created_at": "2026-11-24T09:00:00Z",
    "last_used_at": None,
    "last_used_address": None,
}
NEW_TOKEN_EXAMPLE: dict[str, Any] = {**TOKEN_EXAMPLE, "token": "tlm_pat_4Xq0ZbTn…"}
TOKEN_RESOURCE_EXAMPLE: dict[str, Any] = {
    "id": TOKEN_EXAMPLE["id"],
    "user_id": TOKEN_EXAMPLE["created_by"],
    **{name: TOKEN_EXAMPLE[name] for name in list(TokenResource.model_fields)[2:]},
    "workspace_id": "0199d3b2-6f00-7c11-9b5e-0f6f6a9d2c01",
}
