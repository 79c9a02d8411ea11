"""All SQL on recorded messages: each is for its user."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from chassis.db.base import table_of
from chassis.db.purging import delete_batch
from sqlalchemy import RowMapping, delete, func, select, tuple_
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncSession

from notifications_service.recording.models import RecordedMessage

recorded = table_of(RecordedMessage)


async def add(session: AsyncSession, values: Mapping[str, Any]) -> None:
    """Keep a message; the same delivery again is the same one."""
    await session.execute(insert(recorded).values(**values).on_conflict_do_nothing())


async def of_user(
    reader: AsyncConnection,
    *,
    user_id: UUID,
    channel: str | None,
    since: datetime | None,
    before: tuple[datetime, UUID] | None,
    limit: int,
) -> Sequence[RowMapping]:
    """Return a user's messages, the last one first."""
    query = select(recorded).where(recorded.c.user_id == user_id)
    if channel is not None:
        query = query.where(recorded.c.channel == channel)
    if since is not None:
        query = query.where(recorded.c.recorded_at >= since)
    if before is not None:
        query = query.where(tuple_(recorded.c.recorded_at, recorded.c.id) < tuple_(*before))
    query = query.order_by(recorded.c.recorded_at.desc(), recorded.c.id.desc()).limit(limit)
    return (await reader.execute(query)).mappings().all()


async def remove_of_user(session: AsyncSession, user_id: UUID) -> None:
    """Forget what was recorded for somebody."""
    await session.execute(delete(recorded).where(recorded.c.user_id == user_id))


async def purge(session: AsyncSession, *, older_than: timedelta) -> bool:
    """Forget messages that were recorded so long ago, a thousand at a time."""
    return await delete_batch(session, recorded, recorded.c.recorded_at < func.now() - older_than)
