"""Where tasks live and who may see them, as the tasks service's events tell."""

from chassis.broker.consumer import consumer
from chassis.outbox.envelope import EventEnvelope
from sqlalchemy.ext.asyncio import AsyncSession

from attachments_service.locations import repository
from attachments_service.locations.schemas import MemberChange, TaskData

MEMBER_REMOVED = "member.removed.v1"
TASK_DELETED = "task.deleted.v1"


@consumer(queue="attachments.locations", types=["task.*.v1", "member.*.v1"])
async def on_change(event: EventEnvelope, session: AsyncSession) -> None:
    """Take in a change; one that is older than what is known changes nothing."""
    if event.type.startswith("member."):
        member = MemberChange.model_validate(event.data).resource
        removed = event.type == MEMBER_REMOVED
        await repository.put_membership(
            session, {**member.model_dump(), "changed_seq": event.sequence, "removed": removed}
        )
        return
    task = TaskData.model_validate(event.data)
    await repository.put_location(
        session,
        {
            "task_id": task.entity_id,
            "workspace_id": task.workspace_id,
            "project_id": task.project_id,
            "changed_seq": event.sequence,
            "deleted": event.type == TASK_DELETED,
        },
    )
