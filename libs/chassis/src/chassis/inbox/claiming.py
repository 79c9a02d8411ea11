"""Claiming an event before working on it."""

from collections.abc import Collection
from datetime import timedelta
from functools import cache
from typing import Any
from uuid import UUID

from sqlalchemy import String, Table, bindparam, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.sql.dml import ReturningInsert

from chassis.clock import utcnow
from chassis.db.arrays import given_uuids, rows_of
from chassis.db.purging import delete_batch

KEPT = timedelta(days=14)


async def claim(session: AsyncSession, table: Table, *, consumer: str, event_id: UUID) -> bool:
    """Enter the event for the consumer; False when it is there already.

    Waits for a transaction that is claiming the same event, and takes over if that one rolls back.
    """
    return bool(await claim_all(session, table, consumer=consumer, event_ids=[event_id]))


async def claim_all(
    session: AsyncSession, table: Table, *, consumer: str, event_ids: Collection[UUID]
) -> frozenset[UUID]:
    """Enter events for the consumer, as `claim` does; return those that are not there already.

    They are entered in one order, so that two who claim some of the same wait for each other and not in a ring.
    """
    found = await session.execute(_claiming(table), {"of_consumer": consumer, "of_events": sorted(event_ids)})
    return frozenset(found.scalars())


@cache
def _claiming(table: Table) -> ReturningInsert[Any]:
    """Return the statement, which is made once: to make it takes longer than what it does."""
    events = rows_of("events", id=given_uuids("of_events"))
    claimed = select(bindparam("of_consumer", type_=String()), events.c.id).order_by(events.c.id)
    statement = insert(table).from_select(["consumer", "event_id"], claimed).on_conflict_do_nothing()
    return statement.returning(table.c.event_id)


async def purge(session: AsyncSession, table: Table) -> bool:
    """Forget a batch of events that came in more than 14 days ago; return whether there may be more."""
    return await delete_batch(session, table, table.c.received_at < utcnow() - KEPT)
