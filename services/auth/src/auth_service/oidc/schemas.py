from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field, StringConstraints
from sqlalchemy import RowMapping

Visible = Annotated[str, StringConstraints(min_length=1, max_length=2048, pattern=r"^[\x20-\x7e]+$")]
EXAMPLE_STATE = "Zk3qV0nR7tXw"
EXAMPLE_FLOW_TOKEN = "9hTxB2mLq8Ys"  # noqa: S105 - an example
Secret = Annotated[str, StringConstraints(min_length=1, max_length=128, pattern=r"^[A-Za-z0-9_-]+$")]


class ProviderOut(BaseModel):
    """A provider that one may log in with."""

    id: str
    name: str


class FlowStart(BaseModel):
    """Where the provider sends the browser back to."""

    model_config = ConfigDict(extra="forbid")

    redirect_uri: str = Field(
        max_length=2000,
        description="Exactly as it is configured here.",
        examples=["https://app.example.com/login/done"],
    )


class FlowOut(BaseModel):
    """A flow that has begun. Its token is told this once; it is null in the replay of an idempotency key."""

    authorization_url: str = Field(description="Where to send the browser.")
    state: str = Field(description="Comes back beside the code.")
    flow_token: str | None = Field(description="To be kept where the flow began; not for the provider.")
    expires_at: datetime


class FlowCompletion(BaseModel):
    """What the provider sent the browser back with, and the flow's own token."""

    model_config = ConfigDict(extra="forbid")

    code: Visible = Field(description="What came back as `code`.", examples=["SplxlOBeZQQYbYS6WxSbIA"])
    state: Secret = Field(description="What came back as `state`.", examples=[EXAMPLE_STATE])
    flow_token: Secret = Field(description="From the beginning of the flow.", examples=[EXAMPLE_FLOW_TOKEN])
    iss: Annotated[str, StringConstraints(max_length=255)] | None = Field(
        default=None, description="The `iss` beside the code, where the provider sends one (RFC 9207)."
    )


class IdentityOut(BaseModel):
    """An identity at a provider that opens this account."""

    id: UUID
    provider: str
    email: str | None = Field(description="The address that the provider last named; it decides nothing.")
    created_at: datetime
    last_used_at: datetime | None

    @classmethod
    def of(cls, identity: RowMapping) -> "IdentityOut":
        """Return an identity as its owner sees it."""
        return cls.model_validate({**identity, "email": identity["shown_email"]})


PROVIDER_EXAMPLE: dict[str, Any] = {"id": "example", "name": "Example"}
FLOW_EXAMPLE: dict[str, Any] = {
    "authorization_url": "https://login.example.com/authorize?response_type=code&client_id=taskloom&state=Zk3qV0nR7tXw",
    "state": EXAMPLE_STATE,
    "flow_token": EXAMPLE_FLOW_TOKEN,
    "expires_at": "2026-11-24T09:10:00Z",
}
IDENTITY_EXAMPLE: dict[str, Any] = {
    "id": "0199d3b2-5e03-7d00-9b2c-4f9a6c1d3e15",
    "provider": "example",
    "email": "ada@example.com",
    "created_at": "2026-11-24T09:00:00Z",
    "last_used_at": None,
}
