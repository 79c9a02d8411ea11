"""Use cases of categories. Each is part of one transaction that its caller commits."""

from typing import cast
from uuid import UUID

from chassis.clock import utcnow
from chassis.identity import Principal
from sqlalchemy import RowMapping
from sqlalchemy.ext.asyncio import AsyncSession

from tasks_service.categories import repository
from tasks_service.categories.errors import CategoryNotFound
from tasks_service.categories.schemas import CATEGORY, CategoryCreate, TasksPlan
from tasks_service.changes import service as changes
from tasks_service.names import repository as names_repository
from tasks_service.names import service as names
from tasks_service.names.errors import NamedMissing
from tasks_service.names.events import named_changed
from tasks_service.tasks.events import TASK_UPDATED, task_changed
from tasks_service.versions import service as versions
from tasks_service.versions.schemas import Expectation


async def create_category(session: AsyncSession, *, wanted: CategoryCreate, actor: Principal) -> RowMapping:
    """Add a category to a workspace, or a personal one. Raises WorkspaceNotFound, Forbidden, CategoryExists."""
    personal = wanted.workspace_id is None
    return await names.create(session, CATEGORY, wanted=wanted, personal=personal, actor=actor)


async def delete_category(
    session: AsyncSession, *, row: RowMapping, plan: TasksPlan, expected: Expectation, actor: Principal
) -> None:
    """Delete a category and give its tasks the planned one, or none: one event each, and one of the category.

    Raises NamedMissing, CategoryNotFound, IfMatchRequired, ResourceVersionConflict.
    """
    found = await _locked(session, row=row, plan=plan, actor=actor)
    await versions.refuse_unexpected(session, names.versioned(CATEGORY), found, expected=expected)
    pairs = await repository.recategorize(session, category_id=found["id"], target_id=plan.move_to)
    await names_repository.remove(session, CATEGORY.table, found["id"])
    drafts = [task_changed(TASK_UPDATED, before, after) for before, after in pairs]
    await changes.record(
        session,
        workspace_id=found["workspace_id"],
        actor=actor,
        drafts=[*drafts, named_changed(CATEGORY, "deleted", found, _ended(found))],
    )


async def _locked(session: AsyncSession, *, row: RowMapping, plan: TasksPlan, actor: Principal) -> RowMapping:
    """Return the category as it is, locked with the one that takes its tasks. Raises NamedMissing, CategoryNotFound."""
    wanted: set[UUID] = {row["id"], *([plan.move_to] if plan.move_to else [])}
    found = await names_repository.lock_visible(session, CATEGORY.table, caller=actor, row_ids=wanted)
    if row["id"] not in found:
        raise NamedMissing
    if plan.move_to is None:
        return found[row["id"]]
    target = found.get(plan.move_to)
    if target is None or plan.move_to == row["id"] or target["workspace_id"] != row["workspace_id"]:
        raise CategoryNotFound(field="tasks")
    return found[row["id"]]


def _ended(row: RowMapping) -> RowMapping:
    return cast("RowMapping", {**row, "version": row["version"] + 1, "updated_at": utcnow()})
