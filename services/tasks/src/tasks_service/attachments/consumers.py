"""What the attachments service tells of files."""

from chassis.broker.consumer import consumer
from chassis.outbox.envelope import EventEnvelope
from sqlalchemy.ext.asyncio import AsyncSession

from tasks_service.attachments.schemas import AttachmentChange
from tasks_service.attachments.service import take_in

SOURCE_NAME = "/taskloom/attachments"
"""Our own entries of the log go out under the same ids, and come back."""


@consumer(queue="tasks.attachments", types=["attachment.*.v1"], sources=[SOURCE_NAME])
async def on_attachment(event: EventEnvelope, session: AsyncSession) -> None:
    """Record what happened, and keep the names: the newest state counts, in whatever order events come."""
    await take_in(session, event, AttachmentChange.model_validate(event.data))
