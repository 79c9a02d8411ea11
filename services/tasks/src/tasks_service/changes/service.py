"""The change log: one row per change of one resource, which is history, delta feed and outbox at once."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from chassis.clock import utcnow
from chassis.context import current_request
from chassis.db.base import table_of
from chassis.identity import Principal
from chassis.ids import uuid7
from chassis.outbox.publishing import relay_channel, wake_relay
from sqlalchemy.ext.asyncio import AsyncSession

from tasks_service.changes import repository
from tasks_service.changes.models import Change
from tasks_service.changes.schemas import ChangeDraft

RELAY_CHANNEL = relay_channel(table_of(Change))


async def record(session: AsyncSession, *, workspace_id: UUID, actor: Principal, drafts: Sequence[ChangeDraft]) -> int:
    """Write the changes and return the sequence number of the last one.

    To be called last in a transaction: from here until the commit the workspace's counter is locked, which
    is what makes the order of numbers the order of commits, without gaps.
    """
    last = await repository.take_numbers(session, workspace_id=workspace_id, count=len(drafts))
    audience = await repository.audience_of(session, workspace_id)
    first = last - len(drafts) + 1
    rows = [
        {**_entry(draft, actor), "workspace_id": workspace_id, "seq": seq, "audience": audience}
        for seq, draft in enumerate(drafts, start=first)
    ]
    await repository.append(session, rows)
    await wake_relay(session, RELAY_CHANNEL)
    return last


def _entry(draft: ChangeDraft, actor: Principal) -> dict[str, Any]:
    request = current_request()
    return {
        "event_id": uuid7(),
        "type": draft.type,
        "occurred_at": utcnow(),
        "actor": actor.as_actor(),
        "entity_type": draft.entity_type,
        "entity_id": draft.entity_id,
        "project_id": draft.project_id,
        "version": draft.version,
        "changes": [change.as_json() for change in draft.changes],
        "resource": draft.resource,
        "request_id": request.request_id,
        "traceparent": request.traceparent,
    }
