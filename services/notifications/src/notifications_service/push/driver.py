"""The channel of pushes: which service a device's are sent by."""

from collections.abc import Mapping
from typing import Any, Protocol

from chassis.sealing import KeyRing, SealError
from sqlalchemy.ext.asyncio import AsyncSession

from notifications_service.deliveries.drivers import Outgoing, Postpone, Sent
from notifications_service.devices import repository
from notifications_service.devices.service import address_of
from notifications_service.push.messages import Push, push_of


class PushService(Protocol):
    """What takes pushes for one kind of device. Raises Postpone, Refused or TargetGone."""

    async def send(self, address: str, push: Push) -> Sent: ...


class PushDriver:
    """Sends to devices by the service of their kind; the kinds that have none here wait."""

    def __init__(self, ring: KeyRing, services: Mapping[str, PushService]) -> None:
        self._ring = ring
        self._services = services

    def render(self, message: Outgoing) -> Mapping[str, Any]:
        """Return what would be sent."""
        push = push_of(message)
        about = {"device_id": str(message.target["id"]), "device_kind": message.target["kind"]}
        shown = {"title": push.title, "body": push.body, "data": push.data}
        return {**about, **shown, "urgent": push.is_urgent, "topic": push.topic}

    async def send(self, message: Outgoing) -> Sent:
        """Send to a device. Raises Postpone, Refused or TargetGone."""
        service = self._services.get(message.target["kind"])
        if service is None:
            raise Postpone("not_configured")
        try:
            address = address_of(message.target, self._ring)
        except SealError:
            raise Postpone("sealed") from None
        return await service.send(address, push_of(message))

    async def drop_target(self, session: AsyncSession, message: Outgoing, reason: str) -> None:  # noqa: ARG002 - as all
        """Forget a device that is gone."""
        await repository.remove_unscoped(session, message.target["id"])
