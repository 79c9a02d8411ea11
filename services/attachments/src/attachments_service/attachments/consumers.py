"""Files of tasks that are gone for good."""

from chassis.broker.consumer import consumer
from chassis.outbox.envelope import EventEnvelope
from sqlalchemy.ext.asyncio import AsyncSession

from attachments_service.attachments import service
from attachments_service.attachments.schemas import PurgedTask


@consumer(queue="attachments.purging", types=["task.purged.v1"])
async def on_task_purged(event: EventEnvelope, session: AsyncSession) -> None:
    """Remove the files of a task that was deleted permanently; their bytes go with the orphans."""
    task = PurgedTask.model_validate(event.data)
    await service.drop_files(session, task=task)
