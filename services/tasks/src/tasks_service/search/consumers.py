"""What the attachments service tells of files: their names are searched."""

from chassis.broker.consumer import consumer
from chassis.outbox.envelope import EventEnvelope
from pydantic import BaseModel
from sqlalchemy.ext.asyncio import AsyncSession

from tasks_service.search.schemas import AttachmentResource
from tasks_service.search.service import keep_name

ATTACHMENT_DELETED = "attachment.deleted.v1"


class AttachmentChange(BaseModel):
    version: int
    resource: AttachmentResource


@consumer(queue="tasks.attachments", types=["attachment.*.v1"])
async def on_attachment(event: EventEnvelope, session: AsyncSession) -> None:
    """Keep the names of attachments: the newest state counts, in whatever order events come, and an end is final."""
    change = AttachmentChange.model_validate(event.data)
    is_there = event.type != ATTACHMENT_DELETED
    await keep_name(session, attachment=change.resource, version=change.version, is_there=is_there)
