"""Where tasks live and who may see them, as the tasks service's events tell."""

from chassis.broker.consumer import consumer
from chassis.outbox.envelope import EventEnvelope
from sqlalchemy.ext.asyncio import AsyncSession

from attachments_service.locations import repository
from attachments_service.locations.schemas import (
    MemberChange,
    ProjectChange,
    ProjectMemberChange,
    TaskData,
    TaskShareChange,
)

GONE = frozenset({"task.deleted.v1", "task.purged.v1"})
REMOVED = ".removed.v1"
WORKSPACE_DELETED = "workspace.deleted.v1"


@consumer(
    queue="attachments.locations",
    types=["task.*.v1", "member.*.v1", "project.*.v1", "project_member.*.v1", "task_share.*.v1", "workspace.*.v1"],
)
async def on_change(event: EventEnvelope, session: AsyncSession) -> None:
    """Take in a change; one that is older than what is known changes nothing."""
    state = {"changed_seq": event.sequence, "removed": event.type.endswith(REMOVED)}
    match event.type.partition(".")[0]:
        case "task":
            await _on_task(event, session)
        case "project":
            await _on_project(event, session)
        case "member":
            member = MemberChange.model_validate(event.data).resource
            await repository.put_membership(session, {**member.model_dump(), **state})
        case "project_member":
            in_project = ProjectMemberChange.model_validate(event.data).resource
            await repository.put_project_member(session, {**in_project.model_dump(), **state})
        case "task_share":
            share = TaskShareChange.model_validate(event.data).resource
            await repository.put_share(session, {**share.model_dump(), **state})
        case "workspace":
            if event.type == WORKSPACE_DELETED:
                await repository.put_end(session, workspace_id=event.stream_id, ended_at=event.occurred_at)


async def _on_task(event: EventEnvelope, session: AsyncSession) -> None:
    task = TaskData.model_validate(event.data)
    place = {"task_id": task.entity_id, "workspace_id": task.workspace_id, "project_id": task.project_id}
    # What is in the trash changes there, too, and goes along when the task above it moves.
    is_gone = event.type in GONE or task.resource.deleted_at is not None
    state = {"changed_seq": event.sequence, "deleted": is_gone}
    await repository.put_location(session, {**place, **state})


async def _on_project(event: EventEnvelope, session: AsyncSession) -> None:
    project = ProjectChange.model_validate(event.data).resource
    await repository.put_project(
        session,
        {
            "project_id": project.id,
            "workspace_id": project.workspace_id,
            "is_private": project.visibility == "private",
            "member_role": project.member_role,
            "is_archived": project.archived_at is not None,
            "changed_seq": event.sequence,
            "deleted": project.deleted_at is not None,
        },
    )
