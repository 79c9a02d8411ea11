"""How endpoints come by a webhook, by the keys of the service, and by a URL that requests may go to."""

from typing import Annotated
from uuid import UUID

import orjson
from chassis.egress.client import Egress
from chassis.egress.rules import UrlNotAllowed
from chassis.sealing import KeyRing
from chassis.web.database import PrimaryConnection, Writing
from chassis.web.identity import CurrentPrincipal
from chassis.web.routing import refuses
from fastapi import Depends, Path, Request
from sqlalchemy import RowMapping

from notifications_service.webhooks.errors import WebhookMissing
from notifications_service.webhooks.repository import find_visible
from notifications_service.webhooks.service import find_held, require_owner

WebhookId = Annotated[UUID, Path(description="Id of the webhook.")]


async def readable_webhook(
    webhook_id: WebhookId, caller: CurrentPrincipal, connection: PrimaryConnection
) -> RowMapping:
    """Load a webhook that the caller may see. Raises WebhookMissing."""
    row = await find_visible(connection, caller=caller, webhook_id=webhook_id)
    if row is None:
        raise WebhookMissing
    return row


async def held_webhook(webhook_id: WebhookId, caller: CurrentPrincipal, write: Writing) -> RowMapping:
    """Load a webhook that the caller may see and end, in its transaction. Raises WebhookMissing."""
    return await find_held(write.session, caller=caller, webhook_id=webhook_id)


async def own_webhook(held: Annotated[RowMapping, Depends(held_webhook)], caller: CurrentPrincipal) -> RowMapping:
    """Load a webhook for what its owner alone may do, in its transaction. Raises WebhookMissing, Forbidden."""
    require_owner(held, caller)
    return held


@refuses(UrlNotAllowed)
async def allowed_url(request: Request, caller: CurrentPrincipal) -> None:  # noqa: ARG001 - nobody else asks DNS
    """Refuse a URL in the body that requests may not go to, before the transaction begins. Raises UrlNotAllowed.

    What the body is otherwise is looked at where it is read.
    """
    try:
        given = orjson.loads(await request.body())
    except orjson.JSONDecodeError:
        return
    url = given.get("url") if isinstance(given, dict) else None
    egress: Egress = request.app.state.egress
    if isinstance(url, str) and url:
        try:
            await egress.check(url)
        except UrlNotAllowed as error:
            raise UrlNotAllowed(error.message, field="url") from None


def sealing(request: Request) -> KeyRing:
    """Return what seals secrets at rest."""
    ring: KeyRing = request.app.state.ring
    return ring


ReadableWebhook = Annotated[RowMapping, Depends(readable_webhook, scope="function")]
HeldWebhook = Annotated[RowMapping, Depends(held_webhook, scope="function")]
OwnWebhook = Annotated[RowMapping, Depends(own_webhook, scope="function")]
AllowedUrl = Annotated[None, Depends(allowed_url)]
Sealing = Annotated[KeyRing, Depends(sealing)]
