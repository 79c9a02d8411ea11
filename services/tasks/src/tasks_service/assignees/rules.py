"""Pure rules of assignees: who they are after a change, and when they have done what there is to do."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any, Literal
from uuid import UUID

State = Literal["pending", "done", "declined"]

MAX_ASSIGNEES = 20
OPEN: Sequence[str] = ("todo", "backlog", "in_progress")
"""Categories of statuses that wait for work, those first to which a task goes back."""


def with_primary(assignees: Iterable[UUID], user_id: UUID) -> list[UUID]:
    """Return the assignees with this one as the primary one, who need not be among them yet."""
    return [user_id, *(one for one in assignees if one != user_id)]


def with_more(assignees: Iterable[UUID], user_ids: Iterable[UUID]) -> list[UUID]:
    """Return the assignees and these, who are the last ones unless there already."""
    return list(dict.fromkeys((*assignees, *user_ids)))


def without(assignees: Iterable[UUID], user_ids: Collection[UUID]) -> list[UUID]:
    """Return the assignees without these; the next one is the primary one then."""
    return [one for one in assignees if one not in user_ids]


def columns_of(assignees: Sequence[UUID]) -> dict[str, Any]:
    """Return the columns of a task that say who its assignees are, the primary one first."""
    return {"assignees": list(assignees), "assigned_to": assignees[0] if assignees else None}


def is_satisfied(policy: str, states: Collection[str]) -> bool:
    """Tell whether what the assignees have said completes the task.

    `any`: one has done it. `all`: all have who did not decline, and there is one. `quorum:<n>`: n have, however many
    there are; with fewer assignees than n nothing that they say completes it.
    """
    done = sum(state == "done" for state in states)
    if policy == "any":
        return done > 0
    if policy == "all":
        return done > 0 and "pending" not in states
    return done >= int(policy.removeprefix("quorum:"))


def first_status(statuses: Iterable[Sequence[str]], *categories: str) -> str | None:
    """Return the key of the first status of the first of the categories that has one."""
    of_category: dict[str, str] = {}
    for key, category in statuses:
        of_category.setdefault(category, key)
    return next((of_category[one] for one in categories if one in of_category), None)


def status_after_answer(task: Mapping[str, Any], states: Collection[str]) -> str | None:
    """Return the status that an open task gets from what its assignees have said; None when it keeps its own."""
    if task["status_category"] not in OPEN or not is_satisfied(task["completion_policy"], states):
        return None
    return first_status(task["statuses"], "done")


def status_after_assignment(
    task: Mapping[str, Any], states: Mapping[UUID, str], assignees: Collection[UUID]
) -> str | None:
    """Return the status that a task gets when its assignees become these; None when it keeps its own.

    Somebody more opens a completed task of all again, if it says so; somebody less may leave those who are done.
    """
    has_more = not states.keys() >= set(assignees)
    has_less = not states.keys() <= set(assignees)
    if has_more and task["completion_policy"] == "all" and task["status_category"] == "done":
        return first_status(task["statuses"], *OPEN) if task["reopen_on_assign"] else None
    if has_less:
        return status_after_answer(task, [states.get(one, "pending") for one in assignees])
    return None


def is_reopened(before: str, after: str) -> bool:
    """Tell whether a change of a status' category opens the task again."""
    return before not in OPEN and after in OPEN
