"""Writing events down in the transaction of what they tell (R45); nothing else may talk to the broker."""

from sqlalchemy import Table, insert
from sqlalchemy.ext.asyncio import AsyncSession

from chassis.db.telling import say_after_commit
from chassis.outbox.envelope import EventEnvelope


async def publish(session: AsyncSession, table: Table, *envelopes: EventEnvelope) -> None:
    """Add events to the outbox `table`, in one statement; they leave after the commit, or never if there is none."""
    if not envelopes:
        return
    rows = [envelope.model_dump(exclude={"source"}) for envelope in envelopes]
    await session.execute(insert(table), rows)
    wake_relay(session, table)


def wake_relay(session: AsyncSession, table: Table) -> None:
    """Have the relay of a table told, after the commit, that there is something to send."""
    say_after_commit(session, relay_channel(table), table.name)


def is_woken(table: Table, payload: str) -> bool:
    """Tell whether what was said on its channel is for the relay of a table: others of its schema share that."""
    return payload in ("", table.name)


def relay_channel(table: Table) -> str:
    """Return the channel on which the relays of a schema's tables listen."""
    return f"{table.schema}_outbox"
