"""Which line of somebody's preferences holds, and when quiet hours let something pass. No clock but what is given."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Literal
from uuid import UUID
from zoneinfo import ZoneInfo

from notifications_service.kinds import CHANNELS, AnyKind, Channel, Kind, KindOrAny, Mode

ScopeType = Literal["all", "workspace", "project"]
Weekday = Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"]
WEEKDAYS: tuple[Weekday, ...] = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
ANY_KIND: AnyKind = "*"
A_DAY = timedelta(days=1)
A_SECOND = timedelta(seconds=1)
HELD: frozenset[Channel] = frozenset({"email", "chat", "push"})
"""Channels that quiet hours hold back: the inbox disturbs nobody."""

MAILED_AT_ONCE: frozenset[Kind] = frozenset(
    {"mentioned", "assigned", "replied", "reminder", "webhook_disabled", "channel_disabled"}
)
PRESSING: frozenset[Kind] = frozenset({"mentioned", "assigned", "replied", "reminder", "due_soon", "overdue"})

NARROWNESS: dict[ScopeType, int] = {"all": 0, "workspace": 1, "project": 2}


@dataclass(frozen=True, slots=True)
class Line:
    """One wish: of this kind (or any), on this channel, in this place, so."""

    kind: KindOrAny
    channel: Channel
    scope: ScopeType
    scope_id: UUID | None
    mode: Mode

    def fits(self, *, kind: Kind, channel: Channel, place: "Place") -> bool:
        """Tell whether this is about something of a kind, in a place, on a channel."""
        if self.channel != channel or self.kind not in (ANY_KIND, kind):
            return False
        return self.scope == "all" or self.scope_id == getattr(place, f"{self.scope}_id")

    @property
    def weight(self) -> tuple[int, bool]:
        """How much it counts against others that fit: the narrower place first, then the kind."""
        return NARROWNESS[self.scope], self.kind != ANY_KIND


@dataclass(frozen=True, slots=True)
class Place:
    """Where something happened; what is about the user alone has no place."""

    workspace_id: UUID | None = None
    project_id: UUID | None = None


@dataclass(frozen=True, slots=True)
class Question:
    """How somebody is to be told of something of a kind, in a place."""

    user_id: UUID
    kind: Kind
    place: Place = Place()
    urgent: bool = False


@dataclass(frozen=True, slots=True)
class QuietHours:
    """From a time of day to another, perhaps past midnight, on nights that begin on these days (0 is Monday)."""

    zone: ZoneInfo
    begins: time
    ends: time
    days: frozenset[int]
    urgent_bypass: bool = False


@dataclass(frozen=True, slots=True)
class Decision:
    """How somebody is told on one channel. `due_at` counts for `instant`."""

    mode: Mode
    due_at: datetime


@dataclass(frozen=True, slots=True)
class Wishes:
    """All that somebody has asked for."""

    lines: Sequence[Line] = ()
    quiet_hours: QuietHours | None = None
    wants_digests: bool = False


def default_mode(kind: Kind, channel: Channel) -> Mode:
    """Return what holds for who has said nothing."""
    match channel:
        case "inbox":
            return "instant"
        case "email":
            return "instant" if kind in MAILED_AT_ONCE else "digest"
        case _:
            return "instant" if kind in PRESSING else "off"


def holding(lines: Iterable[Line], *, kind: Kind, channel: Channel, place: Place) -> Line | None:
    """Return the line that holds, which is the most specific one; None where the default does."""
    fitting = (one for one in lines if one.fits(kind=kind, channel=channel, place=place))
    return max(fitting, key=lambda one: one.weight, default=None)


def mode_of(lines: Iterable[Line], *, kind: Kind, channel: Channel, place: Place) -> Mode:
    """Return how somebody is told of a kind on a channel."""
    line = holding(lines, kind=kind, channel=channel, place=place)
    return default_mode(kind, channel) if line is None else line.mode


def decisions(wishes: Wishes, *, kind: Kind, place: Place, urgent: bool, now: datetime) -> dict[Channel, Decision]:
    """Return how somebody is told on each channel."""
    later = due_time(wishes.quiet_hours, now=now, urgent=urgent)
    return {
        channel: Decision(
            mode_of(wishes.lines, kind=kind, channel=channel, place=place), later if channel in HELD else now
        )
        for channel in CHANNELS
    }


def without_mail(lines: Sequence[Line], kind: KindOrAny) -> list[Line]:
    """Return the lines with mail of a kind turned off wherever it was wanted; `*` is mail of any kind."""
    others = [one for one in lines if one.channel != "email" or kind not in (ANY_KIND, one.kind)]
    if kind == ANY_KIND:
        return [*others, Line(ANY_KIND, "email", "all", None, "off")]
    # Where all mail of a place was asked for, that would count more than a line for everywhere.
    places: set[tuple[ScopeType, UUID | None]] = {("all", None)}
    places |= {(one.scope, one.scope_id) for one in others if one.channel == "email"}
    ordered = sorted(places, key=lambda place: (NARROWNESS[place[0]], str(place[1])))
    return [*others, *(Line(kind, "email", scope, scope_id, "off") for scope, scope_id in ordered)]


def due_time(quiet: QuietHours | None, *, now: datetime, urgent: bool = False) -> datetime:
    """Return when something may disturb: now, or at the end of the quiet hours that now is in.

    Quiet hours that follow each other without a pause are as one.
    """
    if quiet is None or (urgent and quiet.urgent_bypass):
        return now
    due = now
    while (end := _end_of_window(quiet, due)) is not None:
        due = end
    return due


def _end_of_window(quiet: QuietHours, moment: datetime) -> datetime | None:
    """Return the end of the quiet hours that a moment is in, None where it is in none."""
    today = moment.astimezone(quiet.zone).date()
    for day in (today - A_DAY, today):
        begin, end = window(quiet, day)
        if day.weekday() in quiet.days and begin <= moment < end:
            return end
    return None


def window(quiet: QuietHours, day: date) -> tuple[datetime, datetime]:
    """Return when the quiet hours of a day begin and end, in UTC. Those of a day that a zone left out are empty.

    A time that the clocks leave out is when they are put forward, and of one that comes twice the first counts.
    """
    last = day if quiet.ends > quiet.begins else day + A_DAY
    return first_instant(day, quiet.begins, quiet.zone), first_instant(last, quiet.ends, quiet.zone)


def first_instant(day: date, at: time, zone: ZoneInfo) -> datetime:
    """Return the first instant, in UTC, at which clocks in a zone show this time of this day or a later one."""
    local = datetime.combine(day, at.replace(fold=0))
    found = local.replace(tzinfo=zone).astimezone(UTC)
    if is_shown(local, zone):
        return found
    # Left out: by the offset from before the change it is after it, and by the one from after before it.
    early, late = local.replace(tzinfo=zone, fold=1).astimezone(UTC), found
    while late - early > A_SECOND:
        middle = early + (late - early) / 2
        if middle.astimezone(zone).replace(tzinfo=None) < local:
            early = middle
        else:
            late = middle
    return late.replace(microsecond=0)


def moved_instant(day: date, at: time, zone: ZoneInfo) -> datetime:
    """Return the instant, in UTC, of a time of a day: the first of two, and later by what the clocks leave out."""
    return datetime.combine(day, at.replace(fold=0), tzinfo=zone).astimezone(UTC)


def is_shown(local: datetime, zone: ZoneInfo) -> bool:
    """Tell whether clocks in a zone ever show this."""
    return local.replace(tzinfo=zone).astimezone(UTC).astimezone(zone).replace(tzinfo=None) == local
