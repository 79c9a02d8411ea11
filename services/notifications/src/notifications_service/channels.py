"""The ways out of this installation: which driver sends on each channel, and the worker's part that runs them."""

import asyncio
from collections.abc import Awaitable, Callable

from chassis.db.engine import Database
from chassis.egress.client import Egress

from notifications_service.chat.sender import ChatDriver
from notifications_service.deliveries.drivers import Driver
from notifications_service.deliveries.sender import DeliverySender
from notifications_service.mailing.driver import EmailDriver
from notifications_service.outgoing.service import Preparation
from notifications_service.push.driver import PushDriver, PushService
from notifications_service.push.fcm import Fcm
from notifications_service.push.webpush import WebPush
from notifications_service.recording.sender import RecordingDriver
from notifications_service.settings import Settings, egress_rules

Close = Callable[[], Awaitable[None]]


class ChannelSender:
    """Sends notifications on every channel that is set up; what is for one that is not waits."""

    def __init__(self, loaded: Settings, database: Database) -> None:
        self._closing: list[Close] = []
        self._sender = DeliverySender(
            database, self._drivers(loaded, database), Preparation(loaded.mail.tasks_url).prepare
        )

    async def run(self, stop: asyncio.Event) -> None:
        """Send until `stop` is set."""
        try:
            await self._sender.run(stop)
        finally:
            for close in self._closing:
                await close()

    def _drivers(self, loaded: Settings, database: Database) -> dict[str, Driver]:
        ring, records, mail = loaded.sealing.ring(), loaded.channels.records, loaded.mail
        egress = Egress(egress_rules(loaded))
        self._closing.append(egress.close)
        found: dict[str, Driver] = {
            "chat": ChatDriver(ring, egress),
            "push": PushDriver(ring, {} if records else self._push_services(loaded, egress)),
        }
        if records:
            found = {name: RecordingDriver(database, driver) for name, driver in found.items()}
        if mail.server is not None:
            posting = EmailDriver(mail.server, mail.letterhead, ring)
            found["email"] = RecordingDriver(database, posting, passes_on=True) if records else posting
        return found

    def _push_services(self, loaded: Settings, egress: Egress) -> dict[str, PushService]:
        own, found = loaded.channels, dict[str, PushService]()
        if own.vapid_key is not None:
            contact = f"mailto:{loaded.mail.letterhead.sender.addr_spec}"
            found["webpush"] = WebPush(egress, contact, own.vapid_key.get_secret_value())
        if own.fcm is not None:
            found["fcm"] = Fcm(own.fcm)
        if own.apns is not None:
            # Its libraries are an extra; settings have refused to be without.
            from notifications_service.push.apns import Apns  # noqa: PLC0415

            apns = Apns(own.apns)
            self._closing.append(apns.close)
            found["apns"] = apns
        return found
