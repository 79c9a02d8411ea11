from datetime import datetime
from functools import cache
from typing import Annotated, Any
from uuid import UUID
from zoneinfo import available_timezones

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints
from pydantic_core import PydanticCustomError
from sqlalchemy import RowMapping

DisplayName = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=100)]


@cache
def _timezones() -> frozenset[str]:
    return frozenset(available_timezones())


def _known_timezone(name: str) -> str:
    if name not in _timezones():
        raise PydanticCustomError("INVALID_TIMEZONE", "A timezone is an IANA name such as Europe/Berlin.")
    return name


def _not_null(value: Any) -> Any:
    if value is None:
        raise PydanticCustomError("NOT_NULLABLE", "This field can't be cleared.")
    return value


def _without_default(schema: dict[str, Any]) -> None:
    schema.pop("default", None)


Timezone = Annotated[str, StringConstraints(max_length=64), AfterValidator(_known_timezone)]
Locale = Annotated[str, StringConstraints(max_length=35, pattern=r"^[A-Za-z]{2,3}(-[A-Za-z0-9]{2,8})*$")]
NotNull = BeforeValidator(_not_null)


class Registration(BaseModel):
    """A new account."""

    model_config = ConfigDict(extra="forbid")

    email: str = Field(max_length=320, examples=["ada@example.com"])
    password: str = Field(
        max_length=1024, description="8 to 128 characters, not a known one.", examples=["correct horse battery"]
    )
    display_name: DisplayName = Field(examples=["Ada"])


class ProfilePatch(BaseModel):
    """A JSON merge patch of the own profile: absent keeps, null clears."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{"timezone": "Europe/Berlin"}]})

    display_name: Annotated[DisplayName, NotNull] = Field(default="", json_schema_extra=_without_default)
    timezone: Annotated[Timezone, NotNull] = Field(default="UTC", json_schema_extra=_without_default)
    locale: Locale | None = Field(default=None, json_schema_extra=_without_default)

    def given(self) -> dict[str, Any]:
        """Return the fields that the patch names, and only those."""
        return {name: getattr(self, name) for name in self.model_fields_set}


class UserOut(BaseModel):
    """A user, as the user sees it."""

    id: UUID
    email: str
    email_verified: bool
    display_name: str
    timezone: str
    locale: str | None
    roles: list[str]
    version: int
    created_at: datetime
    updated_at: datetime

    @classmethod
    def of(cls, account: RowMapping) -> "UserOut":
        """Return an account as its owner sees it."""
        return cls.model_validate({**account, "email_verified": account["email_verified_at"] is not None})


USER_EXAMPLE: dict[str, Any] = {
    "id": "0199d3b2-5e00-7b00-8c6f-2d7e4a8b1c03",
    "email": "ada@example.com",
    "email_verified": True,
    "display_name": "Ada",
    "timezone": "UTC",
    "locale": None,
    "roles": ["user"],
    "version": 1,
    "created_at": "2026-11-24T08:59:00Z",
    "updated_at": "2026-11-24T08:59:00Z",
}
