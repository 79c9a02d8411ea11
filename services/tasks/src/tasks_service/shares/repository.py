"""All SQL on shares of tasks. The row of the task is locked while they change."""

from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

from chassis.db.base import table_of
from chassis.identity import Principal
from sqlalchemy import RowMapping, delete, func, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncSession

from tasks_service.directory.repository import SHOWN_NAME, person
from tasks_service.shares.models import TaskShare
from tasks_service.tasks.repository import HELD, SHOWN
from tasks_service.visibility.repository import CALLER_ID, TASKS, member, seen_by, seen_tasks, sight_of, task

share = table_of(TaskShare)

Reader = AsyncConnection | AsyncSession

NAMED = share.outerjoin(person, person.c.id == share.c.user_id)
SHARED_WITH_CALLER = TASKS.join(share, (share.c.task_id == task.c.id) & (share.c.user_id == CALLER_ID))


async def is_member(session: AsyncSession, *, workspace_id: UUID, user_id: UUID) -> bool:
    """Tell whether somebody is a member of a workspace."""
    query = select(member.c.id).where(member.c.workspace_id == workspace_id, member.c.user_id == user_id)
    return await session.scalar(query) is not None


async def find(session: AsyncSession, *, task_id: UUID, user_id: UUID) -> RowMapping | None:
    """Return the share of a task with somebody, with the name."""
    query = (
        select(*share.c, SHOWN_NAME).select_from(NAMED).where(share.c.task_id == task_id, share.c.user_id == user_id)
    )
    return (await session.execute(query)).mappings().one_or_none()


async def add(session: AsyncSession, values: Mapping[str, Any]) -> None:
    """Note a share."""
    await session.execute(insert(share).values(**values))


async def change_role(session: AsyncSession, share_id: UUID, role: str) -> None:
    """Note another role."""
    await session.execute(update(share).where(share.c.id == share_id).values(role=role, version=share.c.version + 1))


async def remove(session: AsyncSession, *, task_id: UUID, user_id: UUID) -> RowMapping | None:
    """End a share, and return it; None where there is none."""
    statement = delete(share).where(share.c.task_id == task_id, share.c.user_id == user_id).returning(*share.c)
    return (await session.execute(statement)).mappings().one_or_none()


async def list_of(
    reader: AsyncConnection, task_id: UUID, *, limit: int, offset: int
) -> tuple[Sequence[RowMapping], int]:
    """Return the shares of a task, the oldest first, with names, and how many there are."""
    total = await reader.scalar(select(func.count()).select_from(share).where(share.c.task_id == task_id))
    query = select(*share.c, SHOWN_NAME).select_from(NAMED).where(share.c.task_id == task_id)
    query = query.order_by(share.c.id).limit(limit).offset(offset)
    return (await reader.execute(query)).mappings().all(), total or 0


async def list_shared_with(
    reader: AsyncConnection, caller: Principal, *, limit: int, offset: int
) -> tuple[Sequence[RowMapping], int]:
    """Return the tasks that are shared with the caller, the latest share first, and how many there are."""
    mine, parameters = seen_tasks(sight_of(caller)), seen_by(caller)
    total = await reader.scalar(select(func.count()).select_from(SHARED_WITH_CALLER).where(*mine), parameters)
    query = select(*SHOWN, *HELD).select_from(SHARED_WITH_CALLER).where(*mine)
    query = query.order_by(share.c.id.desc()).limit(limit).offset(offset)
    return (await reader.execute(query, parameters)).mappings().all(), total or 0
