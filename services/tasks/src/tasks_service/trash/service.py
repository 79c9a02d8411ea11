"""Taking tasks out of the trash, and deleting them for good."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any, NamedTuple, cast
from uuid import UUID

from chassis.errors import IfMatchRequired
from chassis.identity import Principal
from sqlalchemy import RowMapping
from sqlalchemy.ext.asyncio import AsyncSession

from tasks_service.assignees import repository as assignees
from tasks_service.assignees.rules import columns_of
from tasks_service.changes import repository as log
from tasks_service.changes import service as changes
from tasks_service.changes.schemas import ChangeDraft
from tasks_service.projects.errors import ProjectArchived
from tasks_service.subtasks import repository as trees
from tasks_service.subtasks.errors import NotApart
from tasks_service.subtasks.repository import Pair
from tasks_service.subtasks.service import drafts_of, follow_tree, record_all, recount, require
from tasks_service.tasks import repository as tasks
from tasks_service.tasks.errors import ExternalIdTaken, TaskNotFound
from tasks_service.tasks.events import TASK_DELETED, TASK_PURGED, TASK_RESTORED, task_changed
from tasks_service.tasks.service import KIND
from tasks_service.trash import repository
from tasks_service.versions import service as versions
from tasks_service.versions.errors import ResourceBusy
from tasks_service.versions.schemas import Expectation
from tasks_service.visibility.repository import hold_members_of_all

Warnings = list[dict[str, Any]]
BY_ITSELF = Expectation(is_given=True)
"""What follows from another change is for no state that a caller would name."""
DROPPED = "An assignee can't see this task any more, and is none from now on."


class Wanted(NamedTuple):
    """A task as it was found, and what is said of the state that the change is for."""

    task: RowMapping
    expected: Expectation = BY_ITSELF


class Restored(NamedTuple):
    """A task as it is again, and what could not be as it was."""

    row: RowMapping
    warnings: Warnings


Tree = Sequence[RowMapping]
"""A task, which comes last, with what is below it, leaves first."""


async def delete_tasks(session: AsyncSession, *, wanted: Sequence[Wanted], actor: Principal) -> list[RowMapping]:
    """Move tasks to the trash, each with all that is below it, as tasks.service.delete_task does; return them.

    Raises NotApart, TaskNotFound, Forbidden, ProjectArchived, IfMatchRequired, ResourceVersionConflict, and
    ResourceBusy for one that has just moved. The number of statements does not depend on how many they are.
    """
    await trees.lock_trees(session, {one.task["project_id"] for one in wanted})
    found = await _lock(session, wanted, await trees.find_below(session, caller=actor, task_ids=_ids(wanted)), actor)
    below = await trees.find_below(session, caller=actor, task_ids=_ids(wanted))
    whole = _trees(wanted, found, below, in_trash=False)
    if not {row["id"] for row in below}.isdisjoint(_ids(wanted)):
        raise NotApart
    for tree, one in zip(whole, wanted, strict=True):
        await versions.refuse_unexpected(session, KIND, tree[-1], expected=one.expected)
        require(actor, "task.delete", tree[:-1])
    rows = [row for tree in whole for row in tree]
    roots = {row["id"]: row["root_id"] for row in below}
    pairs = await trees.trash(session, rows, roots=roots, by=actor.user_id)
    drafts = drafts_of(TASK_DELETED, pairs)
    drafts += await recount(session, sorted(_parents(tree[-1] for tree in whole)))
    await record_all(session, drafts, rows, actor)
    after = {row["id"]: row for _, row in pairs}
    return [after[one] for one in _ids(wanted)]


async def restore_task(
    session: AsyncSession, *, task: RowMapping, expected: Expectation = BY_ITSELF, actor: Principal
) -> Restored:
    """Take a task out of the trash, with what went there with it. Raises what restore_tasks raises, but NotApart."""
    [restored] = await restore_tasks(session, wanted=[Wanted(task, expected)], actor=actor)
    return restored


async def restore_tasks(session: AsyncSession, *, wanted: Sequence[Wanted], actor: Principal) -> list[Restored]:
    """Take tasks out of the trash, each with what went there with it.

    One has no parent when that is in the trash. Assignees who can't see it any more are dropped, with a warning each.
    Raises NotApart, TaskNotFound, Forbidden, ProjectArchived, ExternalIdTaken, IfMatchRequired,
    ResourceVersionConflict, and ResourceBusy for one that has just moved. The number of statements does not depend on
    how many they are, but for those that lose assignees.
    """
    whole = await _lock_groups(session, wanted, actor)
    for tree, one in zip(whole, wanted, strict=True):
        await versions.refuse_unexpected(session, KIND, tree[-1], expected=one.expected)
        require(actor, "task.restore", tree)
    rows = [row for tree in whole for row in tree]
    ids = [row["id"] for row in rows]
    if len(whole) > 1 and (len(set(ids)) < len(ids) or not _parents(tree[-1] for tree in whole).isdisjoint(ids)):
        raise NotApart
    if await repository.is_any_taken(session, rows):
        raise ExternalIdTaken(field="external_id")
    pairs, warnings = await _take_out(session, whole)
    drafts = drafts_of(TASK_RESTORED, pairs)
    # Subtasks may have come and gone alone meanwhile.
    after = {row["id"]: row for _, row in pairs}
    drafts += await recount(session, [*ids, *sorted(_parents(after[tree[-1]["id"]] for tree in whole))])
    await record_all(session, drafts, rows, actor)
    found = await tasks.find_all_visible(session, caller=actor, task_ids=_ids(wanted))
    return [_restored(found, tree, warnings) for tree in whole]


def _restored(found: Mapping[UUID, RowMapping], tree: Tree, warnings: Mapping[UUID, Warnings]) -> Restored:
    task_id = tree[-1]["id"]
    if task_id not in found:
        raise TaskNotFound
    return Restored(found[task_id], [told for row in tree for told in warnings[row["id"]]])


def _ids(wanted: Sequence[Wanted]) -> list[UUID]:
    return [one.task["id"] for one in wanted]


def _parents(rows: Iterable[RowMapping]) -> set[UUID]:
    return {row["parent_id"] for row in rows} - {None}


async def _lock_groups(session: AsyncSession, wanted: Sequence[Wanted], actor: Principal) -> list[Tree]:
    """Lock people, the trees, and what went to the trash together, and return that as it is then, in its trees."""
    ids = _ids(wanted)
    groups = await trees.find_deleted_with(session, caller=actor, task_ids=ids)
    rows = [*groups, *(one.task for one in wanted)]
    people = {one for row in rows for one in row["assignees"]}
    await hold_members_of_all(session, workspace_ids={row["workspace_id"] for row in rows}, user_ids=people)
    await trees.lock_trees(session, {one.task["project_id"] for one in wanted})
    groups = await trees.find_deleted_with(session, caller=actor, task_ids=ids)
    found = await _lock(session, wanted, groups, actor)
    groups = await trees.find_deleted_with(session, caller=actor, task_ids=ids)
    return _trees(wanted, found, groups, in_trash=True)


async def _lock(
    session: AsyncSession, wanted: Sequence[Wanted], below: Sequence[RowMapping], actor: Principal
) -> dict[UUID, RowMapping]:
    """Lock tasks with what is below them, and what counts them, leaves first; return them as they are then."""
    ids = _ids(wanted)
    parents = _parents(one.task for one in wanted)
    await tasks.lock(session, {*ids, *parents, *(row["id"] for row in below)})
    return await tasks.find_all_writable(session, caller=actor, task_ids=ids)


def _trees(
    wanted: Sequence[Wanted], found: Mapping[UUID, RowMapping], below: Sequence[RowMapping], *, in_trash: bool
) -> list[Tree]:
    """Return each task with what is below it. Raises TaskNotFound, ResourceBusy, ProjectArchived."""
    of_root: dict[UUID, list[RowMapping]] = {}
    for row in below:
        of_root.setdefault(row["root_id"], []).append(row)
    roots = [_where_it_was(found.get(one.task["id"]), one.task, in_trash=in_trash) for one in wanted]
    return [[*of_root.get(root["id"], ()), root] for root in roots]


def _where_it_was(found: RowMapping | None, task: RowMapping, *, in_trash: bool | None = None) -> RowMapping:
    """Return a task as it was found when its project was locked. Raises TaskNotFound, ResourceBusy, ProjectArchived."""
    if found is None or (in_trash is not None and in_trash != (found["deleted_at"] is not None)):
        raise TaskNotFound
    if found["project_id"] != task["project_id"]:
        # It has moved with what it is below, and the trees that are locked are those of another project.
        raise ResourceBusy(retry_after=1)
    if found["is_archived"]:
        raise ProjectArchived
    return found


async def _take_out(session: AsyncSession, whole: Sequence[Tree]) -> tuple[list[Pair], dict[UUID, Warnings]]:
    """Take locked tasks out, and return them in their order, and who was dropped from each."""
    rows = [row for tree in whole for row in tree]
    readers = await repository.readers_of(session, [row["id"] for row in rows])
    lost = {row["id"]: [one for one in row["assignees"] if (row["id"], one) not in readers] for row in rows}
    above = await repository.those_in_trash(session, _parents(tree[-1] for tree in whole))
    orphans = {tree[-1]["id"] for tree in whole if tree[-1]["parent_id"] in above}
    whole_ones = [row for row in rows if not lost[row["id"]]]
    pairs = await trees.take_out(session, [row for row in whole_ones if row["id"] not in orphans])
    pairs += await trees.take_out(session, [row for row in whole_ones if row["id"] in orphans], parent_id=None)
    for row in rows:
        if lost[row["id"]]:
            kept = columns_of([one for one in row["assignees"] if one not in lost[row["id"]]])
            no_parent = {"parent_id": None} if row["id"] in orphans else {}
            pairs += await trees.take_out(session, [row], **kept, **no_parent)
            await assignees.remove(session, task_id=row["id"], user_ids=lost[row["id"]])
    by_id = {before["id"]: (before, after) for before, after in pairs}
    warnings = {task_id: [_dropped(task_id, one) for one in people] for task_id, people in lost.items()}
    return [by_id[row["id"]] for row in rows], warnings


def _dropped(task_id: UUID, user_id: UUID) -> dict[str, Any]:
    return {"code": "ASSIGNEE_DROPPED", "message": DROPPED, "task_id": str(task_id), "user_id": str(user_id)}


async def purge_task(session: AsyncSession, *, task: RowMapping, expected: Expectation, actor: Principal) -> RowMapping:
    """Delete a task for good, from the trash or not, with all below it; return it as it was last.

    Raises TaskNotFound, Forbidden, ProjectArchived, IfMatchRequired, ResourceVersionConflict, ResourceBusy.
    """
    await trees.lock_tree(session, task["project_id"])
    below = await trees.lock_all_below(session, caller=actor, task_id=task["id"])
    await tasks.lock(session, [task["id"]])
    root = _where_it_was(await _wherever(session, task["id"], actor), task)
    if root["require_if_match"] and not expected.is_given:
        raise IfMatchRequired
    await versions.refuse_stale(session, KIND, root, wanted={}, expected=expected)
    require(actor, "task.delete_permanently", below)
    drafts = await purge_tasks(session, rows=[*below, root])
    drafts += await follow_tree(session, before=root, after=None)
    await changes.record(session, workspace_id=root["workspace_id"], actor=actor, drafts=drafts)
    return root


async def _wherever(session: AsyncSession, task_id: UUID, actor: Principal) -> RowMapping | None:
    """Return a task, in the trash or not: it may just have been restored, or deleted."""
    found = await tasks.find_writable(session, caller=actor, task_id=task_id)
    return found or await tasks.find_writable(session, caller=actor, task_id=task_id, in_trash=True)


async def purge_tasks(session: AsyncSession, *, rows: Sequence[RowMapping]) -> list[ChangeDraft]:
    """Delete locked tasks for good, with all that hangs on them, and return the changes to record.

    Nothing is below them that is not among them. Whom they were shared with is told, too.
    """
    shared = await log.readers_by_share(session, [row["id"] for row in rows])
    await repository.delete_rows(session, [row["id"] for row in rows])
    return [replace(_purged(row), also=frozenset(shared.get(row["id"], ()))) for row in rows]


async def purge_expired(session: AsyncSession, *, deleted_before: datetime) -> bool:
    """Delete some tasks for good that were deleted before an instant; return whether there may be more."""
    rows = await repository.lock_expired(session, deleted_before=deleted_before)
    if not rows:
        return False
    drafts = await purge_tasks(session, rows=rows)
    await changes.record(session, workspace_id=rows[0]["workspace_id"], actor=None, drafts=drafts)
    return True


def _purged(row: RowMapping) -> ChangeDraft:
    return task_changed(TASK_PURGED, row, cast("RowMapping", {**row, "version": row["version"] + 1}))
