"""Forgetting events that have long left. A change log is kept by its own rules, not by these."""

from datetime import timedelta

from sqlalchemy import Table, delete
from sqlalchemy.ext.asyncio import AsyncSession

from chassis.clock import utcnow
from chassis.outbox.models import SENT

KEPT = timedelta(days=7)


async def purge(session: AsyncSession, table: Table) -> None:
    """Delete events that were sent more than 7 days ago."""
    await session.execute(delete(table).where(table.c.state == SENT, table.c.sent_at < utcnow() - KEPT))
