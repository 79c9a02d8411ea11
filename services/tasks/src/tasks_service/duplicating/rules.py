"""Pure rules of copies: which tasks there are, and when they are."""

from collections.abc import Mapping, Sequence
from datetime import date, timedelta
from typing import Any, Literal
from uuid import UUID

from tasks_service.dues.rules import Due, due_day, shifted

Part = Literal["description", "labels", "assignees", "checklist", "subtasks", "relations"]
USUAL: Sequence[Part] = ("description", "labels", "assignees", "checklist", "subtasks")
MAX_TASKS = 500
FIRST_DAY, LAST_DAY = date(1970, 1, 1), date(2100, 12, 31)


def connected(root_id: UUID, below: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Return those of the tasks below one, upper ones first, that are seen and below nothing that is not."""
    kept = {root_id}
    found: list[Mapping[str, Any]] = []
    for row in below:
        if row["role"] is not None and row["parent_id"] in kept:
            kept.add(row["id"])
            found.append(row)
    return found


def dates_of(row: Mapping[str, Any], days: int) -> dict[str, Any]:
    """Return start, due and deadline of a task so many days later. Raises OverflowError out of the years that are."""
    due: Due | None = shifted(row, days)
    start, deadline = later(row["start_date"], days), later(row["deadline"], days)
    day = None if due is None else due_day(due.columns())
    if not all(one is None or FIRST_DAY <= one <= LAST_DAY for one in (start, day, deadline)):
        raise OverflowError
    return {"start": start, "due": due, "deadline": deadline}


def later(day: date | None, days: int) -> date | None:
    """Return a day so many days later."""
    return None if day is None else day + timedelta(days=days)
