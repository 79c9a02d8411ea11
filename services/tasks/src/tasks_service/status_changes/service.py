"""Making, changing and deleting statuses of a project; its tasks follow in the same transaction.

The project's row is locked throughout, and so is a status that is changed: who gives it to a task meanwhile waits, and
then finds what it has become, or that it is gone.
"""

from collections.abc import Mapping, Sequence
from typing import Any, cast
from uuid import UUID

from chassis.clock import utcnow
from chassis.errors import IfMatchRequired
from chassis.identity import Principal
from sqlalchemy import RowMapping
from sqlalchemy.ext.asyncio import AsyncSession

from tasks_service.changes import service as changes
from tasks_service.changes.schemas import ChangeDraft
from tasks_service.ordering.rules import rank_between
from tasks_service.projects.rules import ProjectLimits
from tasks_service.projects.service import lock_project
from tasks_service.status_changes import repository
from tasks_service.statuses import repository as statuses
from tasks_service.statuses.errors import (
    LastStatus,
    StatusExists,
    StatusInUse,
    StatusLimitReached,
    StatusMissing,
    StatusNotFound,
    TooManyTasks,
)
from tasks_service.statuses.events import status_created, status_deleted, status_updated
from tasks_service.statuses.rules import MOST_TASKS, is_kept, key_of
from tasks_service.statuses.schemas import StatusCreate, StatusOut, StatusPatch
from tasks_service.subtasks.service import recount
from tasks_service.tasks.events import TASK_UPDATED, task_changed
from tasks_service.tasks.rules import completion
from tasks_service.versions import service as versions
from tasks_service.versions.schemas import Expectation

KIND = versions.Kind(statuses.status, StatusOut.of, field_of={})


async def create_status(
    session: AsyncSession, *, project: RowMapping, wanted: StatusCreate, actor: Principal, limits: ProjectLimits
) -> RowMapping:
    """Add a status to a project, at the end unless it says where.

    Raises ProjectMissing, ProjectArchived, StatusLimitReached, StatusExists.
    """
    project = await lock_project(session, project, actor)
    present = await statuses.list_of(session, project["id"])
    if len(present) >= limits.statuses:
        raise StatusLimitReached
    values = wanted.model_dump()
    values["key"] = wanted.key or key_of(wanted.name, {one["key"] for one in present})
    values["position"] = wanted.position or rank_between(present[-1]["position"], None)
    _require_free(values["key"], present)
    row = await statuses.add(session, project, values)
    await changes.record(session, workspace_id=project["workspace_id"], actor=actor, drafts=[status_created(row)])
    return row


async def update_status(
    session: AsyncSession,
    *,
    project: RowMapping,
    status_id: UUID,
    patch: StatusPatch,
    expected: Expectation,
    actor: Principal,
) -> RowMapping:
    """Apply a merge patch; with another key or category all tasks that have the status change, too.

    Raises ProjectMissing, ProjectArchived, StatusMissing, StatusExists, LastStatus, TooManyTasks, and what
    versions.service.change raises.
    """
    project = await lock_project(session, project, actor)
    present = await statuses.list_of(session, project["id"])
    row = _found(present, status_id, project)
    values = patch.given()
    _require_free(values.get("key"), [one for one in present if one["id"] != status_id])
    await _require_current(session, row, values, expected)
    others = [one["category"] for one in present if one["id"] != status_id]
    _require_kept(present, [*others, values.get("category", row["category"])])
    moved = {name: values[name] for name in ("key", "category") if values.get(name, row[name]) != row[name]}
    drafts = await _carry_tasks(session, row, moved, actor) if moved else []

    async def read_again() -> RowMapping:
        return _found(await statuses.list_of(session, project["id"]), status_id, project)

    changed = await versions.change(session, KIND, row, wanted=values, expected=expected, read_again=read_again)
    if changed is None:
        return row
    drafts = [status_updated(changed.before, changed.after), *drafts]
    await changes.record(session, workspace_id=project["workspace_id"], actor=actor, drafts=drafts)
    return changed.after


async def delete_status(
    session: AsyncSession,
    *,
    project: RowMapping,
    status_id: UUID,
    move_to: str | None,
    expected: Expectation,
    actor: Principal,
) -> None:
    """Delete a status, of which `move_to` names by id or key the one that its tasks get.

    Raises ProjectMissing, ProjectArchived, StatusMissing, StatusNotFound, LastStatus, StatusInUse, TooManyTasks,
    IfMatchRequired, ResourceVersionConflict.
    """
    project = await lock_project(session, project, actor)
    present = await statuses.list_of(session, project["id"])
    row = _found(present, status_id, project)
    await _require_current(session, row, {}, expected)
    others = [one for one in present if one["id"] != status_id]
    _require_kept(present, [one["category"] for one in others])
    await statuses.hold(session, status_id)
    drafts = await _move_tasks(session, row, _target(others, move_to), actor)
    await statuses.remove(session, status_id)
    drafts = [status_deleted(row), *drafts]
    await changes.record(session, workspace_id=project["workspace_id"], actor=actor, drafts=drafts)


def _found(present: Sequence[RowMapping], status_id: UUID, project: RowMapping) -> RowMapping:
    """Return the status with what a change of it needs to know. Raises StatusMissing."""
    row = next((one for one in present if one["id"] == status_id), None)
    if row is None:
        raise StatusMissing
    return cast("RowMapping", {**row, "require_if_match": project["require_if_match"]})


def _target(others: Sequence[RowMapping], move_to: str | None) -> RowMapping | None:
    """Return the status that is named by its id or key. Raises StatusNotFound."""
    if move_to is None:
        return None
    found = next((one for one in others if move_to in {one["key"], str(one["id"])}), None)
    if found is None:
        raise StatusNotFound(field="move_to")
    return found


def _require_free(key: str | None, others: Sequence[RowMapping]) -> None:
    if key in {one["key"] for one in others}:
        raise StatusExists(field="key")


def _require_kept(present: Sequence[RowMapping], categories: Sequence[str]) -> None:
    """Raise LastStatus when with statuses of these categories no task could be open any more, or none be completed."""
    if not is_kept([one["category"] for one in present], categories):
        raise LastStatus


async def _require_current(
    session: AsyncSession, row: RowMapping, wanted: Mapping[str, Any], expected: Expectation
) -> None:
    if row["require_if_match"] and not expected.is_given:
        raise IfMatchRequired
    await versions.refuse_stale(session, KIND, row, wanted=wanted, expected=expected)


async def _carry_tasks(
    session: AsyncSession, row: RowMapping, values: Mapping[str, str], actor: Principal
) -> list[ChangeDraft]:
    """Change key or category of a status with all tasks that have it, and return their changes."""
    await statuses.hold(session, row["id"])
    before = await _lock_tasks(session, row)
    follows = _completion(row["category"], values.get("category", row["category"]), actor)
    after = await repository.change_status(
        session, status_id=row["id"], values=values, key=row["key"], completion=follows
    )
    return await _drafts(session, before, after)


async def _move_tasks(
    session: AsyncSession, row: RowMapping, target: RowMapping | None, actor: Principal
) -> list[ChangeDraft]:
    """Give the tasks of a status another one, and return their changes. Raises StatusInUse without one."""
    if target is None:
        number = await repository.count_with(session, project_id=row["project_id"], key=row["key"])
        if number:
            raise StatusInUse(data={"tasks": number})
        return []
    before = await _lock_tasks(session, row)
    after = await repository.move_to(
        session,
        project_id=row["project_id"],
        key=row["key"],
        target=target["key"],
        completion=_completion(row["category"], target["category"], actor),
    )
    return await _drafts(session, before, after)


async def _lock_tasks(session: AsyncSession, row: RowMapping) -> Sequence[RowMapping]:
    number = await repository.count_with(session, project_id=row["project_id"], key=row["key"])
    if number > MOST_TASKS:
        raise TooManyTasks
    return await repository.lock_with(session, project_id=row["project_id"], key=row["key"])


def _completion(was: str, category: str, actor: Principal) -> dict[str, Any]:
    return completion(category, was=was, actor_id=actor.user_id, now=utcnow())


async def _drafts(
    session: AsyncSession, before: Sequence[RowMapping], after: Mapping[UUID, RowMapping]
) -> list[ChangeDraft]:
    """Draft the changes of tasks, and of those that count them as subtasks."""
    drafts = [task_changed(TASK_UPDATED, row, after[row["id"]]) for row in before]
    parents = {row["parent_id"] for row in before if row["parent_id"] is not None}
    return [*drafts, *await recount(session, sorted(parents))]
