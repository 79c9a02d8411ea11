"""Sending what is due: claim in one transaction, send outside of any, note the outcome in another."""

import asyncio
import random
from collections.abc import Awaitable, Callable, Mapping

import structlog
from chassis.db.engine import Database
from chassis.db.transactions import transaction
from prometheus_client import Counter
from sqlalchemy import RowMapping
from sqlalchemy.ext.asyncio import AsyncSession

from notifications_service.deliveries import service
from notifications_service.deliveries.drivers import Driver, Outgoing, Postpone, Sent, TargetGone, Undelivered
from notifications_service.deliveries.rules import LEASE
from notifications_service.deliveries.service import Prepare
from notifications_service.sending.rounds import Begun, Rounds, Slots, note_until

log = structlog.get_logger()

DELIVERIES = Counter(
    "taskloom_deliveries_total", "Messages by channel and by how an attempt to send went.", ["channel", "outcome"]
)

AT_ONCE = 8
"""Messages under way on one channel."""
POLL_SECONDS = 1.0
LONGEST = 45.0
"""Seconds that sending may take: less than the lease, so that nobody else sends the same meanwhile."""


class DeliverySender:
    """Sends what is due on each channel, several messages at once; any number of senders may share the work.

    Channels do not wait for each other, nor does one target of a channel for another.
    """

    def __init__(
        self,
        database: Database,
        drivers: Mapping[str, Driver],
        prepare: Prepare,
        *,
        poll_seconds: float = POLL_SECONDS,
    ) -> None:
        self._channels = [_Channel(database, name, driver, prepare) for name, driver in drivers.items()]
        self._rounds = Rounds(database, channel=service.CHANNEL, poll_seconds=poll_seconds, subject="delivery")

    async def run(self, stop: asyncio.Event) -> None:
        """Send until `stop` is set, and finish what is under way. Trouble with the database is waited out."""
        try:
            await self._rounds.run(stop, [one.slots.lane for one in self._channels])
        finally:
            await asyncio.gather(*(one.slots.finish() for one in self._channels))


class _Channel:
    def __init__(self, database: Database, name: str, driver: Driver, prepare: Prepare) -> None:
        self._database = database
        self._name = name
        self._driver = driver
        self._prepare = prepare
        self.slots = Slots(AT_ONCE, self._take)

    async def _take(self, room: int) -> Begun:
        async with transaction(self._database) as session:
            claimed = await service.claim_deliveries(session, channel=self._name, limit=room, prepare=self._prepare)
        return [self._send(row, message) for row, message in claimed.messages], claimed.has_more

    async def _send(self, row: RowMapping, message: Outgoing) -> None:
        try:
            async with asyncio.timeout(LONGEST):
                sent = await self._driver.send(message)
        except Undelivered as error:
            await self._note_failure(row, message, error)
        except TimeoutError:
            await self._note_failure(row, message, Postpone("timeout"))
        except Exception:
            # One message that breaks our own code must not keep the others from leaving.
            log.exception("delivery.broken", **_about(row))
            await self._note_failure(row, message, Postpone("broken"))
        else:
            await self._note_sent(row, sent)

    async def _note_sent(self, row: RowMapping, sent: Sent) -> None:
        async def note(session: AsyncSession) -> bool:
            return await service.note_sent(session, row=row, provider_id=sent.provider_id)

        await self._note(row, "sent", note)

    async def _note_failure(self, row: RowMapping, message: Outgoing, error: Undelivered) -> None:
        chance = random.random()

        async def note(session: AsyncSession) -> bool:
            kept = await service.note_undelivered(session, row=row, error=error, chance=chance)
            if kept and isinstance(error, TargetGone):
                await self._driver.drop_target(session, message, error.reason)
                if row["target_id"] is not None:
                    await service.give_up_target(session, target_id=row["target_id"])
            return kept

        await self._note(row, "postponed" if isinstance(error, Postpone) else "failed", note, reason=error.reason)

    async def _note(
        self, row: RowMapping, outcome: str, note: Callable[[AsyncSession], Awaitable[bool]], **fields: str
    ) -> None:
        """Write an outcome down while the lease lasts."""
        seconds = LEASE.total_seconds() - LONGEST
        kept = await note_until(self._database, note, seconds=seconds, subject="delivery")
        DELIVERIES.labels(self._name, outcome).inc()
        report = log.info if outcome == "sent" else log.warning
        report("delivery.settled", **_about(row), outcome=outcome, noted=kept, **fields)


def _about(row: RowMapping) -> dict[str, str | int]:
    return {"delivery_id": str(row["id"]), "channel": row["channel"], "attempts": row["attempts"]}
