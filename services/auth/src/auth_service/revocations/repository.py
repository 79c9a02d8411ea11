"""All SQL on revocation marks."""

import zlib
from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from chassis.db.base import table_of
from chassis.db.purging import delete_batch
from sqlalchemy import RowMapping, func, insert, select
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncSession

from auth_service.revocations.models import Revocation

revocation = table_of(Revocation)

LOCK = zlib.crc32(b"auth.revocation")


async def add(
    session: AsyncSession,
    kind: str,
    subjects: Sequence[UUID],
    *,
    expires_at: datetime,
    not_before: datetime | None = None,
) -> None:
    """Insert marks, one transaction after the other, so that ids become visible in their order.

    Readers ask for what is newer than the last id they saw; an id that appeared after a higher one would
    never be asked for.
    """
    await session.execute(select(func.pg_advisory_xact_lock(LOCK)))
    terms = {"kind": kind, "not_before": not_before, "expires_at": expires_at}
    rows = [{**terms, "subject": subject} for subject in subjects]
    await session.execute(insert(revocation), rows)


async def since(reader: AsyncConnection, last_id: int, *, limit: int) -> Sequence[RowMapping]:
    """Return the marks after an id that still matter, in order."""
    query = (
        select(revocation)
        .where(revocation.c.id > last_id, revocation.c.expires_at > func.now())
        .order_by(revocation.c.id)
        .limit(limit)
    )
    return (await reader.execute(query)).mappings().all()


async def purge(session: AsyncSession) -> bool:
    """Delete a batch of marks whose tokens have all expired; return whether there may be more."""
    return await delete_batch(session, revocation, revocation.c.expires_at < func.now())
