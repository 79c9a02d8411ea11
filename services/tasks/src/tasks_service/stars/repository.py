"""All SQL on stars."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from uuid import UUID

from chassis.db.base import table_of
from chassis.identity import Principal
from sqlalchemy import RowMapping, any_, bindparam, delete, func, literal, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncSession

from tasks_service.stars.models import Star
from tasks_service.tasks.repository import HELD, SHOWN
from tasks_service.visibility.repository import (
    CALLER_ID,
    IDS,
    READERS_OF_TASK,
    TASKS,
    member,
    seen_by,
    seen_tasks,
    sight_of,
    task,
)

star = table_of(Star)

STARRED = TASKS.join(star, (star.c.task_id == task.c.id) & (star.c.user_id == CALLER_ID))
COLUMNS = ["workspace_id", "user_id", "task_id", "created_at"]
OF_TASKS = select(star.c.task_id).where(
    star.c.user_id == bindparam("of_user"), star.c.task_id == any_(bindparam("of_tasks", type_=IDS))
)


async def add(session: AsyncSession, *, task_id: UUID, user_id: UUID, now: datetime) -> RowMapping | None:
    """Give a task a star of somebody who can see it; None for who has given one, or can't see it."""
    wanted = (
        select(task.c.workspace_id, member.c.user_id, task.c.id, literal(now))
        .select_from(TASKS)
        .where(*READERS_OF_TASK)
    )
    statement = insert(star).from_select(COLUMNS, wanted).on_conflict_do_nothing().returning(*star.c)
    result = await session.execute(statement, {"of_task": task_id, "of_users": [user_id]})
    return result.mappings().one_or_none()


async def find(session: AsyncSession, *, task_id: UUID, user_id: UUID) -> RowMapping | None:
    """Return somebody's star on a task."""
    query = select(*star.c).where(star.c.task_id == task_id, star.c.user_id == user_id)
    return (await session.execute(query)).mappings().one_or_none()


async def remove(session: AsyncSession, *, task_id: UUID, user_id: UUID) -> RowMapping | None:
    """Take somebody's star away, and return it; None where there is none."""
    statement = delete(star).where(star.c.task_id == task_id, star.c.user_id == user_id).returning(*star.c)
    return (await session.execute(statement)).mappings().one_or_none()


async def starred_among(
    reader: AsyncConnection | AsyncSession, *, user_id: UUID, task_ids: Iterable[UUID]
) -> set[UUID]:
    """Return which of these tasks have a star of this user."""
    rows = await reader.execute(OF_TASKS, {"of_user": user_id, "of_tasks": sorted(task_ids)})
    return set(rows.scalars())


async def list_starred(
    reader: AsyncConnection, caller: Principal, *, limit: int, offset: int
) -> tuple[Sequence[RowMapping], int]:
    """Return the tasks with a star of the caller, the latest star first, and how many there are."""
    mine, parameters = seen_tasks(sight_of(caller)), seen_by(caller)
    total = await reader.scalar(select(func.count()).select_from(STARRED).where(*mine), parameters)
    query = select(*SHOWN, *HELD).select_from(STARRED).where(*mine)
    query = query.order_by(star.c.created_at.desc(), task.c.id.desc()).limit(limit).offset(offset)
    return (await reader.execute(query, parameters)).mappings().all(), total or 0
