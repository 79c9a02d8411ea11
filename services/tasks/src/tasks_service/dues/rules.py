"""What a due date means."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from datetime import date as Date  # noqa: N812 - `date` is also the name of a field
from typing import Any, Literal
from zoneinfo import ZoneInfo

DUE_COLUMNS = ("due_kind", "due_date", "due_at", "due_local", "due_timezone")


@dataclass(frozen=True, slots=True)
class Due:
    """When a task is due: a date, an instant in a zone, or a local time that floats with its reader.

    For an instant, `local` and `timezone` are the truth and `at` is derived from them.
    """

    kind: Literal["date", "at", "local"]
    date: Date | None = None
    at: datetime | None = None
    local: datetime | None = None
    timezone: str | None = None

    def columns(self) -> dict[str, Any]:
        """Return the columns that store this due."""
        return dict(
            zip(DUE_COLUMNS, (self.kind, self.date, self.at, self.local, self.timezone), strict=True),
        )


NO_DUE: dict[str, Any] = dict.fromkeys(DUE_COLUMNS)


def due_on(day: Date) -> Due:
    """Return a due that is a date and nothing else: it never moves by a day for anyone."""
    return Due("date", date=day)


def due_at(instant: datetime, timezone: str) -> Due:
    """Return a due at an aware instant, kept as wall time in `timezone`."""
    return Due(
        "at",
        at=instant.astimezone(UTC),
        local=instant.astimezone(ZoneInfo(timezone)).replace(tzinfo=None),
        timezone=timezone,
    )


def due_floating(local: datetime) -> Due:
    """Return a due at a wall time that has no zone."""
    return Due("local", local=local)


def due_day(due: Mapping[str, Any]) -> Date | None:
    """Return the day of a due's columns, as it is where the due is meant; None without a due."""
    local: datetime | None = due["due_local"]
    day: Date | None = due["due_date"] if local is None else local.date()
    return day


def shifted(columns: Mapping[str, Any], days: int) -> Due | None:
    """Return the due of these columns so many days later, at the same time of the day where it is meant."""
    if columns["due_kind"] is None:
        return None
    due = Due(*(columns[name] for name in DUE_COLUMNS))
    by = timedelta(days=days)
    if days == 0:
        return due
    if due.date is not None:
        return due_on(due.date + by)
    if due.local is not None and due.timezone is not None:
        return due_at((due.local + by).replace(tzinfo=ZoneInfo(due.timezone)), due.timezone)
    return None if due.local is None else due_floating(due.local + by)
