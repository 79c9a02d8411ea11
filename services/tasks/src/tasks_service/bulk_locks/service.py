"""Locking all that operations name before the first of them is done, in the one order that everybody has.

What single use cases lock afterwards is locked already, so that whoever has the same tasks in another order waits here,
and not in the middle. What is not to be seen is not locked; the operation on it is refused when its turn comes.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from uuid import UUID

from chassis.errors import AppError
from chassis.identity import Principal
from sqlalchemy import RowMapping
from sqlalchemy.ext.asyncio import AsyncSession

from tasks_service.access_losses.service import lock_losers
from tasks_service.bulk_locks import repository
from tasks_service.bulk_locks.schemas import Found
from tasks_service.bulk_operations.rules import is_temp_id
from tasks_service.bulk_operations.schemas import (
    AnyOperation,
    BulkAddLabel,
    BulkAssign,
    BulkCreate,
    BulkDelete,
    BulkMove,
    BulkRemoveLabel,
    BulkRestore,
    BulkTaskCreate,
    BulkTaskPatch,
    BulkUpdate,
    OnTask,
)
from tasks_service.categories.schemas import CATEGORY
from tasks_service.changes import repository as log
from tasks_service.labels.schemas import LABEL
from tasks_service.subtasks.repository import lock_trees
from tasks_service.tasks import repository as tasks
from tasks_service.tasks import service
from tasks_service.tasks.rules import Key, task_named
from tasks_service.versions.errors import ResourceBusy
from tasks_service.visibility.repository import hold_members_of_all

Operations = Sequence[AnyOperation]
Rows = dict[UUID, RowMapping]


@dataclass(slots=True)
class Wanted:
    """What operations name and lock."""

    task_ids: set[UUID] = field(default_factory=set)
    project_ids: set[UUID] = field(default_factory=set)
    parent_ids: set[UUID] = field(default_factory=set)
    roots: set[UUID] = field(default_factory=set)
    user_ids: set[UUID] = field(default_factory=set)


async def lock_all(session: AsyncSession, *, operations: Operations, actor: Principal) -> Found:
    """Lock what these operations name, and return it as it is then. Raises ResourceBusy.

    The number of statements does not depend on how many operations there are, but on how many workspaces people are
    moved out of sight in.
    """
    keys = await _keys(session, operations, actor)
    wanted = await _wanted(session, operations, keys, actor)
    rows = await tasks.find_all_writable(session, caller=actor, task_ids=wanted.task_ids) if wanted.task_ids else {}
    _add_places(wanted, operations, keys, rows)
    below = await repository.below(session, wanted.roots & rows.keys()) if wanted.roots & rows.keys() else []
    places = await _lock_places(session, wanted, operations, keys, rows, below, actor)
    found = Found(keys=keys, labels=await _keep_filing(session, operations, actor))
    if rows:
        await tasks.lock(session, {*rows, *wanted.parent_ids, *(one["id"] for one in below)})
        now = await tasks.find_all_writable(session, caller=actor, task_ids=wanted.task_ids)
        if any(now[one]["project_id"] not in places for one in wanted.roots & now.keys()):
            # It has moved meanwhile, to where nothing is locked.
            raise ResourceBusy(retry_after=1)
        found.tasks.update(dict.fromkeys(wanted.task_ids) | now)
    return found


async def _keys(session: AsyncSession, operations: Operations, actor: Principal) -> dict[str, list[tuple[UUID, bool]]]:
    named = [task_named(name) for name in _names(operations)]
    keys = [one for one in named if isinstance(one, Key)]
    found: dict[str, list[tuple[UUID, bool]]] = {str(one): [] for one in keys}
    if keys:
        pairs = [(one.prefix, one.number) for one in keys]
        for row in await repository.find_by_keys(session, caller=actor, keys=pairs):
            found[row["key"]].append((row["id"], row["is_former"]))
    return found


def _names(operations: Operations) -> Iterable[str]:
    for one in operations:
        if isinstance(one, OnTask) and not is_temp_id(one.id):
            yield one.id
        parent = _parent_of(one)
        if parent is not None and not is_temp_id(parent):
            yield parent


def _parent_of(operation: AnyOperation) -> str | None:
    fields = _fields_of(operation)
    return None if fields is None else fields.parent_id


def _ids(name: str | None, keys: dict[str, list[tuple[UUID, bool]]]) -> set[UUID]:
    """Return the tasks that a name may stand for."""
    if name is None or is_temp_id(name):
        return set()
    named = task_named(name)
    return {named} if isinstance(named, UUID) else {task_id for task_id, _ in keys[str(named)]}


async def _wanted(
    session: AsyncSession, operations: Operations, keys: dict[str, list[tuple[UUID, bool]]], actor: Principal
) -> Wanted:
    wanted = Wanted()
    for one in operations:
        parents = _ids(_parent_of(one), keys)
        wanted.task_ids |= parents
        wanted.parent_ids |= parents
        wanted.user_ids |= _people_of(one)
        if isinstance(one, OnTask):
            wanted.task_ids |= _ids(one.id, keys)
        if isinstance(one, BulkDelete | BulkRestore | BulkMove):
            wanted.roots |= _ids(one.id, keys)
        if isinstance(one, BulkMove):
            wanted.project_ids.add(one.project_id)
        if isinstance(one, BulkCreate) and one.data.project_id is not None:
            wanted.project_ids.add(one.data.project_id)
    if any(isinstance(one, BulkCreate) and not (one.data.project_id or one.data.parent_id) for one in operations):
        wanted.project_ids |= await _inbox(session, actor)
    return wanted


async def _inbox(session: AsyncSession, actor: Principal) -> set[UUID]:
    try:
        return {(await service.target_project(session, None, actor))["id"]}
    except AppError:
        return set()


def _people_of(operation: AnyOperation) -> set[UUID]:
    if isinstance(operation, BulkAssign):
        return set(operation.user_ids)
    fields = _fields_of(operation)
    named = [] if fields is None else [*fields.assignees, fields.assigned_to]
    return {one for one in named if one is not None}


def _fields_of(operation: AnyOperation) -> BulkTaskCreate | BulkTaskPatch | None:
    """Return what an operation says of its task's fields."""
    if isinstance(operation, BulkCreate):
        return operation.data
    return operation.patch if isinstance(operation, BulkUpdate) else None


def _add_places(wanted: Wanted, operations: Operations, keys: dict[str, list[tuple[UUID, bool]]], rows: Rows) -> None:
    """Add the projects whose trees are changed, and the tasks that count what is below them."""
    for one in operations:
        mine = [rows[task_id] for task_id in _ids(getattr(one, "id", None), keys) if task_id in rows]
        parents = [rows[task_id] for task_id in _ids(_parent_of(one), keys) if task_id in rows]
        is_replanted = isinstance(one, BulkUpdate) and "parent_id" in one.patch.model_fields_set
        if is_replanted:
            wanted.roots |= {row["id"] for row in mine}
        if is_replanted or isinstance(one, BulkDelete | BulkRestore | BulkMove):
            wanted.project_ids |= {row["project_id"] for row in mine}
        wanted.project_ids |= {row["project_id"] for row in parents}
        wanted.parent_ids |= {row["parent_id"] for row in mine} - {None}
        if isinstance(one, BulkRestore):
            wanted.user_ids |= {user_id for row in mine for user_id in row["assignees"]}


async def _lock_places(
    session: AsyncSession,
    wanted: Wanted,
    operations: Operations,
    keys: dict[str, list[tuple[UUID, bool]]],
    rows: Rows,
    below: Sequence[RowMapping],
    actor: Principal,
) -> dict[UUID, UUID]:
    """Lock people and then projects; return the workspaces of the projects.

    The actor is one of them: who takes its access away waits for what it does, or has been found by what is looked at
    from here on.
    """
    ids = wanted.project_ids
    places = await repository.places_of(session, caller=actor, project_ids=ids) if ids else {}
    # Who has a task alone by a share does not see its project.
    places |= {row["project_id"]: row["workspace_id"] for row in rows.values() if row["project_id"] in ids}
    if any(isinstance(one, BulkRestore) for one in operations):
        wanted.user_ids |= {user_id for row in below for user_id in row["assignees"]}
    await _lock_losers(session, operations, keys, rows, places)
    where = {*places.values(), *(row["workspace_id"] for row in rows.values())}
    if where:
        await hold_members_of_all(session, workspace_ids=where, user_ids={actor.user_id, *wanted.user_ids})
    if places:
        await lock_trees(session, places)
    return places


async def _lock_losers(
    session: AsyncSession,
    operations: Operations,
    keys: dict[str, list[tuple[UUID, bool]]],
    rows: Rows,
    places: dict[UUID, UUID],
) -> None:
    """Lock the memberships of who sees a project that tasks are moved out of, and not the one that takes them."""
    moves = {
        (rows[task_id]["project_id"], one.project_id)
        for one in operations
        if isinstance(one, BulkMove) and one.project_id in places
        for task_id in _ids(one.id, keys) & rows.keys()
    }
    if not moves:
        return
    seen = await log.readers_of_projects(session, {one for pair in moves for one in pair})
    losers: dict[UUID, set[UUID]] = {}
    for source, target in moves:
        lost = set(seen.get(source, ())) - set(seen.get(target, ()))
        if lost:
            losers.setdefault(places[target], set()).update(lost)
    for workspace_id in sorted(losers):
        await lock_losers(session, workspace_id=workspace_id, user_ids=sorted(losers[workspace_id]))


async def _keep_filing(
    session: AsyncSession, operations: Operations, actor: Principal
) -> dict[UUID, RowMapping | None]:
    """Keep the categories and labels that tasks are to have from being deleted; return the labels."""
    fields = [one for one in map(_fields_of, operations) if one is not None]
    categories = {one.category_id for one in fields if one.category_id is not None}
    if categories:
        await repository.keep(session, CATEGORY.table, caller=actor, row_ids=categories)
    single = {one.label_id for one in operations if isinstance(one, BulkAddLabel | BulkRemoveLabel)}
    labels = {*single, *(label_id for one in fields for label_id in one.labels)}
    if not labels:
        return {}
    kept = await repository.keep(session, LABEL.table, caller=actor, row_ids=labels)
    return dict.fromkeys(labels) | kept
