"""Moving a task with all below it to another project of its workspace, where it gets another key."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, cast
from uuid import UUID

from chassis.clock import utcnow
from chassis.errors import Forbidden
from chassis.identity import Principal
from sqlalchemy import RowMapping
from sqlalchemy.ext.asyncio import AsyncSession

from tasks_service.access_losses.service import drop_hidden, lock_losers
from tasks_service.assignees.rules import columns_of
from tasks_service.assignees.service import follow_task
from tasks_service.blockers.service import pass_blockers
from tasks_service.changes import repository as log
from tasks_service.changes import service as changes
from tasks_service.changes.schemas import ChangeDraft
from tasks_service.moving import repository
from tasks_service.moving.errors import AnotherWorkspace, StatusUnmapped
from tasks_service.moving.rules import Statuses, kept_by, left_open, lost_by, progress_of, status_there
from tasks_service.moving.schemas import TaskMove
from tasks_service.positions.rules import place_of
from tasks_service.projects.errors import ProjectArchived
from tasks_service.statuses.errors import StatusNotFound
from tasks_service.subtasks import repository as trees
from tasks_service.subtasks.errors import NotApart, OpenSubtasks
from tasks_service.subtasks.repository import Pair
from tasks_service.subtasks.rules import parents_affected
from tasks_service.subtasks.service import MAX_IDS_TOLD, recount_locked, require
from tasks_service.tasks import repository as tasks
from tasks_service.tasks.errors import ExternalIdTaken, ProjectNotFound, TaskNotFound
from tasks_service.tasks.events import TASK_MOVED, task_changed
from tasks_service.tasks.rules import completion
from tasks_service.tasks.service import KIND, hold_tree, target_project
from tasks_service.versions import service as versions
from tasks_service.versions.errors import ResourceBusy
from tasks_service.versions.schemas import Expectation

Warnings = list[dict[str, Any]]
Tree = Sequence[RowMapping]
"""A task, which comes first, with all below it, leaves last."""
DROPPED = "Assignees can't see this task where it is now, and are none from now on."


@dataclass(frozen=True, slots=True)
class Readers:
    """Who sees the two projects, and whom each task is shared with."""

    before: frozenset[UUID]
    after: frozenset[UUID]
    by_share: Mapping[UUID, Collection[UUID]]

    def of(self, task_id: UUID) -> set[UUID]:
        """Return who sees a task after it has moved."""
        return {*self.after, *self.by_share.get(task_id, ())}


async def move_task(
    session: AsyncSession, *, task: RowMapping, wanted: TaskMove, expected: Expectation, actor: Principal
) -> RowMapping:
    """Move a task with all below it, the trash included; it has no parent afterwards. Where it is already it stays.

    Raises ProjectNotFound, Forbidden, ProjectArchived, AnotherWorkspace, StatusNotFound, StatusUnmapped,
    ExternalIdTaken, OpenSubtasks, Blocked, TaskNotFound, ResourceBusy, and what versions.service.change raises.
    """
    target, losers = await _prepare(session, task, wanted, actor)
    held = await hold_tree(session, task, actor, target["id"])
    [moved] = await _move_held(session, [held], wanted, [expected], losers, actor)
    return moved


async def move_tasks(
    session: AsyncSession,
    *,
    tasks_there: Sequence[RowMapping],
    wanted: TaskMove,
    expected: Sequence[Expectation],
    actor: Principal,
) -> list[RowMapping]:
    """Move several tasks of one project as move_task does; return them in their order.

    Raises NotApart where they are of several projects, or one is below another one, or what completes one of them
    is to be decided in its turn; and what move_task raises. The number of statements does not depend on how many they
    are, but for those that lose assignees.
    """
    if len({one["project_id"] for one in tasks_there}) > 1:
        raise NotApart
    target, losers = await _prepare(session, tasks_there[0], wanted, actor)
    await trees.lock_trees(session, {tasks_there[0]["project_id"], target["id"]})
    held = await _as_they_are(session, tasks_there, actor)
    if any(row["is_archived"] for row in held):
        raise ProjectArchived
    if any(row["project_id"] != one["project_id"] for row, one in zip(held, tasks_there, strict=True)):
        raise ResourceBusy(retry_after=1)
    return await _move_held(session, held, wanted, expected, losers, actor)


async def _as_they_are(session: AsyncSession, rows: Sequence[RowMapping], actor: Principal) -> list[RowMapping]:
    """Return tasks as they are now. Raises TaskNotFound."""
    now = await tasks.find_all_writable(session, caller=actor, task_ids=[row["id"] for row in rows])
    if any(row["id"] not in now or now[row["id"]]["deleted_at"] is not None for row in rows):
        raise TaskNotFound
    return [now[row["id"]] for row in rows]


async def _prepare(
    session: AsyncSession, task: RowMapping, wanted: TaskMove, actor: Principal
) -> tuple[RowMapping, list[UUID]]:
    """Return the project that takes a task, and who sees the task no more there; they are locked."""
    target = await target_project(session, wanted.project_id, actor)
    if target["workspace_id"] != task["workspace_id"]:
        raise AnotherWorkspace(field="project_id")
    await _require_source(session, task, actor)
    losers = await _losers(session, task["project_id"], target["id"])
    if losers:
        await lock_losers(session, workspace_id=task["workspace_id"], user_ids=losers)
    return target, losers


async def _move_held(
    session: AsyncSession,
    held: Sequence[RowMapping],
    wanted: TaskMove,
    expected: Sequence[Expectation],
    losers: Sequence[UUID],
    actor: Principal,
) -> list[RowMapping]:
    whole = await _lock(session, held, expected, actor)
    rows = [row for tree in whole for row in tree]
    if rows[0]["project_id"] == wanted.project_id:
        return [tree[0] for tree in whole]
    readers = await _readers(session, rows, wanted.project_id)
    if not readers.before - readers.after <= set(losers):
        # Somebody more has begun to see the one project, or no longer sees the other, while this waited.
        raise ResourceBusy(retry_after=1)
    # As it is now, under the lock.
    target = await target_project(session, wanted.project_id, actor)
    return await _move(session, whole, target, wanted.status_map, readers, actor)


async def _require_source(session: AsyncSession, task: RowMapping, actor: Principal) -> None:
    """Raise Forbidden for who has the task alone by a share: that takes it away from nobody."""
    try:
        await target_project(session, task["project_id"], actor)
    except ProjectNotFound:
        raise Forbidden from None


async def _losers(session: AsyncSession, source_id: UUID, target_id: UUID) -> list[UUID]:
    seen = await log.readers_of_projects(session, {source_id, target_id})
    return sorted(set(seen.get(source_id, ())) - set(seen.get(target_id, ())))


async def _lock(
    session: AsyncSession, held: Sequence[RowMapping], expected: Sequence[Expectation], actor: Principal
) -> list[Tree]:
    """Lock tasks, whose trees are held, with all below them, leaves up; return each with these, leaves last.

    Raises NotApart.
    """
    ids = [row["id"] for row in held]
    await repository.lock_whole(session, ids)
    below = await trees.find_all_below(session, caller=actor, task_ids=ids)
    if not {row["id"] for row in below}.isdisjoint(ids):
        raise NotApart
    whole: list[Tree] = []
    for root, its_state in zip(await _as_they_are(session, held, actor), expected, strict=True):
        tree = [root, *(row for row in reversed(below) if row["root_id"] == root["id"])]
        require(actor, "task.move", tree)
        whole.append(tree)
        await versions.refuse_unexpected(session, KIND, root, expected=its_state)
    # They may just have come to another project than the one that was looked at.
    await _require_source(session, whole[0][0], actor)
    return whole


async def _readers(session: AsyncSession, rows: Sequence[RowMapping], target_id: UUID) -> Readers:
    source_id = rows[0]["project_id"]
    seen = await log.readers_of_projects(session, {source_id, target_id})
    shared = await log.readers_by_share(session, [row["id"] for row in rows])
    return Readers(frozenset(seen.get(source_id, ())), frozenset(seen.get(target_id, ())), shared)


async def _move(
    session: AsyncSession,
    whole: Sequence[Tree],
    target: RowMapping,
    status_map: Mapping[str, str],
    readers: Readers,
    actor: Principal,
) -> list[RowMapping]:
    rows = [row for tree in whole for row in tree]
    roots = {tree[0]["id"] for tree in whole}
    if await repository.is_any_taken(session, rows, project_id=target["id"]):
        raise ExternalIdTaken(field="project_id")
    statuses = _statuses_there(rows, target["statuses"], status_map)
    first = await repository.take_numbers(session, project_id=target["id"], count=len(rows))
    there = _as_they_are_there(rows, roots, first, statuses, dict(map(tuple, target["statuses"])), readers, actor)
    changed = await repository.move(session, there, project_id=target["id"])
    await repository.keep_keys(session, rows)
    pairs = [(row, _with_key(row, changed[row["id"]], target)) for row in rows]
    completed = _completed(pairs)
    if completed and len(whole) > 1:
        raise NotApart
    warnings = await _check_completed(session, pairs, completed, actor)
    drafts = await _follow(session, pairs, roots, readers, actor)
    await changes.record(session, workspace_id=target["workspace_id"], actor=actor, drafts=drafts)
    after = {row["id"]: row for _, row in pairs}
    dropped = [[_dropped(row, lost) for row in tree if (lost := _lost(row, readers))] for tree in whole]
    return [
        cast("RowMapping", {**after[tree[0]["id"]], "warnings": [*warnings, *told]})
        for tree, told in zip(whole, dropped, strict=True)
    ]


def _lost(row: RowMapping, readers: Readers) -> list[UUID]:
    return lost_by(_mapping(row), readers.of(row["id"]))


def _statuses_there(rows: Sequence[RowMapping], statuses: Statuses, status_map: Mapping[str, str]) -> dict[str, str]:
    """Return the statuses of another project by those of these tasks. Raises StatusNotFound, StatusUnmapped."""
    here = {key for key, _ in rows[0]["statuses"]}
    if not status_map.keys() <= here or not set(status_map.values()) <= {key for key, _ in statuses}:
        raise StatusNotFound(field="status_map")
    found = {
        row["status"]: status_there(row["status"], row["status_category"], status_map=status_map, statuses=statuses)
        for row in rows
    }
    unmapped = sorted(key for key, there in found.items() if there is None)
    if unmapped:
        raise StatusUnmapped(field="status_map", data={"statuses": unmapped})
    return {key: there for key, there in found.items() if there is not None}


def _as_they_are_there(
    rows: Sequence[RowMapping],
    roots: Collection[UUID],
    first: int,
    statuses: Mapping[str, str],
    categories: Mapping[str, str],
    readers: Readers,
    actor: Principal,
) -> list[dict[str, Any]]:
    """Return the columns of tasks in another project; the roots are those that are moved."""
    now = utcnow()
    found: list[dict[str, Any]] = []
    for number, row in enumerate(rows, start=first):
        status = statuses[row["status"]]
        category = categories[status]
        done = {"completed_at": row["completed_at"], "completed_by": row["completed_by"]}
        done |= completion(category, was=row["status_category"], actor_id=actor.user_id, now=now)
        people = columns_of(kept_by(_mapping(row), readers.of(row["id"])))
        place = {
            "number": number,
            "position": place_of(number),
            "parent_id": None if row["id"] in roots else row["parent_id"],
        }
        found.append({"id": row["id"], "status": status, **place, **done, **people})
    progress = progress_of(
        {**row, "status_category": categories[there["status"]]}
        for row, there in zip(rows, found, strict=True)
        if row["id"] not in roots
    )
    for one in found:
        one["subtasks_done"], one["subtasks_total"] = progress.get(one["id"], (0, 0))
    return found


def _completed(pairs: Sequence[Pair]) -> list[RowMapping]:
    """Return the tasks that their new statuses complete."""
    return [
        after
        for before, after in pairs
        if after["deleted_at"] is None and after["status_category"] == "done" != before["status_category"]
    ]


async def _check_completed(
    session: AsyncSession, pairs: Sequence[Pair], completed: Sequence[RowMapping], actor: Principal
) -> Warnings:
    """Check what tasks have to fulfil that are completed; return what there is to say of it.

    Raises OpenSubtasks, Blocked.
    """
    if not completed:
        return []
    ids = [row["id"] for row in completed]
    found = left_open([_mapping(after) for _, after in pairs], set(ids))
    if found:
        data = {"count": len(found), "task_ids": [str(one) for one in found[:MAX_IDS_TOLD]]}
        raise OpenSubtasks(field="status_map", data=data)
    passage = await pass_blockers(session, task=completed[0], with_ids=ids[1:], force=False, actor=actor)
    return [*passage.warnings]


async def _follow(
    session: AsyncSession, pairs: Sequence[Pair], roots: Collection[UUID], readers: Readers, actor: Principal
) -> list[ChangeDraft]:
    """Do what follows from a move, and return all changes: who sees a task no more is told that."""
    drafts = [
        replace(task_changed(TASK_MOVED, before, after), lost_by=readers.before - readers.of(after["id"]))
        for before, after in pairs
    ]
    for before, after in pairs:
        drafts += await follow_task(session, before=before, after=after, actor_id=actor.user_id)
    if readers.before - readers.after:
        ids = [after["id"] for _, after in pairs]
        drafts += await drop_hidden(session, workspace_id=pairs[0][1]["workspace_id"], task_ids=ids)
    parents = [
        one
        for before, after in pairs
        if before["id"] in roots
        for one in parents_affected(_mapping(before), _mapping(after))
    ]
    return [*drafts, *await recount_locked(session, parents)]


def _with_key(before: RowMapping, after: RowMapping, target: RowMapping) -> RowMapping:
    return cast("RowMapping", {**before, **after, "key": f"{target['prefix']}-{after['number']}"})


def _dropped(row: RowMapping, people: Sequence[UUID]) -> dict[str, Any]:
    ids = [str(one) for one in people]
    return {"code": "ASSIGNEE_DROPPED", "message": DROPPED, "task_id": str(row["id"]), "user_ids": ids}


def _mapping(row: RowMapping) -> Mapping[str, Any]:
    return cast("Mapping[str, Any]", row)
