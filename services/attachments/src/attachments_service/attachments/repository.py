"""All SQL on attachments."""

from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

from chassis.db.base import table_of
from chassis.db.purging import delete_batch
from sqlalchemy import RowMapping, delete, func, insert, select
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncSession

from attachments_service.attachments.models import Attachment

attachment = table_of(Attachment)


async def add(session: AsyncSession, values: Mapping[str, Any]) -> RowMapping:
    """Insert an attachment."""
    return (await session.execute(insert(attachment).values(**values).returning(*attachment.c))).mappings().one()


async def count_of_task_locked(session: AsyncSession, task_id: UUID) -> int:
    """Count a task's files while no other transaction can add one."""
    await session.execute(select(func.pg_advisory_xact_lock(func.hashtextextended(str(task_id), 0))))
    query = select(func.count()).select_from(attachment).where(attachment.c.task_id == task_id)
    return (await session.execute(query)).scalar_one()


async def find_unscoped(reader: AsyncConnection, attachment_id: UUID) -> RowMapping | None:
    """Return an attachment whoever asks; whether the caller may see its task is asked next."""
    return (await reader.execute(select(attachment).where(attachment.c.id == attachment_id))).mappings().one_or_none()


async def known_unscoped(session: AsyncSession, object_ids: Sequence[UUID]) -> set[UUID]:
    """Return those of the ids that are attachments."""
    query = select(attachment.c.id).where(attachment.c.id.in_(object_ids))
    return set((await session.execute(query)).scalars())


async def list_of_task(
    reader: AsyncConnection, task_id: UUID, *, limit: int, offset: int
) -> tuple[Sequence[RowMapping], int]:
    """Return a task's files, the oldest first, and how many there are."""
    mine = attachment.c.task_id == task_id
    total = (await reader.execute(select(func.count()).select_from(attachment).where(mine))).scalar_one()
    query = select(attachment).where(mine).order_by(attachment.c.id).limit(limit).offset(offset)
    return (await reader.execute(query)).mappings().all(), total


async def find_after(session: AsyncSession, last: UUID, *, limit: int) -> Sequence[RowMapping]:
    """Return the next files in the order of their ids, and keep them from being deleted meanwhile."""
    query = select(attachment).where(attachment.c.id > last).order_by(attachment.c.id).limit(limit)
    return (await session.execute(query.with_for_update(read=True, key_share=True))).mappings().all()


async def remove_of_task(session: AsyncSession, task_id: UUID) -> Sequence[RowMapping]:
    """Delete the files of a task, and return them."""
    statement = delete(attachment).where(attachment.c.task_id == task_id).returning(*attachment.c)
    return (await session.execute(statement)).mappings().all()


async def remove_of_workspace(session: AsyncSession, workspace_id: UUID) -> bool:
    """Delete at most 1,000 files of a workspace; tell whether there may be more."""
    return await delete_batch(session, attachment, attachment.c.workspace_id == workspace_id)


async def remove(session: AsyncSession, attachment_id: UUID) -> bool:
    """Delete an attachment; tell whether it was there."""
    statement = delete(attachment).where(attachment.c.id == attachment_id).returning(attachment.c.id)
    return (await session.execute(statement)).one_or_none() is not None
