"""Claiming an event before working on it."""

from collections.abc import Collection
from datetime import timedelta
from uuid import UUID

from sqlalchemy import Table, literal, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from chassis.clock import utcnow
from chassis.db.arrays import rows_of, uuids
from chassis.db.purging import delete_batch

KEPT = timedelta(days=14)


async def claim(session: AsyncSession, table: Table, *, consumer: str, event_id: UUID) -> bool:
    """Enter the event for the consumer; False when it is there already.

    Waits for a transaction that is claiming the same event, and takes over if that one rolls back.
    """
    statement = insert(table).values(consumer=consumer, event_id=event_id).on_conflict_do_nothing()
    return (await session.execute(statement.returning(table.c.event_id))).one_or_none() is not None


async def claim_all(
    session: AsyncSession, table: Table, *, consumer: str, event_ids: Collection[UUID]
) -> frozenset[UUID]:
    """Enter events for the consumer, as `claim` does; return those that are not there already.

    They are entered in one order, so that two who claim some of the same wait for each other and not in a ring.
    """
    events = rows_of("events", id=uuids(sorted(event_ids)))
    claimed = select(literal(consumer), events.c.id).order_by(events.c.id)
    statement = insert(table).from_select(["consumer", "event_id"], claimed).on_conflict_do_nothing()
    return frozenset((await session.execute(statement.returning(table.c.event_id))).scalars())


async def purge(session: AsyncSession, table: Table) -> bool:
    """Forget a batch of events that came in more than 14 days ago; return whether there may be more."""
    return await delete_batch(session, table, table.c.received_at < utcnow() - KEPT)
