"""How endpoints come by a webhook, and by a URL that requests may go to."""

from typing import Annotated
from uuid import UUID

from chassis.egress.rules import UrlNotAllowed
from chassis.web.database import PrimaryConnection, Writing
from chassis.web.identity import CurrentPrincipal
from chassis.web.routing import refuses
from fastapi import Depends, Path, Request
from sqlalchemy import RowMapping

from notifications_service.scopes.access import await_scopes
from notifications_service.terms import Channels
from notifications_service.webhooks.errors import WebhookMissing
from notifications_service.webhooks.repository import find_visible
from notifications_service.webhooks.schemas import WebhookCreate, WebhookPatch
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
async def allowed_webhook(
    request: Request, body: WebhookCreate, caller: CurrentPrincipal, channels: Channels
) -> WebhookCreate:
    """Return a body whose URL requests may go to, and whose scope is known here if its caller sees it.

    Before the transaction, since DNS is asked. Raises UrlNotAllowed.
    """
    await channels.check(body.url, field="url")
    if body.scope.type != "user" and body.scope.id is not None:
        await await_scopes(request, caller, [(body.scope.type, body.scope.id)])
    return body


@refuses(UrlNotAllowed)
async def allowed_patch(body: WebhookPatch, _caller: CurrentPrincipal, channels: Channels) -> WebhookPatch:
    """Do the same for a change. Raises UrlNotAllowed."""
    if "url" in body.given():
        await channels.check(body.url, field="url")
    return body


ReadableWebhook = Annotated[RowMapping, Depends(readable_webhook, scope="function")]
HeldWebhook = Annotated[RowMapping, Depends(held_webhook, scope="function")]
OwnWebhook = Annotated[RowMapping, Depends(own_webhook, scope="function")]
AllowedWebhook = Annotated[WebhookCreate, Depends(allowed_webhook)]
AllowedPatch = Annotated[WebhookPatch, Depends(allowed_patch)]
