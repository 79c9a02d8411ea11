"""Pure rules of tasks: what a status means, and what a change is."""

from datetime import date, datetime
from typing import Any, Literal
from uuid import UUID

StatusCategory = Literal["backlog", "todo", "in_progress", "done", "cancelled"]
Priority = Literal["none", "low", "medium", "high", "urgent"]


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
