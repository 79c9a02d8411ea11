"""Taking events into the replay store."""

from dataclasses import dataclass
from typing import Any
from uuid import UUID

from chassis.clock import rfc3339
from chassis.outbox.envelope import EventEnvelope
from sqlalchemy.ext.asyncio import AsyncSession

from notifications_service.live import repository
from notifications_service.live.schemas import ChangeData, MemberData, ProjectData, ProjectMemberData, TaskShareData

REMOVED = ".removed.v1"


@dataclass(frozen=True, slots=True)
class Advance:
    """How far a workspace can now be read, and which users it has just become visible to."""

    workspace_id: UUID
    head: int
    joined: list[UUID]


async def keep(session: AsyncSession, event: EventEnvelope) -> Advance | None:
    """Store an event of a workspace's change log; return what became readable by it, if anything did.

    Events may come twice and out of order; readers see them once and in order.
    """
    change = ChangeData.model_validate(event.data)
    before = await repository.lock_head(session, change.workspace_id)
    if event.sequence > before:
        await _add(session, event, change)
    joined = await _take_in(session, event, change)
    after = await repository.advance_head(session, change.workspace_id, before)
    return Advance(change.workspace_id, after, joined) if after > before or joined else None


async def _add(session: AsyncSession, event: EventEnvelope, change: ChangeData) -> None:
    values = {
        "workspace_id": change.workspace_id,
        "seq": event.sequence,
        "type": event.type,
        "audience": change.audience,
        "lost_by": change.lost_by,
        "frame": frame_of(event, change),
        "occurred_at": event.occurred_at,
    }
    await repository.add_event(session, values)


def frame_of(event: EventEnvelope, change: ChangeData) -> dict[str, Any]:
    """Return the part of a frame that all its readers share."""
    return {
        "seq": event.sequence,
        "type": event.type.rpartition(".")[0],
        "event_id": str(event.event_id),
        "workspace_id": str(change.workspace_id),
        "project_id": None if change.project_id is None else str(change.project_id),
        "task_id": None if change.task_id is None else str(change.task_id),
        "subject": str(change.entity_id),
        "version": change.version,
        "changes": [one.model_dump() for one in change.changes],
        "actor": change.actor,
        "data": change.resource,
        "occurred_at": rfc3339(event.occurred_at),
        "origin_request_id": change.request_id,
    }


async def _take_in(session: AsyncSession, event: EventEnvelope, change: ChangeData) -> list[UUID]:
    """Take in what a change says of who sees what; return the users to whom its workspace became visible."""
    removed = event.type.endswith(REMOVED)
    state = {"changed_seq": event.sequence, "removed": removed}
    match change.entity_type:
        case "member":
            member = MemberData.model_validate(change.resource)
            await repository.put_membership(session, {**member.model_dump(), **state})
            return [] if removed else [member.user_id]
        case "project":
            place = {"workspace_id": change.workspace_id, "changed_seq": event.sequence}
            project = ProjectData.model_validate(change.resource)
            is_private = project.visibility == "private"
            await repository.put_place(session, {"project_id": project.id, "is_private": is_private, **place})
        case "project_member":
            in_project = ProjectMemberData.model_validate(change.resource)
            await repository.put_project_member(session, {**in_project.model_dump(), **state})
        case "task_share":
            share = TaskShareData.model_validate(change.resource)
            await repository.put_share(session, {**share.model_dump(), **state})
    return []
