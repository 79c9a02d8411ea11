"""What this installation can send, and what its requests may need for that; read once, passed down."""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Annotated, cast

from chassis.egress.client import Egress
from chassis.egress.rules import EgressRules, UrlNotAllowed
from chassis.sealing import KeyRing
from fastapi import Depends, Request

from notifications_service.deliveries.drivers import Driver


@dataclass(frozen=True, slots=True)
class ChannelTerms:
    """How channels are set up.

    `rules` say where requests may go, `chat` posts to chats at once, and `devices` are the kinds of device that are
    sent to. With `records` nothing leaves, and everything can be set up.
    """

    ring: KeyRing
    egress: Egress
    rules: EgressRules
    chat: Driver
    devices: Collection[str] = ()
    vapid_public_key: str | None = None
    records: bool = False

    async def check(self, url: str, *, field: str, asks_dns: bool = True) -> None:
        """Refuse a URL that requests may not go to, by what it says and what DNS says of it. Raises UrlNotAllowed."""
        try:
            if asks_dns:
                await self.egress.check(url)
            else:
                self.rules.target(url)
        except UrlNotAllowed as error:
            raise UrlNotAllowed(error.message, field=field) from None


async def channel_terms(request: Request) -> ChannelTerms:
    """Return how channels are set up."""
    return cast("ChannelTerms", request.app.state.channels)


Channels = Annotated[ChannelTerms, Depends(channel_terms)]
