"""Where tasks live and who may see them, as the tasks service's events tell."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from chassis.broker.consumer import batch_consumer
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

TASK = "task"
GONE = frozenset({"task.deleted.v1", "task.purged.v1"})
REMOVED = ".removed.v1"
WORKSPACE_DELETED = "workspace.deleted.v1"


@batch_consumer(
    queue="attachments.locations",
    types=["task.*.v1", "member.*.v1", "project.*.v1", "project_member.*.v1", "task_share.*.v1", "workspace.*.v1"],
    # What is not known here yet is asked of the tasks service.
    gather_seconds=0.25,
)
async def on_change(events: Sequence[EventEnvelope], session: AsyncSession) -> None:
    """Take in changes, in whatever order; one that is older than what is known changes nothing."""
    await repository.put_locations(session, [_location(one) for one in events if _noun(one) == TASK])
    for event in sorted(events, key=_in_one_order):
        if _noun(event) != TASK:
            await _on_change(event, session)


def _noun(event: EventEnvelope) -> str:
    return event.type.partition(".")[0]


def _in_one_order(event: EventEnvelope) -> tuple[str, UUID, int]:
    """Sort events so that two who take in the same rows at once wait for each other and not in a ring."""
    return _noun(event), event.subject, event.sequence


async def _on_change(event: EventEnvelope, session: AsyncSession) -> None:
    state = {"changed_seq": event.sequence, "removed": event.type.endswith(REMOVED)}
    match _noun(event):
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


def _location(event: EventEnvelope) -> dict[str, Any]:
    task = TaskData.model_validate(event.data)
    place = {"task_id": task.entity_id, "workspace_id": task.workspace_id, "project_id": task.project_id}
    # What is in the trash changes there, too, and goes along when the task above it moves.
    is_gone = event.type in GONE or task.resource.deleted_at is not None
    return {**place, "changed_seq": event.sequence, "deleted": is_gone}


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
