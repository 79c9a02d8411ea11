"""Pure rules of tasks: what a status means, what a change is, and what names a task."""

import re
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, Literal
from uuid import UUID

StatusCategory = Literal["backlog", "todo", "in_progress", "done", "cancelled"]
Priority = Literal["none", "low", "medium", "high", "urgent"]

UUID_PATTERN = r"[0-9A-Fa-f]{8}(?:-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}"
KEY_PATTERN = r"[A-Za-z][A-Za-z0-9]{0,9}-[1-9][0-9]{0,8}"
NAME_PATTERN = f"^(?:{UUID_PATTERN}|{KEY_PATTERN})$"


@dataclass(frozen=True, slots=True)
class Key:
    """What people call a task, such as `PROJ-12`; in any case, since nobody types capitals."""

    prefix: str
    number: int

    def __str__(self) -> str:
        return f"{self.prefix}-{self.number}"


def task_named(name: str) -> UUID | Key:
    """Return what a text of NAME_PATTERN names: a task by its id, or by its key."""
    if re.fullmatch(KEY_PATTERN, name) is None:
        return UUID(name)
    prefix, _, number = name.rpartition("-")
    return Key(prefix.upper(), int(number))


def are_in_order(start: date | None, due: date | None, deadline: date | None) -> bool:
    """Tell whether start, due and deadline follow each other, as far as they are there."""
    given = [day for day in (start, due, deadline) if day is not None]
    return given == sorted(given)


def completion(category: str, *, was: str | None, actor_id: UUID, now: datetime) -> dict[str, Any]:
    """Return the completion columns that follow a change of a status' category; nothing when it stays."""
    if category == was:
        return {}
    if category == "done":
        return {"completed_at": now, "completed_by": actor_id}
    if was == "done":
        return {"completed_at": None, "completed_by": None}
    return {}
