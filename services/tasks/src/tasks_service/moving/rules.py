"""Pure rules of moving a tree of tasks to another project: what each of its tasks is there."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from typing import Any
from uuid import UUID

from tasks_service.assignees.rules import first_status, without
from tasks_service.subtasks.rules import counted, is_open

Row = Mapping[str, Any]
Statuses = Sequence[Sequence[str]]


def status_there(key: str, category: str, *, status_map: Mapping[str, str], statuses: Statuses) -> str | None:
    """Return the status that a task gets: as wanted, the same, or the first of the same category; or None."""
    if key in status_map:
        return status_map[key]
    return key if key in {one[0] for one in statuses} else first_status(statuses, category)


def lost_by(row: Row, readers: Collection[UUID]) -> list[UUID]:
    """Return the assignees of a task who are not among those that see it."""
    return [one for one in row["assignees"] if one not in readers]


def kept_by(row: Row, readers: Collection[UUID]) -> list[UUID]:
    """Return the others, in their order."""
    return without(row["assignees"], lost_by(row, readers))


def progress_of(rows: Iterable[Row]) -> dict[UUID, tuple[int, int]]:
    """Return how many subtasks are done, of how many, by parent, for tasks that are all below one."""
    found: dict[UUID, tuple[int, int]] = {}
    for row in rows:
        one = counted(row)
        if one is not None:
            done, total = found.get(one[0], (0, 0))
            found[one[0]] = (done + one[1], total + 1)
    return found


def left_open(rows: Sequence[Row], completed: AbstractSet[UUID]) -> list[UUID]:
    """Return which tasks of a tree are open below one of those that have just been completed."""
    parents = {row["id"]: row["parent_id"] for row in rows}
    return [
        row["id"]
        for row in rows
        if row["deleted_at"] is None and is_open(row) and not completed.isdisjoint(_above(row["id"], parents))
    ]


def _above(task_id: UUID, parents: Mapping[UUID, UUID | None]) -> list[UUID]:
    found: list[UUID] = []
    above = parents.get(task_id)
    while above is not None and above not in found:
        found.append(above)
        above = parents.get(above)
    return found
