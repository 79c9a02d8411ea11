"""Forgetting events that have long left. A change log is kept by its own rules, not by these."""

from datetime import timedelta

from sqlalchemy import Table
from sqlalchemy.ext.asyncio import AsyncSession

from chassis.clock import utcnow
from chassis.db.purging import delete_batch
from chassis.outbox.models import SENT

KEPT = timedelta(days=7)


async def purge(session: AsyncSession, table: Table) -> bool:
    """Delete a batch of events that were sent more than 7 days ago; return whether there may be more."""
    return await delete_batch(session, table, table.c.state == SENT, table.c.sent_at < utcnow() - KEPT)
