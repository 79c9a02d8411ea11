"""Facts about attachments."""

from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

from chassis.clock import utcnow
from chassis.context import current_request
from chassis.db.base import table_of
from chassis.ids import uuid7
from chassis.outbox.envelope import EventEnvelope
from chassis.outbox.publishing import publish
from sqlalchemy import RowMapping
from sqlalchemy.ext.asyncio import AsyncSession

from attachments_service.attachments.schemas import AttachmentOut
from attachments_service.db import Outbox

SOURCE_NAME = "/taskloom/attachments"
ATTACHMENT_CREATED = "attachment.created.v1"
ATTACHMENT_DELETED = "attachment.deleted.v1"


async def attachment_changed(
    session: AsyncSession,
    event_type: str,
    row: RowMapping,
    *,
    actor: Mapping[str, Any] | None,
    audience: Sequence[UUID],
) -> None:
    """Tell of a file that came or went; its stream is the file itself."""
    request = current_request()
    sequence = row["version"] + (event_type == ATTACHMENT_DELETED)
    envelope = EventEnvelope(
        event_id=uuid7(),
        type=event_type,
        source=SOURCE_NAME,
        subject=row["id"],
        occurred_at=utcnow(),
        stream_id=row["id"],
        sequence=sequence,
        traceparent=request.traceparent,
        data={
            "entity_type": "attachment",
            "entity_id": str(row["id"]),
            "version": sequence,
            "actor": None if actor is None else dict(actor),
            "changes": [],
            "audience": [str(user_id) for user_id in audience],
            "request_id": request.request_id,
            "workspace_id": str(row["workspace_id"]),
            "resource": AttachmentOut.model_validate(dict(row)).model_dump(mode="json"),
        },
    )
    await publish(session, table_of(Outbox), envelope)
