from datetime import datetime
from typing import Annotated, Any, ClassVar, Literal
from uuid import UUID

from chassis.patching import MergePatch, NotNull, without_default
from chassis.timezones import canonical_timezone
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints
from pydantic_core import PydanticCustomError
from sqlalchemy import RowMapping

from auth_service.users.rules import canonical_locale, is_https_url

DisplayName = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=100)]


# A language tag (RFC 5646, section 2.1), without those that are grandfathered.
LOCALE = (
    r"^[A-Za-z]{2,3}(-[A-Za-z]{3}){0,3}(-[A-Za-z]{4})?(-([A-Za-z]{2}|[0-9]{3}))?"
    r"(-([A-Za-z0-9]{5,8}|[0-9][A-Za-z0-9]{3}))*(-[A-WY-Za-wy-z0-9](-[A-Za-z0-9]{2,8})+)*(-[xX](-[A-Za-z0-9]{1,8})+)?$"
)
TIME_OF_DAY = r"^([01][0-9]|2[0-3]):[0-5][0-9]$"


def _known_timezone(name: str) -> str:
    known = canonical_timezone(name)
    if known is None:
        raise PydanticCustomError("INVALID_TIMEZONE", "A timezone is an IANA name such as Europe/Berlin.")
    return known


def _https_url(url: str) -> str:
    if not is_https_url(url):
        raise PydanticCustomError("INVALID_URL", "This must be an https URL, without credentials.")
    return url


Timezone = Annotated[str, StringConstraints(max_length=64), AfterValidator(_known_timezone)]
Locale = Annotated[str, StringConstraints(max_length=35, pattern=LOCALE), AfterValidator(canonical_locale)]
AvatarUrl = Annotated[str, StringConstraints(max_length=2048), AfterValidator(_https_url)]
WeekStart = Literal["monday", "sunday", "saturday"]
TimeOfDay = Annotated[str, StringConstraints(max_length=5, pattern=TIME_OF_DAY)]


class Registration(BaseModel):
    """A new account."""

    model_config = ConfigDict(extra="forbid")

    email: str = Field(max_length=320, examples=["ada@example.com"])
    password: str = Field(
        max_length=1024, description="8 to 128 characters, not a known one.", examples=["correct horse battery"]
    )
    display_name: DisplayName = Field(examples=["Ada"])


class UserOut(BaseModel):
    """A user, as the user sees it."""

    id: UUID
    kind: str = Field(description="`human`, or `service` for a program's account.")
    status: str = Field(description="`active`, `deactivated`, `disabled`, `deleting` or `deleted`.")
    email: str | None
    email_verified: bool
    display_name: str
    avatar_url: str | None = Field(description="An https URL, which is shown and never fetched.")
    timezone: str = Field(description="An IANA name; an old name is replaced by today's.")
    locale: str | None = Field(description="A language tag (BCP 47).")
    week_start: str
    default_reminder_time: str = Field(description="When to remind on a day without a time: HH:MM in `timezone`.")
    roles: list[str]
    deletes_at: datetime | None = Field(description="When the account is deleted for good, if that was asked for.")
    version: int
    created_at: datetime
    updated_at: datetime

    @classmethod
    def of(cls, account: RowMapping) -> "UserOut":
        """Return an account as its owner sees it."""
        return cls.model_validate({**account, "email_verified": account["email_verified_at"] is not None})


class ProfilePatch(MergePatch):
    """A JSON merge patch of the own profile: absent keeps, null clears."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{"timezone": "Europe/Berlin"}]})

    display_name: Annotated[DisplayName, NotNull] = Field(default="", json_schema_extra=without_default)
    timezone: Annotated[Timezone, NotNull] = Field(default="UTC", json_schema_extra=without_default)
    locale: Locale | None = Field(default=None, json_schema_extra=without_default)
    avatar_url: AvatarUrl | None = Field(default=None, json_schema_extra=without_default)
    week_start: Annotated[WeekStart, NotNull] = Field(default="monday", json_schema_extra=without_default)
    default_reminder_time: Annotated[TimeOfDay, NotNull] = Field(default="09:00", json_schema_extra=without_default)

    read_only_fields: ClassVar[frozenset[str]] = frozenset(UserOut.model_fields) - {
        "display_name",
        "timezone",
        "locale",
        "avatar_url",
        "week_start",
        "default_reminder_time",
    }


USER_EXAMPLE: dict[str, Any] = {
    "id": "0199d3b2-5e00-7b00-8c6f-2d7e4a8b1c03",
    "kind": "human",
    "status": "active",
    "email": "ada@example.com",
    "email_verified": True,
    "display_name": "Ada",
    "avatar_url": None,
    "timezone": "UTC",
    "locale": None,
    "week_start": "monday",
    "default_reminder_time": "09:00",
    "roles": ["user"],
    "deletes_at": None,
    "version": 1,
    "created_at": "2026-11-24T08:59:00Z",
    "updated_at": "2026-11-24T08:59:00Z",
}
