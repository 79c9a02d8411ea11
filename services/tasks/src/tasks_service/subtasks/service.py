"""Trees of tasks: where a task may be, what becomes of those below it, and how far a parent is."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any, cast
from uuid import UUID

from chassis.errors import Forbidden
from chassis.identity import Principal
from sqlalchemy import RowMapping
from sqlalchemy.ext.asyncio import AsyncSession

from tasks_service.changes import service as changes
from tasks_service.changes.schemas import ChangeDraft
from tasks_service.permissions.policies import can
from tasks_service.permissions.rules import Action
from tasks_service.permissions.schemas import Held
from tasks_service.subtasks import repository
from tasks_service.subtasks.errors import Cycle, OpenSubtasks, ParentNotFound, TooDeep
from tasks_service.subtasks.repository import Pair
from tasks_service.subtasks.rules import MAX_DEPTH, parents_affected
from tasks_service.tasks import repository as tasks
from tasks_service.tasks.events import TASK_DELETED, TASK_UPDATED, task_changed

MAX_IDS_TOLD = 100


async def check_place(
    session: AsyncSession, *, project_id: UUID, parent_id: UUID, task_id: UUID | None, actor: Principal
) -> list[UUID]:
    """Return the parent and those above it, upwards, where a task may be below it; None is a new task.

    The trees of the project are locked. Raises ParentNotFound, Forbidden, Cycle, TooDeep.
    """
    parent = await tasks.find_visible(session, caller=actor, task_id=parent_id)
    if parent is None or parent["project_id"] != project_id:
        raise ParentNotFound(field="parent_id")
    require(actor, "task.edit", [parent])
    chain = await repository.ancestors(session, parent_id)
    if task_id in chain:
        raise Cycle(field="parent_id")
    height = 0 if task_id is None else await repository.height(session, task_id)
    if len(chain) + height > MAX_DEPTH:
        raise TooDeep(field="parent_id")
    return chain


async def refuse_open(session: AsyncSession, *, task: RowMapping, actor: Principal) -> None:
    """Raise OpenSubtasks when something below the task is open, at whatever level."""
    found = await repository.open_below(session, caller=actor, task_ids=[task["id"]])
    if found:
        seen = [str(row["id"]) for row in found if row["role"] is not None]
        raise OpenSubtasks(field="status", data={"count": len(found), "task_ids": seen[:MAX_IDS_TOLD]})


async def complete_below(
    session: AsyncSession, *, task: RowMapping, status: str, actor: Principal
) -> list[ChangeDraft]:
    """Complete all that is open below a task, and return the changes. The trees are locked. Raises Forbidden."""
    rows = await repository.lock_below(session, caller=actor, task_id=task["id"])
    require(actor, "task.edit", rows)
    return drafts_of(TASK_UPDATED, await repository.complete(session, rows, status=status, by=actor.user_id))


async def trash_below(session: AsyncSession, *, task: RowMapping, actor: Principal) -> list[ChangeDraft]:
    """Move all below a task to the trash with it, and return the changes. The trees are locked. Raises Forbidden."""
    rows = await repository.lock_below(session, caller=actor, task_id=task["id"])
    require(actor, "task.delete", rows)
    roots = dict.fromkeys((row["id"] for row in rows), task["id"])
    return drafts_of(TASK_DELETED, await repository.trash(session, rows, roots=roots, by=actor.user_id))


async def follow_tree(
    session: AsyncSession, *, before: RowMapping | None, after: RowMapping | None, above: Collection[UUID] = ()
) -> list[ChangeDraft]:
    """Count the subtasks of the parents that a change of a task concerns, and return what that changes.

    `before` is None for a new task, and `after` for one that is gone. `above` is what is above the new place.
    """
    mapped = [None if row is None else cast("Mapping[str, Any]", row) for row in (before, after)]
    parents = parents_affected(mapped[0], mapped[1])
    return await recount(session, [*reversed(parents)] if parents and parents[0] in above else parents)


async def recount(session: AsyncSession, parent_ids: Sequence[UUID]) -> list[ChangeDraft]:
    """Count the subtasks of these tasks, leaves first, and return what that changes."""
    return drafts_of(TASK_UPDATED, await repository.recount(session, parent_ids)) if parent_ids else []


async def recount_locked(session: AsyncSession, parent_ids: Iterable[UUID]) -> list[ChangeDraft]:
    """Lock these tasks, leaves first, and count their subtasks; return what that changes."""
    wanted = sorted(set(parent_ids))
    if wanted:
        await tasks.lock(session, wanted)
    return await recount(session, wanted)


async def record_all(
    session: AsyncSession, drafts: Sequence[ChangeDraft], rows: Sequence[RowMapping], actor: Principal
) -> None:
    """Record changes of these tasks, and of others of the same projects, in their workspaces."""
    workspaces = {row["project_id"]: row["workspace_id"] for row in rows}
    of_each: dict[UUID, list[ChangeDraft]] = {}
    for draft in drafts:
        of_each.setdefault(workspaces[cast("UUID", draft.project_id)], []).append(draft)
    for workspace_id in sorted(of_each):
        await changes.record(session, workspace_id=workspace_id, actor=actor, drafts=of_each[workspace_id])


def drafts_of(event_type: str, pairs: Sequence[Pair]) -> list[ChangeDraft]:
    """Draft the changes of rows before and after."""
    return [task_changed(event_type, before, after) for before, after in pairs]


def require(actor: Principal, action: Action, rows: Sequence[RowMapping]) -> None:
    """Raise Forbidden unless the actor may do this with all of them: who sees one by a share may not see the others."""
    for row in rows:
        held = Held(row["role"] or "", row["workspace_id"], row["project_id"])
        if not can(actor, action, held).allowed:
            raise Forbidden
