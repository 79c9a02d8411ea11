from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field
from pydantic_core import PydanticCustomError

from auth_service.verification.errors import LinkTokenInvalid
from auth_service.verification.rules import is_token

TOKEN_LENGTH = 43


def _link_token(value: Any) -> Any:
    if isinstance(value, str) and not is_token(value):
        raise PydanticCustomError("LINK_TOKEN_INVALID", LinkTokenInvalid.message)
    return value


LinkTokenText = Annotated[
    str,
    BeforeValidator(_link_token),
    Field(min_length=TOKEN_LENGTH, max_length=TOKEN_LENGTH, description="What the mailed link ends with."),
]
TOKEN_EXAMPLE = "q83vASNFZ4mrze8B3q2-78r-ur4AESIzRFVmd4iZqrs"  # noqa: S105 - an example


class LinkUse(BaseModel):
    """The token of a mailed link."""

    model_config = ConfigDict(extra="forbid")

    token: LinkTokenText = Field(examples=[TOKEN_EXAMPLE])


class AddressOnly(BaseModel):
    """The address of an account."""

    model_config = ConfigDict(extra="forbid")

    email: str = Field(max_length=320, examples=["ada@example.com"])


class EmailChange(BaseModel):
    """A new address, and the password of the account if it has one."""

    model_config = ConfigDict(extra="forbid")

    email: str = Field(max_length=320, examples=["ada@example.org"])
    password: str | None = Field(default=None, max_length=1024, examples=["correct horse battery"])


class AcceptedOut(BaseModel):
    """The same whether there is such an account or not: what there is to tell comes by mail."""

    accepted: bool


class AddressLinkOut(BaseModel):
    """A link to confirm an address by that is in force."""

    valid: bool
    kind: Literal["verify_email", "change_email"] = Field(
        description="Whether it proves the account's address, or gives the account a new one."
    )
    expires_at: datetime
    confirm_by: str = Field(description="What confirms the address; opening the link does not.")


class VerifiedOut(BaseModel):
    """The address that is confirmed now."""

    email: str
    verified: bool


class LinkOut(BaseModel):
    """A link that is in force."""

    expires_at: datetime


ACCEPTED = AcceptedOut(accepted=True)
ACCEPTED_EXAMPLE: dict[str, Any] = {"accepted": True}
VERIFIED_EXAMPLE: dict[str, Any] = {"email": "ada@example.com", "verified": True}
LINK_EXAMPLE: dict[str, Any] = {"expires_at": "2026-11-25T09:10:00Z"}
CONFIRM_BY = "POST /api/v1/auth/verify-email {token}"
ADDRESS_LINK_EXAMPLE: dict[str, Any] = {
    "valid": True,
    "kind": "verify_email",
    "expires_at": "2026-11-25T09:00:00Z",
    "confirm_by": CONFIRM_BY,
}
