"""Writing events down in the transaction of what they tell (R45); nothing else may talk to the broker."""

from sqlalchemy import Table, func, insert, select
from sqlalchemy.ext.asyncio import AsyncSession

from chassis.outbox.envelope import EventEnvelope


async def publish(session: AsyncSession, table: Table, *envelopes: EventEnvelope) -> None:
    """Add events to the outbox `table`, in one statement; they leave after the commit, or never if there is none."""
    if not envelopes:
        return
    rows = [envelope.model_dump(exclude={"source"}) for envelope in envelopes]
    await session.execute(insert(table), rows)
    await wake_relay(session, relay_channel(table))


async def wake_relay(session: AsyncSession, channel: str) -> None:
    """Tell the relay, at commit, that there is something to send."""
    await session.execute(select(func.pg_notify(channel, "")))


def relay_channel(table: Table) -> str:
    """Return the channel on which the relay of a table listens."""
    return f"{table.schema}_outbox"
