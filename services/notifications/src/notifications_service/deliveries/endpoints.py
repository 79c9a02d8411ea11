from chassis.web.app import APIRouter
from chassis.web.database import ReadConnection
from chassis.web.envelope import Envelope
from chassis.web.openapi import errors, example
from chassis.web.replies import reply
from chassis.web.routing import scope
from fastapi import Response

from notifications_service.deliveries.repository import of_notification
from notifications_service.deliveries.schemas import DELIVERY_EXAMPLE, DeliveryOut
from notifications_service.inbox.access import ReadableNotification
from notifications_service.inbox.errors import NotificationNotFound

router = APIRouter(prefix="/api/v1/notifications", tags=["notifications"])


@router.get(
    "/{notification_id}/deliveries",
    summary="List how a notification was sent",
    description="On which channels you were told of it, where that went, and what came of it.",
    response_model=Envelope[list[DeliveryOut]],
    responses={200: example([DELIVERY_EXAMPLE], description="Its deliveries."), **errors(NotificationNotFound)},
)
@scope("notifications:read")
async def list_notification_deliveries(found: ReadableNotification, connection: ReadConnection) -> Response:
    return reply([DeliveryOut.of(row) for row in await of_notification(connection, found["id"])])
