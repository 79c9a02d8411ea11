"""Doing one operation of many, by the use case of its single request, and decided as that is."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, cast
from uuid import UUID

from chassis.errors import Forbidden
from sqlalchemy import RowMapping

from tasks_service.assignees.rules import OPEN, first_status
from tasks_service.assignments import service as assignments
from tasks_service.bulk_operations.rules import is_temp_id
from tasks_service.bulk_operations.schemas import (
    AnyOperation,
    BulkAddLabel,
    BulkAssign,
    BulkComplete,
    BulkCreate,
    BulkDelete,
    BulkMove,
    BulkRemoveLabel,
    BulkReopen,
    BulkRestore,
    BulkUnassign,
    BulkUpdate,
    OnTask,
)
from tasks_service.bulk_steps.schemas import Batch, Done
from tasks_service.edits.service import Wanted, is_plain, update_tasks
from tasks_service.labels import service as labels
from tasks_service.moving.schemas import TaskMove
from tasks_service.moving.service import move_task, move_tasks
from tasks_service.names.errors import NamedMissing
from tasks_service.permissions.policies import can
from tasks_service.permissions.schemas import Held
from tasks_service.projects.errors import ProjectArchived
from tasks_service.subtasks.errors import NotApart, ParentNotFound
from tasks_service.tasks import repository as tasks
from tasks_service.tasks import service
from tasks_service.tasks.errors import AmbiguousKey, TaskNotFound
from tasks_service.tasks.policies import held
from tasks_service.tasks.rules import Key, task_named
from tasks_service.tasks.schemas import TaskPatch
from tasks_service.trash import service as trash
from tasks_service.versions.schemas import Expectation

CREATED = 201


async def perform(batch: Batch, operation: AnyOperation) -> Done:
    """Do an operation, whose scope the caller has. Raises what its single request is refused by."""
    return await STEPS[type(operation)](batch, operation)


async def create(batch: Batch, operation: BulkCreate) -> Done:
    """Make a task."""
    wanted = operation.data
    if wanted.parent_id is not None:
        wanted = wanted.model_copy(update={"parent_id": await parent_named(batch, wanted.parent_id)})
    return Done(await service.create_task(batch.session, wanted=wanted, actor=batch.actor), CREATED)


async def update(batch: Batch, operation: BulkUpdate) -> Done:
    """Apply a merge patch to a task."""
    task = await task_of(batch, operation)
    patch = operation.patch
    if patch.parent_id is not None:
        patch = patch.model_copy(update={"parent_id": await parent_named(batch, patch.parent_id)})
    return await _updated(batch, operation, task, patch)


async def complete(batch: Batch, operation: BulkComplete) -> Done:
    """Complete a task."""
    task = await task_of(batch, operation)
    return await _updated(batch, operation, task, _becoming(task, "done"))


async def reopen(batch: Batch, operation: BulkReopen) -> Done:
    """Open a task again."""
    task = await task_of(batch, operation)
    return await _updated(batch, operation, task, _becoming(task, *OPEN))


def _becoming(task: RowMapping, *categories: str) -> TaskPatch:
    """Return the patch that gives a task the first status of the categories, unless it has one of these."""
    status = None if task["status_category"] in categories else first_status(task["statuses"], *categories)
    return TaskPatch() if status is None else TaskPatch(status=status)


async def _updated(batch: Batch, operation: OnTask, task: RowMapping, patch: TaskPatch) -> Done:
    row = await service.update_task(
        batch.session, task=task, patch=patch, expected=expected_by(operation), actor=batch.actor, merges=True
    )
    return _changed(row)


async def delete(batch: Batch, operation: BulkDelete) -> Done:
    """Move a task to the trash."""
    task = await task_of(batch, operation)
    row = await service.delete_task(batch.session, task=task, expected=expected_by(operation), actor=batch.actor)
    return Done(row)


async def restore(batch: Batch, operation: BulkRestore) -> Done:
    """Take a task out of the trash."""
    task = await task_of(batch, operation, in_trash=True)
    found = await trash.restore_task(batch.session, task=task, expected=expected_by(operation), actor=batch.actor)
    return Done(found.row, warnings=found.warnings)


async def move(batch: Batch, operation: BulkMove) -> Done:
    """Move a task to another project."""
    task = await task_of(batch, operation)
    wanted = TaskMove(project_id=operation.project_id, status_map=operation.status_map)
    row = await move_task(batch.session, task=task, wanted=wanted, expected=expected_by(operation), actor=batch.actor)
    return Done(row, warnings=row.get("warnings", ()))


async def assign(batch: Batch, operation: BulkAssign) -> Done:
    """Add assignees to a task."""
    task = await task_of(batch, operation)
    row, is_new = await assignments.assign_more(
        batch.session, task=task, user_ids=operation.user_ids, expected=expected_by(operation), actor=batch.actor
    )
    done = _changed(row)
    return Done(done.row, CREATED if is_new else done.status, done.warnings, done.is_whole)


async def unassign(batch: Batch, operation: BulkUnassign) -> Done:
    """Take assignees off a task."""
    task = await task_of(batch, operation)
    row = await assignments.unassign(
        batch.session, task=task, user_ids=operation.user_ids, expected=expected_by(operation), actor=batch.actor
    )
    return _changed(row)


async def add_label(batch: Batch, operation: BulkAddLabel) -> Done:
    """Put a label on a task."""
    task, label = await labelling(batch, operation)
    if label["owner_id"] is not None:
        await labels.put_personal(batch.session, task=task, label=label, actor=batch.actor)
        return Done(task, is_whole=True)
    row = await labels.put_shared(
        batch.session, task=task, label=label, expected=expected_by(operation), actor=batch.actor
    )
    return _changed(row)


async def remove_label(batch: Batch, operation: BulkRemoveLabel) -> Done:
    """Take a label off a task."""
    task, label = await labelling(batch, operation)
    if label["owner_id"] is not None:
        await labels.take_personal_off(batch.session, task=task, label=label, actor=batch.actor)
        return Done(task, is_whole=True)
    row = await labels.take_shared_off(
        batch.session, task=task, label=label, expected=expected_by(operation), actor=batch.actor
    )
    return _changed(row)


STEPS: Mapping[type[Any], Callable[[Batch, Any], Awaitable[Done]]] = {
    BulkCreate: create,
    BulkUpdate: update,
    BulkComplete: complete,
    BulkReopen: reopen,
    BulkDelete: delete,
    BulkRestore: restore,
    BulkMove: move,
    BulkAssign: assign,
    BulkUnassign: unassign,
    BulkAddLabel: add_label,
    BulkRemoveLabel: remove_label,
}


def can_be_together(one: AnyOperation, other: AnyOperation) -> bool:
    """Tell whether two operations that follow each other may be done at once, if their tasks have nothing in common."""
    if isinstance(one, BulkMove) and isinstance(other, BulkMove) and _way(one) != _way(other):
        return False
    return type(one) is type(other) and all(type(each) in TOGETHER and _stands_alone(each) for each in (one, other))


def _way(operation: BulkMove) -> tuple[UUID, Mapping[str, str]]:
    return operation.project_id, operation.status_map


def _stands_alone(operation: AnyOperation) -> bool:
    named = operation.named()
    is_alone = not isinstance(operation, BulkUpdate) or is_plain(operation.patch)
    return is_alone and not named.depends_on and not named.temp_ids


async def perform_all(batch: Batch, operations: Sequence[Any]) -> list[Done]:
    """Do operations at once that may be done so; the scope is the caller's.

    Raises NotApart where they have to be done one after the other, and what one of them is refused by.
    """
    ids = [await identified(batch, one.id, in_trash=isinstance(one, BulkRestore)) for one in operations]
    if len(set(ids)) < len(ids):
        raise NotApart
    missing = [one for one in ids if one not in batch.found.tasks]
    if missing:
        there = await tasks.find_all_writable(batch.session, caller=batch.actor, task_ids=missing)
        batch.found.tasks.update(dict.fromkeys(missing) | there)
    return await TOGETHER[type(operations[0])](batch, operations)


async def delete_all(batch: Batch, operations: Sequence[BulkDelete]) -> list[Done]:
    """Move tasks to the trash."""
    wanted = [trash.Wanted(await task_of(batch, one), expected_by(one)) for one in operations]
    return [Done(row) for row in await trash.delete_tasks(batch.session, wanted=wanted, actor=batch.actor)]


async def restore_all(batch: Batch, operations: Sequence[BulkRestore]) -> list[Done]:
    """Take tasks out of the trash."""
    wanted = [trash.Wanted(await task_of(batch, one, in_trash=True), expected_by(one)) for one in operations]
    restored = await trash.restore_tasks(batch.session, wanted=wanted, actor=batch.actor)
    return [Done(one.row, warnings=one.warnings) for one in restored]


async def update_all(batch: Batch, operations: Sequence[BulkUpdate | BulkComplete | BulkReopen]) -> list[Done]:
    """Change tasks by what they say of themselves."""
    wanted = []
    for one in operations:
        task = await task_of(batch, one)
        wanted.append(Wanted(task, _patch_of(one, task), expected_by(one), merges=True))
    return [_changed(row) for row in await update_tasks(batch.session, wanted=wanted, actor=batch.actor)]


def _patch_of(operation: BulkUpdate | BulkComplete | BulkReopen, task: RowMapping) -> TaskPatch:
    if isinstance(operation, BulkUpdate):
        return operation.patch
    return _becoming(task, *(("done",) if isinstance(operation, BulkComplete) else OPEN))


async def move_all(batch: Batch, operations: Sequence[BulkMove]) -> list[Done]:
    """Move tasks to another project."""
    there = [await task_of(batch, one) for one in operations]
    rows = await move_tasks(
        batch.session,
        tasks_there=there,
        wanted=TaskMove(project_id=operations[0].project_id, status_map=operations[0].status_map),
        expected=[expected_by(one) for one in operations],
        actor=batch.actor,
    )
    return [Done(row, warnings=row.get("warnings", ())) for row in rows]


TOGETHER: Mapping[type[Any], Callable[[Batch, Any], Awaitable[list[Done]]]] = {
    BulkUpdate: update_all,
    BulkComplete: update_all,
    BulkReopen: update_all,
    BulkDelete: delete_all,
    BulkRestore: restore_all,
    BulkMove: move_all,
}


def expected_by(operation: OnTask) -> Expectation:
    """Return what an operation says of the state that it is for."""
    return Expectation(operation.if_version, is_given=operation.if_version is not None)


def _changed(row: RowMapping) -> Done:
    """Return a row that was read whole before it was changed."""
    warnings = row.get("warnings", ())
    whole = {name: value for name, value in row.items() if name != "warnings"}
    return Done(cast("RowMapping", whole), warnings=warnings, is_whole=True)


async def task_of(batch: Batch, operation: OnTask, *, in_trash: bool = False) -> RowMapping:
    """Return the task of an operation, as the access functions of its single request do.

    Raises TaskNotFound, AmbiguousKey, Forbidden, ProjectArchived.
    """
    row = await seen_task(batch, operation.id, in_trash=in_trash)
    if not can(batch.actor, operation.action, held(batch.actor, row)).allowed:
        raise Forbidden
    if row["is_archived"]:
        raise ProjectArchived
    return row


async def labelling(batch: Batch, operation: BulkAddLabel | BulkRemoveLabel) -> tuple[RowMapping, RowMapping]:
    """Return the task and the label of an operation, as labels.access.labelling does.

    Raises TaskNotFound, AmbiguousKey, NamedMissing, Forbidden, ProjectArchived.
    """
    task = await seen_task(batch, operation.id)
    label = batch.found.labels.get(operation.label_id)
    is_personal = label is not None and label["owner_id"] is not None
    if label is None or not (is_personal or label["workspace_id"] == task["workspace_id"]):
        raise NamedMissing
    mine = Held(task["role"], task["workspace_id"], task["project_id"], is_own=is_personal)
    if not can(batch.actor, operation.action, mine).allowed:
        raise Forbidden
    if task["is_archived"] and not is_personal:
        raise ProjectArchived
    return task, label


async def seen_task(batch: Batch, name: str, *, in_trash: bool = False) -> RowMapping:
    """Return the task of a name, from what was read under the lock as far as that counts still.

    Raises TaskNotFound, AmbiguousKey.
    """
    task_id = await identified(batch, name, in_trash=in_trash)
    if task_id in batch.found.tasks:
        row = batch.found.tasks[task_id]
        row = None if row is None or (row["deleted_at"] is not None) != in_trash else row
    else:
        row = await tasks.find_writable(batch.session, caller=batch.actor, task_id=task_id, in_trash=in_trash)
    if row is None:
        raise TaskNotFound
    return row


async def parent_named(batch: Batch, name: str) -> UUID:
    """Return the id of a parent. Raises ParentNotFound, AmbiguousKey."""
    try:
        return await identified(batch, name)
    except TaskNotFound:
        raise ParentNotFound(field="parent_id") from None


async def identified(batch: Batch, name: str, *, in_trash: bool = False) -> UUID:
    """Return the id of what a name stands for. Raises TaskNotFound, AmbiguousKey."""
    if is_temp_id(name):
        return batch.progress.temp_ids[name]
    named = task_named(name)
    if isinstance(named, UUID):
        return named
    candidates = batch.found.keys[str(named)]
    return candidates[0][0] if len(candidates) == 1 else await _looked_up(batch, named, in_trash=in_trash)


async def _looked_up(batch: Batch, key: Key, *, in_trash: bool) -> UUID:
    """Return the task of a key that several may have had, as tasks.access.identified does."""
    found = await tasks.find_by_key(batch.session, caller=batch.actor, key=key, workspace_id=None, in_trash=in_trash)
    best = [one for one in found if not one["is_former"]] or found
    if not best:
        raise TaskNotFound
    if len(best) > 1:
        raise AmbiguousKey(field="id", data={"task_ids": [str(one["id"]) for one in best]})
    return cast("UUID", best[0]["id"])
