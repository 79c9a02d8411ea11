"""Taking tasks out of the trash, and deleting them for good."""

from collections.abc import Sequence
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
from tasks_service.subtasks.repository import Pair
from tasks_service.subtasks.service import drafts_of, follow_tree, recount, require
from tasks_service.tasks import repository as tasks
from tasks_service.tasks.errors import ExternalIdTaken, TaskNotFound
from tasks_service.tasks.events import TASK_PURGED, TASK_RESTORED, task_changed
from tasks_service.tasks.service import KIND
from tasks_service.trash import repository
from tasks_service.versions import service as versions
from tasks_service.versions.errors import ResourceBusy
from tasks_service.versions.schemas import Expectation
from tasks_service.visibility.repository import hold_members

Warnings = list[dict[str, Any]]
BY_ITSELF = Expectation(is_given=True)
"""What follows from another change is for no state that a caller would name."""
DROPPED = "An assignee can't see this task any more, and is none from now on."


class Restored(NamedTuple):
    """A task as it is again, and what could not be as it was."""

    row: RowMapping
    warnings: Warnings


async def restore_task(
    session: AsyncSession, *, task: RowMapping, expected: Expectation = BY_ITSELF, actor: Principal
) -> Restored:
    """Take a task out of the trash, with what went there with it.

    It has no parent when that is in the trash. Assignees who can't see it any more are dropped, with a warning each.
    Raises TaskNotFound, Forbidden, ProjectArchived, ExternalIdTaken, IfMatchRequired, ResourceVersionConflict, and
    ResourceBusy for one that has just moved.
    """
    group = task["deleted_with"] or task["id"]
    below = await trees.find_deleted_with(session, caller=actor, task_id=task["id"], group_id=group)
    people = {one for row in (*below, task) for one in row["assignees"]}
    await hold_members(session, workspace_id=task["workspace_id"], user_ids=people)
    await trees.lock_tree(session, task["project_id"])
    below = await trees.find_deleted_with(session, caller=actor, task_id=task["id"], group_id=group, lock=True)
    await tasks.lock(session, [task["id"]])
    root = _where_it_was(await tasks.find_writable(session, caller=actor, task_id=task["id"], in_trash=True), task)
    await versions.refuse_unexpected(session, KIND, root, expected=expected)
    rows = [*below, root]
    require(actor, "task.restore", rows)
    if await repository.is_any_taken(session, rows):
        raise ExternalIdTaken(field="external_id")
    pairs, warnings = await _take_out(session, rows)
    drafts = drafts_of(TASK_RESTORED, pairs)
    # Subtasks may have come and gone alone meanwhile.
    counted = [one for one in (*(row["id"] for row in rows), pairs[-1][1]["parent_id"]) if one is not None]
    drafts += await recount(session, counted)
    await changes.record(session, workspace_id=root["workspace_id"], actor=actor, drafts=drafts)
    return Restored(await _as_it_is(session, root, actor), warnings)


def _where_it_was(found: RowMapping | None, task: RowMapping) -> RowMapping:
    """Return a task as it was found when its project was locked. Raises TaskNotFound, ResourceBusy, ProjectArchived."""
    if found is None:
        raise TaskNotFound
    if found["project_id"] != task["project_id"]:
        # It has moved with what it is below, and the trees that are locked are those of another project.
        raise ResourceBusy(retry_after=1)
    if found["is_archived"]:
        raise ProjectArchived
    return found


async def _as_it_is(session: AsyncSession, root: RowMapping, actor: Principal) -> RowMapping:
    row = await tasks.find_visible(session, caller=actor, task_id=root["id"])
    if row is None:
        raise TaskNotFound
    return row


async def _take_out(session: AsyncSession, rows: Sequence[RowMapping]) -> tuple[list[Pair], Warnings]:
    """Take locked tasks out, leaves first, of which the last one is the root; return them, and who was dropped."""
    readers = await repository.readers_of(session, [row["id"] for row in rows])
    lost = {row["id"]: [one for one in row["assignees"] if (row["id"], one) not in readers] for row in rows}
    root = rows[-1]
    pairs: list[Pair] = await trees.take_out(session, [row for row in rows[:-1] if not lost[row["id"]]])
    for row in (*(row for row in rows[:-1] if lost[row["id"]]), root):
        kept = columns_of([one for one in row["assignees"] if one not in lost[row["id"]]])
        is_orphan = row is root and row["parent_id"] and await repository.is_in_trash(session, row["parent_id"])
        pairs += await trees.take_out(session, [row], **kept, **({"parent_id": None} if is_orphan else {}))
        if lost[row["id"]]:
            await assignees.remove(session, task_id=row["id"], user_ids=lost[row["id"]])
    return pairs, [_dropped(task_id, one) for task_id, people in lost.items() for one in people]


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
