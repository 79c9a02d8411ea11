"""Pure rules of tasks: what a status means, what a due date means, what a change is."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from datetime import date as Date  # noqa: N812 - `date` is also the name of a field
from typing import Any, Literal
from uuid import UUID
from zoneinfo import ZoneInfo

from sqlalchemy import RowMapping

Status = Literal["todo", "in_progress", "done", "cancelled"]
StatusCategory = Literal["backlog", "todo", "in_progress", "done", "cancelled"]
Priority = Literal["none", "low", "medium", "high", "urgent"]

CATEGORY_OF_STATUS: Mapping[str, StatusCategory] = {
    "todo": "todo",
    "in_progress": "in_progress",
    "done": "done",
    "cancelled": "cancelled",
}

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


def completion(values: Mapping[str, Any], *, was: str | None, actor_id: UUID, now: datetime) -> dict[str, Any]:
    """Return the completion columns that follow a change of status; nothing when its category stays."""
    status = values.get("status")
    if status is None or status == was:
        return {}
    if CATEGORY_OF_STATUS[status] == "done":
        return {"completed_at": now, "completed_by": actor_id}
    if was is not None and CATEGORY_OF_STATUS[was] == "done":
        return {"completed_at": None, "completed_by": None}
    return {}


def differences(current: RowMapping, wanted: Mapping[str, Any]) -> dict[str, Any]:
    """Return those wanted values that differ from the current ones."""
    return {name: value for name, value in wanted.items() if current[name] != value}
