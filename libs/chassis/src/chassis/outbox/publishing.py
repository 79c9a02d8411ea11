"""Writing events down in the transaction of what they tell (R45); nothing else may talk to the broker."""

from sqlalchemy import Table, func, insert, select
from sqlalchemy.ext.asyncio import AsyncSession

from chassis.outbox.envelope import EventEnvelope


async def publish(session: AsyncSession, table: Table, envelope: EventEnvelope) -> None:
    """Add the event to the outbox `table`; it leaves after the commit, or never if there is none."""
    row = envelope.model_dump(exclude={"source"})
    await session.execute(insert(table), [row])
    await wake_relay(session, relay_channel(table))


async def wake_relay(session: AsyncSession, channel: str) -> None:
    """Tell the relay, at commit, that there is something to send."""
    await session.execute(select(func.pg_notify(channel, "")))


def relay_channel(table: Table) -> str:
    """Return the channel on which the relay of a table listens."""
    return f"{table.schema}_outbox"
