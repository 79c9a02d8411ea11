"""A channel that keeps what it would send."""

from collections.abc import Mapping
from typing import Any

from chassis.clock import utcnow
from chassis.db.engine import Database
from chassis.db.transactions import transaction
from sqlalchemy.ext.asyncio import AsyncSession

from notifications_service.deliveries.drivers import Driver, Outgoing, Sent
from notifications_service.recording import repository

PROVIDER_ID = "recorded"


class RecordingDriver:
    """Keeps what another driver would send; with `passes_on` that sends it, too, and what it took is kept."""

    def __init__(self, database: Database, driver: Driver, *, passes_on: bool = False) -> None:
        self._database = database
        self._driver = driver
        self._passes_on = passes_on

    def render(self, message: Outgoing) -> Mapping[str, Any]:
        """Return what would be sent."""
        return self._driver.render(message)

    async def send(self, message: Outgoing) -> Sent:
        """Keep a message, once however often it is tried. Raises what the other driver raises."""
        sent = await self._driver.send(message) if self._passes_on else Sent(PROVIDER_ID)
        target = message.target.get("id")
        values = {
            "id": message.delivery_id,
            "user_id": message.person.user_id,
            "channel": message.channel,
            "notification_id": message.notification_id,
            "digest_id": message.digest_id,
            "target_id": target,
            "content": dict(self.render(message)),
            "recorded_at": utcnow(),
        }
        async with transaction(self._database) as session:
            await repository.add(session, values)
        return sent

    async def drop_target(self, session: AsyncSession, message: Outgoing, reason: str) -> None:
        """Give up a target that is gone."""
        await self._driver.drop_target(session, message, reason)
