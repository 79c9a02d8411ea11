from typing import Annotated
from uuid import UUID

from chassis.errors import CursorMismatch, Forbidden, InvalidCursor
from chassis.paging import SortedWalk
from chassis.web.app import APIRouter
from chassis.web.database import PrimaryConnection, Writing
from chassis.web.envelope import Envelope, PageEnvelope
from chassis.web.identity import CurrentPrincipal
from chassis.web.openapi import errors, example, page_example
from chassis.web.pagination import CursorPaging, cursor_links
from chassis.web.replies import reply
from chassis.web.routing import scope
from fastapi import Query, Request, Response

from notifications_service.webhook_deliveries import repository, service
from notifications_service.webhook_deliveries.access import DeliveryId, EventPatterns, ReadableDelivery
from notifications_service.webhook_deliveries.errors import CursorExpired, DeliveryMissing, NothingBetween
from notifications_service.webhook_deliveries.rules import State
from notifications_service.webhook_deliveries.schemas import (
    DELIVERY_EXAMPLE,
    DETAIL_EXAMPLE,
    PENDING_EXAMPLE,
    REPLAY_EXAMPLE,
    DeliveryDetailOut,
    DeliveryOut,
    ReplayIn,
    ReplayOut,
)
from notifications_service.webhook_sending.showing import request_shown
from notifications_service.webhooks.access import OwnWebhook, ReadableWebhook
from notifications_service.webhooks.errors import WebhookDisabled, WebhookMissing

router = APIRouter(prefix="/api/v1/webhooks/{webhook_id}", tags=["webhooks"])


@router.get(
    "/deliveries",
    summary="List a webhook's deliveries",
    description="What was sent to a webhook in the last 30 days, and what waits, the youngest first.",
    response_model=PageEnvelope[DeliveryOut],
    responses={
        200: page_example(DELIVERY_EXAMPLE, description="One part of the deliveries."),
        **errors(WebhookMissing, InvalidCursor, CursorMismatch),
    },
)
@scope("webhooks:manage")
async def list_deliveries(
    request: Request,
    webhook: ReadableWebhook,
    caller: CurrentPrincipal,
    connection: PrimaryConnection,
    paging: CursorPaging,
    events: EventPatterns,
    state: Annotated[State | None, Query(description="Only those that are so.")] = None,
) -> Response:
    query = f"deliveries|{caller.user_id}|{webhook['id']}|{state}|{','.join(events)}".encode()
    walk = SortedWalk(paging, request.app.state.cursors, query=query, read=lambda place: UUID(str(place[0])))
    edge = None if walk.edge is None else (walk.edge, walk.backwards)
    rows = await repository.list_of(
        connection, webhook_id=webhook["id"], state=state, events=events, edge=edge, limit=walk.limit
    )
    page = walk.shown(rows, place=lambda row: [str(row["id"])])
    return reply([DeliveryOut.of(row) for row in page.rows], meta=page.meta, headers=cursor_links(request, page.meta))


@router.get(
    "/deliveries/{delivery_id}",
    summary="Read a delivery",
    description="One delivery with all attempts at it, and what is sent for it, as far as you see the event.",
    response_model=Envelope[DeliveryDetailOut],
    responses={
        200: example(DETAIL_EXAMPLE, description="The delivery."),
        **errors(WebhookMissing, DeliveryMissing),
    },
)
@scope("webhooks:manage")
async def read_delivery(
    request: Request,
    found: ReadableDelivery,
    webhook: ReadableWebhook,
    caller: CurrentPrincipal,
    connection: PrimaryConnection,
) -> Response:
    attempts = await repository.attempts_of(connection, found["id"])
    shown = await request_shown(
        connection, delivery=found, webhook=webhook, caller=caller, signer=request.app.state.cursors
    )
    return reply(DeliveryDetailOut.detailed(found, attempts, shown))


@router.post(
    "/deliveries/{delivery_id}/redeliver",
    status_code=202,
    summary="Send a delivery again",
    description="Puts a delivery back in line, at once, whatever became of it; its `webhook-id` stays the same.",
    response_model=Envelope[DeliveryOut],
    responses={
        202: example(PENDING_EXAMPLE, description="It is on its way."),
        **errors(WebhookMissing, DeliveryMissing, Forbidden, WebhookDisabled),
    },
)
@scope("webhooks:manage")
async def redeliver(delivery_id: DeliveryId, own: OwnWebhook, write: Writing) -> Response:
    row = await service.redeliver(write.session, webhook=own, delivery_id=delivery_id)
    return write.reply(DeliveryOut.of(row), status=202, about=own["workspace_id"])


@router.post(
    "/test",
    status_code=202,
    summary="Send a test",
    description=(
        "Sends an event `webhook.test`, once, also to a webhook that is disabled. Read the delivery to see what came "
        "of it; it counts neither for nor against the webhook."
    ),
    response_model=Envelope[DeliveryOut],
    responses={
        202: example(
            {**PENDING_EXAMPLE, "kind": "test", "event": "webhook.test"}, description="The test is on its way."
        ),
        **errors(WebhookMissing, Forbidden),
    },
)
@scope("webhooks:manage")
async def send_test(own: OwnWebhook, write: Writing) -> Response:
    row = await service.send_test(write.session, webhook=own)
    return write.reply(DeliveryOut.of(row), status=202, about=own["workspace_id"])


@router.post(
    "/replay",
    status_code=202,
    summary="Send events again",
    description=(
        "Sends what came between two positions, up to 30 days back, whether it was sent before or not: after an "
        "outage, or to a new webhook. Filters and access are those of now, and each event keeps its `webhook-id`. "
        "Streams that `from_cursor` does not name are left out. One request looks at up to 2,000 events."
    ),
    response_model=Envelope[ReplayOut],
    responses={
        202: example(REPLAY_EXAMPLE, description="The events are on their way."),
        **errors(WebhookMissing, Forbidden, WebhookDisabled, InvalidCursor, CursorExpired, NothingBetween),
    },
)
@scope("webhooks:manage")
async def replay(request: Request, body: ReplayIn, own: OwnWebhook, write: Writing) -> Response:
    signer = request.app.state.cursors
    start = signer.read_position(body.from_cursor, field="from_cursor")
    end = None if body.to_cursor is None else signer.read_position(body.to_cursor, field="to_cursor")
    count, position = await service.replay(write.session, webhook=own, start=start, end=end)
    shown = ReplayOut(count=count, next_cursor=service.position_of(signer, position))
    return write.reply(shown, status=202, about=own["workspace_id"])
