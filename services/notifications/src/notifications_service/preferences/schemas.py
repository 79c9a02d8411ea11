from collections.abc import Iterable, Mapping
from datetime import datetime, time
from typing import Annotated, Any, Literal, Self, cast
from uuid import UUID
from zoneinfo import ZoneInfo

from chassis.timezones import canonical_timezone
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StrictBool, StringConstraints, model_validator
from pydantic_core import PydanticCustomError

from notifications_service.digests.rules import Frequency, Rhythm
from notifications_service.kinds import Channel, Kind, KindOrAny, Mode
from notifications_service.people.rules import zone_of
from notifications_service.preferences.rules import WEEKDAYS, Line, QuietHours, ScopeType, Weekday, Wishes

MAX_LINES = 500
TIME_OF_DAY = r"^([01][0-9]|2[0-3]):[0-5][0-9]$"
DEFAULT_AT = "08:00"


def _known_timezone(name: str) -> str:
    known = canonical_timezone(name)
    if known is None:
        raise PydanticCustomError("INVALID_TIMEZONE", "A timezone is an IANA name such as Europe/Berlin.")
    return known


Timezone = Annotated[str, StringConstraints(max_length=64), AfterValidator(_known_timezone)]
TimeOfDay = Annotated[str, StringConstraints(max_length=5, pattern=TIME_OF_DAY)]
ZONE_SAYS = "An IANA name such as `Europe/Berlin`; null is the zone of your profile, also when that changes."


class Scope(BaseModel):
    """Where a line holds: everywhere, in a workspace, or in a project."""

    model_config = ConfigDict(extra="forbid")

    type: ScopeType = "all"
    id: UUID | None = Field(default=None, description="Of the workspace or project; none for `all`.")

    @model_validator(mode="after")
    def _has_its_id(self) -> Self:
        if (self.id is None) != (self.type == "all"):
            raise PydanticCustomError("SCOPE_ID", "A workspace or project needs its id, and `all` has none.")
        return self


class Preference(BaseModel):
    """How you are told of a kind on a channel, in a place."""

    model_config = ConfigDict(extra="forbid")

    kind: KindOrAny = Field(description="What of; `*` is anything.")
    channel: Channel
    scope: Scope = Field(default_factory=Scope)
    mode: Mode = Field(description="At once, in the next digest (of mail alone), or not at all.")

    @model_validator(mode="after")
    def _digests_are_mail(self) -> Self:
        if self.mode == "digest" and self.channel != "email":
            raise PydanticCustomError("DIGEST_IS_MAIL", "A digest comes by `email` alone.")
        return self

    def line(self) -> Line:
        """Return the rule that this is."""
        return Line(self.kind, self.channel, self.scope.type, self.scope.id, self.mode)

    @classmethod
    def of(cls, line: Line) -> Self:
        """Return how a rule is written."""
        scope = Scope.model_construct(type=line.scope, id=line.scope_id)
        made = cls.model_construct(kind=line.kind, channel=line.channel, scope=scope, mode=line.mode)
        return cast("Self", made)


class QuietHoursIn(BaseModel):
    """When mail, chat and push wait; the inbox does not."""

    model_config = ConfigDict(extra="forbid", populate_by_name=True)

    tz: Timezone | None = Field(default=None, description=ZONE_SAYS)
    begins: TimeOfDay = Field(alias="from", description="HH:MM on the clock of the zone.")
    ends: TimeOfDay = Field(alias="to", description="HH:MM; not after `from`, it is of the next day.")
    days: list[Weekday] = Field(
        default_factory=lambda: [*WEEKDAYS],
        min_length=1,
        max_length=7,
        description="On which days they begin; every day when absent.",
    )
    urgent_bypass: StrictBool = Field(default=False, description="Whether urgent reminders come all the same.")

    @model_validator(mode="after")
    def _has_a_pause(self) -> Self:
        if self.begins == self.ends:
            raise PydanticCustomError("QUIET_HOURS_EMPTY", "Quiet hours begin and end at different times.")
        return self

    def rule(self, zone: ZoneInfo) -> QuietHours:
        """Return the rule that this is, for somebody whose profile has a zone."""
        return QuietHours(
            zone=zone if self.tz is None else zone_of(self.tz),
            begins=time.fromisoformat(self.begins),
            ends=time.fromisoformat(self.ends),
            days=frozenset(WEEKDAYS.index(day) for day in self.days),
            urgent_bypass=self.urgent_bypass,
        )


class DigestPlan(BaseModel):
    """When what waits for it comes as one mail."""

    model_config = ConfigDict(extra="forbid")

    frequency: Frequency = "off"
    at: TimeOfDay = Field(default=DEFAULT_AT, description="HH:MM on the clock of the zone.")
    day: Weekday = Field(default="mon", description="On which day a weekly one comes.")
    tz: Timezone | None = Field(default=None, description=ZONE_SAYS)

    def rhythm(self, zone: ZoneInfo) -> Rhythm | None:
        """Return the rule that this is, for somebody whose profile has a zone; None when there is no digest."""
        if self.frequency == "off":
            return None
        at = time.fromisoformat(self.at)
        return Rhythm(self.frequency, at, WEEKDAYS.index(self.day), zone if self.tz is None else zone_of(self.tz))


def lines_of(row: Mapping[Any, Any] | None) -> list[Line]:
    """Return the rules that a row has."""
    return [] if row is None else [Preference.model_validate(one).line() for one in row["lines"]]


def wishes_of(row: Mapping[Any, Any]) -> Wishes:
    """Return all that a row asks for; it has the zone of the profile beside it."""
    return Wishes(lines_of(row), quiet_hours_of(row), rhythm_of(row) is not None)


def quiet_hours_of(row: Mapping[Any, Any]) -> QuietHours | None:
    """Return the quiet hours that a row has, which names the zone of the profile, too."""
    given = row["quiet_hours"]
    return None if given is None else QuietHoursIn.model_validate(given).rule(zone_of(row["timezone"]))


def rhythm_of(row: Mapping[Any, Any]) -> Rhythm | None:
    """Return when a row wants digests."""
    return DigestPlan.model_validate(row["digest"] or {}).rhythm(zone_of(row["timezone"]))


def as_columns(lines: Iterable[Line]) -> list[dict[str, Any]]:
    """Return how rules are kept."""
    return [Preference.of(one).model_dump(mode="json") for one in lines]


class PreferencesPut(BaseModel):
    """All that you ask for; what is left out is as for who has asked for nothing."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [
                {
                    "preferences": [
                        {"kind": "*", "channel": "push", "mode": "off"},
                        {
                            "kind": "commented",
                            "channel": "email",
                            "scope": {"type": "project", "id": "0199d3b2-7100-7d22-8a4c-6e1f0b7c3d15"},
                            "mode": "instant",
                        },
                    ],
                    "quiet_hours": {"tz": "Europe/Berlin", "from": "22:00", "to": "07:00"},
                    "digest": {"frequency": "daily", "at": "08:00"},
                }
            ]
        },
    )

    preferences: list[Preference] = Field(
        max_length=MAX_LINES, description=f"Up to {MAX_LINES} lines, one for a kind, channel and scope."
    )
    quiet_hours: QuietHoursIn | None = Field(default=None, description="Null for none.")
    digest: DigestPlan = Field(default_factory=DigestPlan)

    @model_validator(mode="after")
    def _says_nothing_twice(self) -> Self:
        said = [(one.kind, one.channel, one.scope.type, one.scope.id) for one in self.preferences]
        if len(set(said)) < len(said):
            raise PydanticCustomError("REPEATED_PREFERENCE", "There are two lines for one kind, channel and scope.")
        return self

    def columns(self, updated_at: datetime) -> dict[str, Any]:
        """Return how this is kept."""
        quiet_hours = None if self.quiet_hours is None else self.quiet_hours.model_dump(mode="json", by_alias=True)
        return {
            "lines": as_columns(one.line() for one in self.preferences),
            "quiet_hours": quiet_hours,
            "digest": self.digest.model_dump(mode="json"),
            "updated_at": updated_at,
        }


class ScopeOut(BaseModel):
    type: ScopeType
    id: UUID | None


class PreferenceOut(BaseModel):
    """How you are told of a kind on a channel, in a place."""

    kind: KindOrAny
    channel: Channel
    scope: ScopeOut
    mode: Mode

    @classmethod
    def of(cls, line: Line) -> Self:
        """Return a rule as it is shown."""
        scope = ScopeOut(type=line.scope, id=line.scope_id)
        return cls(kind=line.kind, channel=line.channel, scope=scope, mode=line.mode)


class QuietHoursOut(BaseModel):
    """When mail, chat and push wait."""

    model_config = ConfigDict(serialize_by_alias=True)

    tz: str | None = Field(description=ZONE_SAYS)
    begins: str = Field(alias="from")
    ends: str = Field(alias="to")
    days: list[Weekday]
    urgent_bypass: bool


class DigestOut(BaseModel):
    """When what waits for it comes as one mail."""

    frequency: Frequency
    at: str
    day: Weekday
    tz: str | None = Field(description=ZONE_SAYS)
    next_at: datetime | None = Field(description="When the next one is due; null when there is none.")


class PreferencesOut(BaseModel):
    """What somebody wants to be told, where and when."""

    preferences: list[PreferenceOut]
    quiet_hours: QuietHoursOut | None
    digest: DigestOut
    version: int = Field(description="0 before the first.")
    updated_at: datetime | None

    @classmethod
    def of(cls, row: Mapping[Any, Any] | None, *, lines: Iterable[Line]) -> Self:
        """Return what a row asks for, as far as these lines show it."""
        kept = row or {"quiet_hours": None, "digest": None, "digest_at": None, "version": 0, "updated_at": None}
        digest = DigestPlan.model_validate(kept["digest"] or {}).model_dump()
        quiet_hours = kept["quiet_hours"]
        return cls(
            preferences=[PreferenceOut.of(one) for one in lines],
            quiet_hours=None if quiet_hours is None else QuietHoursOut.model_validate(quiet_hours),
            digest=DigestOut(**digest, next_at=kept["digest_at"]),
            version=kept["version"],
            updated_at=kept["updated_at"],
        )


class ChannelEffect(BaseModel):
    """What holds on one channel."""

    channel: Channel
    mode: Mode
    source: Literal["preference", "default"] = Field(description="Whether a line of yours says so, or nothing does.")
    preference: PreferenceOut | None = Field(description="The line that counts.")
    due_at: datetime | None = Field(description="When you would be told of what happens now; null when not at once.")
    waits_for_quiet_hours: bool = Field(description="Whether that is later because of your quiet hours.")


class EffectiveOut(BaseModel):
    """What holds for a kind in a place."""

    kind: Kind
    workspace_id: UUID | None
    project_id: UUID | None
    channels: list[ChannelEffect]


PREFERENCES_EXAMPLE: dict[str, Any] = {
    "preferences": [
        {"kind": "*", "channel": "push", "scope": {"type": "all", "id": None}, "mode": "off"},
        {
            "kind": "commented",
            "channel": "email",
            "scope": {"type": "project", "id": "0199d3b2-7100-7d22-8a4c-6e1f0b7c3d15"},
            "mode": "instant",
        },
    ],
    "quiet_hours": {
        "tz": "Europe/Berlin",
        "from": "22:00",
        "to": "07:00",
        "days": ["mon", "tue", "wed", "thu", "fri", "sat", "sun"],
        "urgent_bypass": False,
    },
    "digest": {
        "frequency": "daily",
        "at": "08:00",
        "day": "mon",
        "tz": None,
        "next_at": "2026-11-25T07:00:00Z",
    },
    "version": 1,
    "updated_at": "2026-11-24T09:00:00Z",
}

EFFECTIVE_EXAMPLE: dict[str, Any] = {
    "kind": "commented",
    "workspace_id": "0199d3b2-6f00-7c11-9b5e-0f6f6a9d2c01",
    "project_id": "0199d3b2-7100-7d22-8a4c-6e1f0b7c3d15",
    "channels": [
        {
            "channel": "inbox",
            "mode": "instant",
            "source": "default",
            "preference": None,
            "due_at": "2026-11-24T22:30:00Z",
            "waits_for_quiet_hours": False,
        },
        {
            "channel": "email",
            "mode": "instant",
            "source": "preference",
            "preference": PREFERENCES_EXAMPLE["preferences"][1],
            "due_at": "2026-11-25T06:00:00Z",
            "waits_for_quiet_hours": True,
        },
        {
            "channel": "chat",
            "mode": "off",
            "source": "default",
            "preference": None,
            "due_at": None,
            "waits_for_quiet_hours": False,
        },
        {
            "channel": "push",
            "mode": "off",
            "source": "preference",
            "preference": PREFERENCES_EXAMPLE["preferences"][0],
            "due_at": None,
            "waits_for_quiet_hours": False,
        },
    ],
}
