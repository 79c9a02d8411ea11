"""All SQL on checklists. Whoever sees a task sees its checklist."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import cache
from typing import Any
from uuid import UUID

from chassis.db.base import table_of
from chassis.identity import Principal
from sqlalchemy import RowMapping, Select, bindparam, case, delete, func, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncSession

from tasks_service.checklists.models import ChecklistItem
from tasks_service.visibility.repository import TASKS, Sight, seen_by, seen_tasks, sight_of, task, workspace

item = table_of(ChecklistItem)

Reader = AsyncConnection | AsyncSession

ORDER = (item.c.position, item.c.id)
PLACES = select(item.c.id, item.c.position).where(item.c.task_id == bindparam("of_task")).order_by(*ORDER)
BY_ID = (
    select(*item.c, task.c.project_id, workspace.c.require_if_match)
    .select_from(item.join(task, task.c.id == item.c.task_id).join(workspace, workspace.c.id == item.c.workspace_id))
    .where(item.c.task_id == bindparam("of_task"), item.c.id == bindparam("item_id"))
)
BY_ID_LOCKED = BY_ID.with_for_update(key_share=True, of=item)


@cache
def _visible(sight: Sight) -> Select[Any]:
    return (
        select(*item.c)
        .select_from(TASKS.join(item, item.c.task_id == task.c.id))
        .where(*seen_tasks(sight), task.c.id == bindparam("of_task"))
        .order_by(*ORDER)
    )


async def list_visible(reader: AsyncConnection, *, caller: Principal, task_id: UUID) -> Sequence[RowMapping]:
    """Return the checklist of a task, in its order, if the caller may see the task."""
    parameters = {**seen_by(caller), "of_task": task_id}
    rows: Sequence[RowMapping] = (await reader.execute(_visible(sight_of(caller)), parameters)).mappings().all()
    return rows


async def find_visible(
    reader: AsyncConnection, *, caller: Principal, task_id: UUID, item_id: UUID
) -> RowMapping | None:
    """Return an item of a task, if the caller may see the task."""
    statement = _visible(sight_of(caller)).where(item.c.id == bindparam("item_id"))
    result = await reader.execute(statement, {**seen_by(caller), "of_task": task_id, "item_id": item_id})
    row: RowMapping | None = result.mappings().one_or_none()
    return row


async def progress_of(reader: Reader, task_ids: Sequence[UUID]) -> dict[UUID, tuple[int, int]]:
    """Return how many items of tasks are done, of how many, for tasks that the caller has been found to see."""
    query = (
        select(item.c.task_id, func.count().filter(item.c.done), func.count())
        .where(item.c.task_id.in_(task_ids))
        .group_by(item.c.task_id)
    )
    return {row[0]: (row[1], row[2]) for row in await reader.execute(query)}


async def find(session: AsyncSession, *, task_id: UUID, item_id: UUID, locked: bool = False) -> RowMapping | None:
    """Return an item of a task that the caller has been found to see; `locked`, nobody else changes it."""
    statement = BY_ID_LOCKED if locked else BY_ID
    result = await session.execute(statement, {"of_task": task_id, "item_id": item_id})
    row: RowMapping | None = result.mappings().one_or_none()
    return row


async def places_of(session: AsyncSession, task_id: UUID) -> list[tuple[UUID, str]]:
    """Return the items of a task in their order, with their positions."""
    return [(row.id, row.position) for row in await session.execute(PLACES, {"of_task": task_id})]


async def add(session: AsyncSession, values: Mapping[str, Any]) -> RowMapping:
    return (await session.execute(insert(item).returning(*item.c), [dict(values)])).mappings().one()


async def add_all(session: AsyncSession, values: Sequence[Mapping[str, Any]]) -> Sequence[RowMapping]:
    return (await session.execute(insert(item).returning(*item.c), [dict(one) for one in values])).mappings().all()


async def place_anew(
    session: AsyncSession, positions: Mapping[UUID, str], *, now: datetime
) -> Sequence[tuple[RowMapping, RowMapping]]:
    """Give items other positions, and return each before and after that."""
    locked = select(item).where(item.c.id.in_(positions)).order_by(item.c.id).with_for_update()
    before = (await session.execute(locked)).mappings().all()
    statement = (
        update(item)
        .where(item.c.id.in_(positions))
        .values(position=case(positions, value=item.c.id), version=item.c.version + 1, updated_at=now)
        .returning(*item.c)
    )
    after = {row["id"]: row for row in (await session.execute(statement)).mappings()}
    return [(row, after[row["id"]]) for row in before]


async def remove(session: AsyncSession, item_id: UUID) -> None:
    await session.execute(delete(item).where(item.c.id == item_id))


async def assigned_to(session: AsyncSession, *, workspace_id: UUID, user_id: UUID) -> Sequence[RowMapping]:
    """Lock the items in a workspace that are for somebody, and return them, each with its project."""
    query = (
        select(*item.c, task.c.project_id)
        .select_from(item.join(task, task.c.id == item.c.task_id))
        .where(item.c.workspace_id == workspace_id, item.c.assignee_id == user_id)
        .order_by(item.c.id)
        .with_for_update(of=item, key_share=True)
    )
    return (await session.execute(query)).mappings().all()


async def take_off(session: AsyncSession, item_ids: Sequence[UUID], *, now: datetime) -> dict[UUID, RowMapping]:
    """Take the assignees off items, which are locked, and return these."""
    statement = (
        update(item)
        .where(item.c.id.in_(item_ids))
        .values(assignee_id=None, version=item.c.version + 1, updated_at=now)
        .returning(*item.c)
    )
    return {row["id"]: row for row in (await session.execute(statement)).mappings()}
