from datetime import datetime
from typing import Any
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

from auth_service.users.schemas import USER_EXAMPLE, UserOut


class Credentials(BaseModel):
    """E-mail and password, and a code where the account has a second factor."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [
                {"email": "ada@example.com", "password": "correct horse battery"},
                {"email": "ada@example.com", "password": "correct horse battery", "otp": "123456"},
            ]
        },
    )

    email: str = Field(max_length=320, description="The address of the account.", examples=["ada@example.com"])
    password: str = Field(max_length=1024, examples=["correct horse battery"])
    otp: str | None = Field(
        default=None, max_length=64, description="A one-time code or a recovery code, where the account needs one."
    )


class RefreshRequest(BaseModel):
    """The refresh token that was given last."""

    model_config = ConfigDict(extra="forbid")

    refresh_token: str = Field(
        max_length=200, description="From the last login or refresh; it works once.", examples=["tlm_rt_3kTMd..."]
    )


class TokensOut(BaseModel):
    """A fresh pair of tokens. Times are in seconds from now."""

    access_token: str
    token_type: str = Field(examples=["bearer"])
    expires_in: int
    refresh_token: str
    refresh_expires_in: int
    user: UserOut


class OAuthTokens(BaseModel):
    """The answer of the OAuth2 password form (RFC 6749, section 5.1)."""

    access_token: str
    token_type: str
    expires_in: int
    refresh_token: str


class SessionOut(BaseModel):
    """A login. `current` marks the one that asks."""

    id: UUID
    device: str | None
    address: str | None = Field(description="Where it was last used from.")
    methods: list[str] = Field(description="By what it was opened.")
    current: bool
    created_at: datetime
    last_used_at: datetime
    expires_at: datetime


OAUTH_EXAMPLE: dict[str, Any] = {
    "access_token": "eyJhbGciOiJFZERTQSIsInR5cCI6ImF0K2p3dCIsImtpZCI6Ii4uLiJ9...",
    "token_type": "bearer",
    "expires_in": 86400,
    "refresh_token": "tlm_rt_3kTMd...",
}
TOKENS_EXAMPLE: dict[str, Any] = {**OAUTH_EXAMPLE, "refresh_expires_in": 1209600, "user": USER_EXAMPLE}
SESSION_EXAMPLE: dict[str, Any] = {
    "id": "0199d3b2-5e01-7a00-9c6f-2d7e4a8b1c07",
    "device": "curl/7.88.1",
    "address": "203.0.113.7",
    "methods": ["password"],
    "current": True,
    "created_at": "2026-11-24T09:00:00Z",
    "last_used_at": "2026-11-24T09:00:00Z",
    "expires_at": "2026-12-24T09:00:00Z",
}
