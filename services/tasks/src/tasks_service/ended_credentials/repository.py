"""All SQL on credentials that have ended."""

from datetime import datetime
from uuid import UUID

from chassis.db.base import table_of
from chassis.db.purging import delete_batch
from sqlalchemy import exists, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from tasks_service.ended_credentials.models import EndedCredential

ended = table_of(EndedCredential)


async def add(session: AsyncSession, credential_id: UUID, ended_at: datetime) -> None:
    """Note the end of a credential, unless it is known."""
    values = {"id": credential_id, "ended_at": ended_at}
    await session.execute(insert(ended).values(values).on_conflict_do_nothing())


async def is_there(session: AsyncSession, credential_id: UUID) -> bool:
    """Tell whether a credential has ended."""
    return bool(await session.scalar(select(exists().where(ended.c.id == credential_id))))


async def purge(session: AsyncSession, *, before: datetime) -> bool:
    """Forget a batch of what ended before then; tell whether there may be more."""
    return await delete_batch(session, ended, ended.c.ended_at < before)
