"""When a digest is due: once for each local day or week, whatever the clocks do. No clock but what is given."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from typing import Literal
from zoneinfo import ZoneInfo

from notifications_service.preferences.rules import A_DAY, is_shown, moved_instant

Frequency = Literal["off", "daily", "weekly"]
LATEST = timedelta(hours=24)
"""How long after its time a digest is still made."""
NOON = time(12)
A_WEEK = timedelta(days=7)
DAYS_OF_WEEK = 7


@dataclass(frozen=True, slots=True)
class Rhythm:
    """Every day, or on one day of each week (0 is Monday), at a time of day in a zone."""

    frequency: Literal["daily", "weekly"]
    at: time
    weekday: int
    zone: ZoneInfo


@dataclass(frozen=True, slots=True)
class Slot:
    """The digest of one local day or week."""

    period_key: str
    due_at: datetime


def slot_of(rhythm: Rhythm, day: date) -> Slot | None:
    """Return the digest that a day has, None where it has none: of a day that a zone left out there is no digest.

    A time that the clocks leave out is later by as much, and of one that comes twice the first counts.
    """
    if rhythm.frequency == "weekly":
        year, week, weekday = day.isocalendar()
        if weekday - 1 != rhythm.weekday:
            return None
        return Slot(f"{year}-W{week:02}", moved_instant(day, rhythm.at, rhythm.zone))
    if not is_shown(datetime.combine(day, NOON), rhythm.zone):
        return None
    return Slot(day.isoformat(), moved_instant(day, rhythm.at, rhythm.zone))


def next_slot(rhythm: Rhythm, after: datetime) -> Slot:
    """Return the first digest that is due after an instant."""
    today = after.astimezone(rhythm.zone).date()
    # Not a day too few: what clocks leave out may move the digest of yesterday into today.
    return next(one for one in _slots(rhythm, today - A_DAY, A_DAY) if one.due_at > after)


def last_slot(rhythm: Rhythm, until: datetime) -> Slot:
    """Return the last digest that was due at an instant or before it."""
    today = until.astimezone(rhythm.zone).date()
    return next(one for one in _slots(rhythm, today + A_DAY, -A_DAY) if one.due_at <= until)


def slot_to_make(rhythm: Rhythm, now: datetime) -> Slot | None:
    """Return the digest that is to be made now, if the last one is not too late for that."""
    last = last_slot(rhythm, now)
    return last if now - last.due_at <= LATEST else None


def _slots(rhythm: Rhythm, first: date, step: timedelta) -> Iterator[Slot]:
    day = first
    while True:
        slot = slot_of(rhythm, day)
        if slot is not None:
            yield slot
        day += step
