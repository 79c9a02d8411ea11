"""Days and instants in filters: as written, relative to now in a zone, and where a day begins and ends in one.

Days, weeks, months and years are counted on the calendar and the clock of the zone, so that `now()+1d` is the same time
tomorrow whatever the clocks do in between; hours and minutes are counted as they pass. A week begins on Monday
(ISO 8601). `end_of_…` is the last day, and a month later is at most the last day of that month.
"""

import re
from calendar import monthrange
from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from chassis.dates import DAY, FIRST_YEAR, INSTANT, LAST_YEAR

Moment = date | datetime
"""A day, or an instant with its zone."""

MONTHS_OF_YEAR = 12
A_DAY = timedelta(days=1)
FUNCTION = re.compile(r"\s*([a-z_]+)\(\s*\)((?:\s*[+-]\s*[0-9]+[a-z]+|\s+[0-9]+[a-z]+)*)\s*", re.IGNORECASE | re.ASCII)
OFFSET = re.compile(r"([+-]?)\s*([0-9]+)([a-z]+)", re.IGNORECASE | re.ASCII)
SPACE_FOR_PLUS = re.compile(r"(T\d\d:\d\d:\d\d(?:\.\d{1,9})?) (?=\d\d:\d\d$)", re.ASCII | re.IGNORECASE)
MAX_DIGITS = 9

FUNCTIONS: Mapping[str, Callable[[date], date]] = {
    "today": lambda day: day,
    "tomorrow": lambda day: day + A_DAY,
    "yesterday": lambda day: day - A_DAY,
    "start_of_week": lambda day: day - timedelta(days=day.weekday()),
    "end_of_week": lambda day: day + timedelta(days=6 - day.weekday()),
    "start_of_month": lambda day: day.replace(day=1),
    "end_of_month": lambda day: day.replace(day=monthrange(day.year, day.month)[1]),
    "start_of_year": lambda day: day.replace(month=1, day=1),
    "end_of_year": lambda day: day.replace(month=12, day=31),
}
"""What gives a day, of today; `now` gives an instant."""
CALENDAR_UNITS: Mapping[str, Callable[[date, int], date]] = {
    "d": lambda day, count: day + timedelta(days=count),
    "w": lambda day, count: day + timedelta(weeks=count),
    "mo": lambda day, months: _months_later(day, months),  # noqa: PLW0108 - it is defined below
    "y": lambda day, count: _months_later(day, count * MONTHS_OF_YEAR),
}
CLOCK_UNITS: Mapping[str, timedelta] = {"h": timedelta(hours=1), "min": timedelta(minutes=1)}


class NoMoment(ValueError):
    """What is no day, no instant and no function of ours, or is outside of the years that are taken."""


class NoOffset(NoMoment):
    """A time of which nobody knows where."""


def moment_of(text: str, *, zone: ZoneInfo, now: datetime) -> Moment:
    """Return the day or instant (in UTC) that a text means. Raises NoMoment or NoOffset."""
    try:
        found = _moment(text, zone, now)
        moment = found.astimezone(UTC) if isinstance(found, datetime) else found
    except OverflowError:
        raise NoMoment from None
    except ValueError as error:
        raise error if isinstance(error, NoMoment) else NoMoment from None
    if not FIRST_YEAR <= moment.year <= LAST_YEAR:
        raise NoMoment
    return moment


def is_relative(text: str) -> bool:
    """Tell whether a text is a function of now, or would be one."""
    return FUNCTION.fullmatch(text) is not None


def day_of(moment: Moment, zone: ZoneInfo) -> date:
    """Return the day of a moment: its own, or that of the instant in the zone."""
    return moment.astimezone(zone).date() if isinstance(moment, datetime) else moment


def day_bounds(day: date, zone: ZoneInfo) -> tuple[datetime, datetime]:
    """Return the instants at which a day begins in a zone, and at which the next one does, in UTC.

    `=` of an instant and a day is `begin <= instant < end`; `<` is before the begin, `<=` before the end, `>` from the
    end on and `>=` from the begin on. A day that a zone skipped is empty.
    """
    return start_of_day(day, zone), start_of_day(day + A_DAY, zone)


def start_of_day(day: date, zone: ZoneInfo) -> datetime:
    """Return the first instant, in UTC, at which clocks in a zone show this day or a later one.

    Where midnight is left out, that is when clocks were put forward; where it comes twice, the first.
    """
    return datetime.combine(day, time(), tzinfo=zone).astimezone(UTC)


def _moment(text: str, zone: ZoneInfo, now: datetime) -> Moment:
    if DAY.fullmatch(text):
        return date.fromisoformat(text)
    # In a query, a `+` that is not written as %2B arrives as a space.
    instant = SPACE_FOR_PLUS.sub(r"\1+", text)
    if INSTANT.fullmatch(instant):
        found = datetime.fromisoformat(instant.upper())
        if found.tzinfo is None:
            raise NoOffset
        return found
    return _function(text, zone, now)


def _function(text: str, zone: ZoneInfo, now: datetime) -> Moment:
    parts = FUNCTION.fullmatch(text)
    name = parts[1].lower() if parts else None
    if parts is None or name is None or (name not in FUNCTIONS and name != "now"):
        raise NoMoment
    here = now.astimezone(zone)
    moment: Moment = here if name == "now" else FUNCTIONS[name](here.date())
    for sign, digits, unit in OFFSET.findall(parts[2]):
        if len(digits) > MAX_DIGITS:
            raise NoMoment
        moment = _later(moment, int(f"{sign}{digits}"), unit.lower(), zone)
    return moment


def _later(moment: Moment, count: int, unit: str, zone: ZoneInfo) -> Moment:
    if unit in CALENDAR_UNITS:
        moved = CALENDAR_UNITS[unit](moment, count)
        # Which of two equal times it is when clocks are put back stays as it was.
        return (
            moved.replace(fold=moment.fold) if isinstance(moved, datetime) and isinstance(moment, datetime) else moved
        )
    if unit not in CLOCK_UNITS:
        raise NoMoment
    instant = moment if isinstance(moment, datetime) else start_of_day(moment, zone)
    return (instant.astimezone(UTC) + CLOCK_UNITS[unit] * count).astimezone(zone)


def _months_later(day: date, count: int) -> date:
    years, month = divmod(day.month - 1 + count, MONTHS_OF_YEAR)
    year = day.year + years
    return day.replace(year=year, month=month + 1, day=min(day.day, _days_in(year, month + 1)))


def _days_in(year: int, month: int) -> int:
    if not date.min.year <= year <= date.max.year:
        raise NoMoment
    return monthrange(year, month)[1]
