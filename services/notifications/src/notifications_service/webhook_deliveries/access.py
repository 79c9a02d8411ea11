from typing import Annotated
from uuid import UUID

from chassis.web.database import PrimaryConnection
from fastapi import Depends, Path, Query
from sqlalchemy import RowMapping

from notifications_service.webhook_deliveries.service import find_delivery, wanted_patterns
from notifications_service.webhooks.access import ReadableWebhook

DeliveryId = Annotated[UUID, Path(description="Id of the delivery.")]


async def readable_delivery(
    delivery_id: DeliveryId, webhook: ReadableWebhook, connection: PrimaryConnection
) -> RowMapping:
    """Load a delivery of a webhook that the caller may see. Raises WebhookMissing, DeliveryMissing."""
    return await find_delivery(connection, webhook_id=webhook["id"], delivery_id=delivery_id)


async def event_patterns(
    event: Annotated[
        str | None,
        Query(max_length=1_000, description="Only events of these names, such as `task.updated,comment.*`."),
    ] = None,
) -> tuple[str, ...]:
    """Return the names and patterns that a list is asked for by."""
    return tuple(wanted_patterns(event))


ReadableDelivery = Annotated[RowMapping, Depends(readable_delivery, scope="function")]
EventPatterns = Annotated[tuple[str, ...], Depends(event_patterns)]
