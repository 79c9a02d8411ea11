"""Pure rules of trees of tasks."""

from collections.abc import Mapping
from typing import Any, Literal
from uuid import UUID

MAX_DEPTH = 5
"""Levels below a task that has no parent."""

Children = Literal["leave", "complete", "fail"]
"""What becomes of open subtasks when their parent is completed."""


def counted(row: Mapping[str, Any] | None) -> tuple[UUID, bool] | None:
    """Return for which parent a task counts, and whether as done; None for one that counts nowhere."""
    if row is None or row["parent_id"] is None or row["deleted_at"] is not None:
        return None
    return None if row["status_category"] == "cancelled" else (row["parent_id"], row["status_category"] == "done")


def parents_affected(before: Mapping[str, Any] | None, after: Mapping[str, Any] | None) -> list[UUID]:
    """Return the parents whose progress a change of a task changes, the former one first."""
    was, now = counted(before), counted(after)
    if was == now:
        return []
    return list(dict.fromkeys(one[0] for one in (was, now) if one is not None))


def is_open(row: Mapping[str, Any]) -> bool:
    """Tell whether there is something left to do."""
    return row["status_category"] not in {"done", "cancelled"}
