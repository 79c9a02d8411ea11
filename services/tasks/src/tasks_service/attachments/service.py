"""What comes of a file that was attached, or taken off: it is in the history of its task, and its name is searched."""

from chassis.outbox.envelope import EventEnvelope
from sqlalchemy.ext.asyncio import AsyncSession

from tasks_service.attachments import repository
from tasks_service.attachments.events import ATTACHMENT_CREATED, attachment_changed
from tasks_service.attachments.schemas import AttachmentChange
from tasks_service.changes import service as changes
from tasks_service.changes.schemas import Origin
from tasks_service.search.service import keep_name


async def take_in(session: AsyncSession, event: EventEnvelope, told: AttachmentChange) -> None:
    """Take in an event on a file of a task; what is of a task that is gone is of nobody's interest.

    The change is recorded under the event's own id. One without an actor tells again what is known, and is no change.
    """
    task = await repository.hold_task(session, told.resource.task_id)
    if task is None:
        return
    is_there = event.type == ATTACHMENT_CREATED
    await keep_name(
        session,
        attachment_id=told.resource.id,
        task_id=task["id"],
        name=told.resource.name if is_there else None,
        version=told.version,
    )
    if told.actor is not None:
        await changes.record_told(
            session,
            workspace_id=task["workspace_id"],
            draft=attachment_changed(event.type, told, task),
            origin=Origin(event.event_id, told.actor, event.occurred_at),
        )
