"""Taking events into the replay store, and telling users of what is theirs alone."""

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from chassis.clock import rfc3339, utcnow
from chassis.context import current_request
from chassis.db.base import table_of
from chassis.outbox.catalogue import removal
from chassis.outbox.envelope import EventEnvelope
from chassis.outbox.publishing import publish
from sqlalchemy.ext.asyncio import AsyncSession

from notifications_service.db import Outbox
from notifications_service.live import repository
from notifications_service.live.schemas import (
    ChangeData,
    MemberData,
    PersonalEvent,
    ProjectData,
    ProjectMemberData,
    TaskShareData,
)

SOURCE_NAME = "/taskloom/notifications"
REMOVED = ".removed.v1"


@dataclass(frozen=True, slots=True)
class Advance:
    """How far a workspace can now be read, and which users it has just become visible to."""

    workspace_id: UUID
    head: int
    joined: list[UUID]


async def keep_all(session: AsyncSession, *, events: Sequence[EventEnvelope]) -> list[Advance]:
    """Store events of workspaces' change logs; return what became readable in which of these.

    Events may come twice and out of order; readers see them once and in order.
    """
    told = [(event, ChangeData.model_validate(event.data)) for event in events]
    heads = await repository.lock_heads(session, {change.workspace_id for _, change in told})
    new = [_values_of(event, change) for event, change in told if event.sequence > heads[change.workspace_id]]
    if new:
        await repository.add_missing(session, new)
    joined: defaultdict[UUID, list[UUID]] = defaultdict(list)
    for event, change in sorted(told, key=lambda one: one[0].sequence):
        joined[change.workspace_id] += await _take_in(session, event, change)
    after = await repository.advance_heads(session, heads)
    return [
        Advance(workspace, after[workspace], joined[workspace])
        for workspace, before in heads.items()
        if after[workspace] > before or joined[workspace]
    ]


def _values_of(event: EventEnvelope, change: ChangeData) -> dict[str, Any]:
    return {
        "workspace_id": change.workspace_id,
        "seq": event.sequence,
        "type": event.type,
        "audience": change.audience,
        "lost_by": change.lost_by,
        "quiet": change.quiet or None,
        "frame": frame_of(event, change),
        "occurred_at": event.occurred_at,
    }


def frame_of(event: EventEnvelope, change: ChangeData) -> dict[str, Any]:
    """Return the part of a frame that all its readers share."""
    name = event.type.rpartition(".")[0]
    return {
        "seq": event.sequence,
        "type": name,
        "event_id": str(event.event_id),
        "workspace_id": str(change.workspace_id),
        "project_id": None if change.project_id is None else str(change.project_id),
        "task_id": None if change.task_id is None else str(change.task_id),
        "subject": str(change.entity_id),
        "version": change.version,
        "changes": change.changes,
        "actor": change.actor,
        "data": change.resource,
        "occurred_at": rfc3339(event.occurred_at),
        "origin_request_id": change.request_id,
        **removal(name),
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


async def lock_streams(session: AsyncSession, *, user_ids: Collection[UUID]) -> dict[UUID, int]:
    """Return the number of the last event of each user's personal stream, which stays the last until we tell another.

    Whoever tells several users in one transaction calls this first, for all of them: then no two wait for each other.
    """
    return await repository.lock_heads(session, user_ids)


async def tell_user(session: AsyncSession, *, user_id: UUID, drafts: Sequence[PersonalEvent]) -> int:
    """Put events into a user's personal stream and into the outbox; return the number of the last one.

    They follow each other without a gap: the first has the number after what `lock_streams` says. The user's open
    sockets are woken by the commit, and without one nothing is told.
    """
    return (await tell_users(session, drafts={user_id: drafts}))[user_id]


async def tell_users(session: AsyncSession, *, drafts: Mapping[UUID, Sequence[PersonalEvent]]) -> dict[UUID, int]:
    """Do the same for several users, in as many statements as for one."""
    heads = await repository.lock_heads(session, drafts)
    last = {user_id: heads[user_id] + len(of_user) for user_id, of_user in drafts.items()}
    events = [
        (_envelope_of(draft, user_id, seq), draft)
        for user_id, of_user in drafts.items()
        for seq, draft in enumerate(of_user, heads[user_id] + 1)
    ]
    if events:
        await repository.add_events(session, [_row_of(event, draft) for event, draft in events])
        await repository.move_heads(session, last)
        await publish(session, table_of(Outbox), *(event for event, _ in events))
    return last


def _envelope_of(draft: PersonalEvent, user_id: UUID, seq: int) -> EventEnvelope:
    request = current_request()
    return EventEnvelope(
        event_id=draft.event_id,
        type=draft.type,
        source=SOURCE_NAME,
        subject=draft.subject,
        occurred_at=utcnow(),
        stream_id=user_id,
        sequence=seq,
        traceparent=request.traceparent,
        data={
            "entity_type": draft.entity_type,
            "entity_id": str(draft.subject),
            "workspace_id": _text(draft.workspace_id),
            "project_id": _text(draft.project_id),
            "task_id": _text(draft.task_id),
            "version": draft.version,
            "actor": draft.actor,
            "changes": list(draft.changes),
            "audience": [str(user_id)],
            "request_id": request.request_id,
            "resource": draft.resource,
        },
    )


def _row_of(event: EventEnvelope, draft: PersonalEvent) -> dict[str, Any]:
    change = ChangeData.model_validate({**event.data, "workspace_id": event.stream_id})
    return {
        "workspace_id": event.stream_id,
        "seq": event.sequence,
        "type": event.type,
        "audience": change.audience,
        "about_workspace_id": draft.workspace_id,
        "frame": {**frame_of(event, change), "workspace_id": None},
        "occurred_at": event.occurred_at,
    }


def _text(value: UUID | None) -> str | None:
    return None if value is None else str(value)


async def forget_stream(session: AsyncSession, *, user_id: UUID) -> None:
    """Forget what somebody who is gone was told alone."""
    await lock_streams(session, user_ids=[user_id])
    await repository.remove_stream(session, user_id)
