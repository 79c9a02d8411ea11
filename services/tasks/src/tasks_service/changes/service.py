"""The change log: one row per change of one resource, which is history, delta feed and outbox at once."""

from collections.abc import AsyncIterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from contextlib import asynccontextmanager
from itertools import groupby
from typing import Any
from uuid import UUID

from chassis.clock import utcnow
from chassis.context import current_request
from chassis.identity import Principal
from chassis.ids import uuid7
from sqlalchemy.ext.asyncio import AsyncSession

from tasks_service.changes import repository
from tasks_service.changes.schemas import ChangeDraft, Circle, Gathering, Origin
from tasks_service.permissions.rules import ADMINS, EVERYBODY, RULES

GATHERING = "taskloom_gathered_changes"
"""Where a session has what is being gathered."""
WITHIN: Mapping[Circle, AbstractSet[str]] = {
    "workspace": EVERYBODY,
    "members": RULES["workspace.list_members"].roles,
    "admins": ADMINS,
}
"""The roles of the circles of a workspace."""
OF_PROJECT: AbstractSet[Circle] = frozenset({"project", "task"})
"""The circles that those are in who see a project."""


async def record(
    session: AsyncSession,
    *,
    workspace_id: UUID,
    actor: Principal | None,
    drafts: Sequence[ChangeDraft],
    reason: str | None = None,
    quiet: bool = False,
) -> None:
    """Write the changes, of which there is one at least.

    `actor` is None for what the service does of its own accord. Of what is `quiet` nobody is notified, though it is
    told as everything else.

    To be called last in a transaction: from here until the commit the workspace's counter is locked, which
    is what makes the order of numbers the order of commits, without gaps.
    """
    gathering: Gathering | None = session.info.get(GATHERING)
    if gathering is not None:
        gathering.add(workspace_id, drafts, reason)
        return
    now, told_actor = utcnow(), None if actor is None else actor.as_actor()
    origins = [Origin(uuid7(), told_actor, now, reason, quiet) for _ in drafts]
    await _append(session, workspace_id, list(zip(drafts, origins, strict=True)), actor)


async def record_told(session: AsyncSession, *, workspace_id: UUID, draft: ChangeDraft, origin: Origin) -> None:
    """Write a change that another service has told of, under the id of its event, unless it is in the log already.

    To be called last in a transaction, as `record`.
    """
    if await repository.lock_next_number(session, workspace_id) is None:
        return
    if not await repository.is_recorded(session, draft=draft, event_id=origin.event_id):
        await _append(session, workspace_id, [(draft, origin)], None)


async def _append(
    session: AsyncSession,
    workspace_id: UUID,
    changes: Sequence[tuple[ChangeDraft, Origin]],
    caller: Principal | None,
) -> None:
    entries = [_entry(place, draft, origin) for place, (draft, origin) in enumerate(changes, start=1)]
    await repository.append(session, workspace_id=workspace_id, entries=entries, caller=caller)


@asynccontextmanager
async def gathered(session: AsyncSession, *, actor: Principal, reason: str | None = None) -> AsyncIterator[Gathering]:
    """Write what the use cases of a block record at its end, so that counters are locked last however many they are.

    All of it has the reason, if there is one, and what single use cases give as theirs after it.
    """
    gathering = session.info[GATHERING] = Gathering([] if reason is None else [reason])
    try:
        yield gathering
    finally:
        del session.info[GATHERING]
    said = "; ".join(dict.fromkeys(gathering.reasons)) or None
    in_order = sorted(gathering.drafts, key=_workspace_of)
    for workspace_id, of_one in groupby(in_order, key=_workspace_of):
        drafts = [draft for _, draft in of_one]
        await record(session, workspace_id=workspace_id, actor=actor, drafts=drafts, reason=said)


def fields_gathered(session: AsyncSession, *, entity_id: UUID, version: int) -> set[str]:
    """Return which fields of a resource changed after a version by what is gathered and not in the log yet."""
    gathering: Gathering | None = session.info.get(GATHERING)
    drafts = [] if gathering is None else [draft for _, draft in gathering.drafts]
    later = [one for one in drafts if one.entity_id == entity_id and one.version > version]
    return {change.field for one in later for change in one.changes}


def _workspace_of(gathered_one: tuple[UUID, ChangeDraft]) -> UUID:
    return gathered_one[0]


def _entry(place: int, draft: ChangeDraft, origin: Origin) -> dict[str, Any]:
    """Return an entry of the log as it is written, and who it is for; see changes.repository.GIVEN."""
    request = current_request()
    return {
        "place": place,
        "event_id": origin.event_id,
        "type": draft.type,
        "occurred_at": origin.occurred_at,
        "actor": origin.actor,
        "reason": origin.reason,
        "quiet": origin.quiet or None,
        "entity_type": draft.entity_type,
        "entity_id": draft.entity_id,
        "project_id": draft.project_id,
        "task_id": draft.task_id,
        "related_task_id": draft.related_task_id,
        "version": draft.version,
        "changes": [change.as_json() for change in draft.changes],
        "resource": draft.resource,
        "request_id": request.request_id,
        "traceparent": request.traceparent,
        "lost_by": list(draft.lost_by),
        **_circle_of(draft),
    }


def _circle_of(draft: ChangeDraft) -> dict[str, Any]:
    """Return who sees a change.

    Raises ValueError for a circle of a project without one, KeyError for one that there is not: nobody would be told.
    """
    circle, also = draft.audience, list(draft.also)
    if isinstance(circle, frozenset):
        return {"of_project": None, "of_task": None, "of_roles": [], "also": [*circle, *also]}
    if circle not in OF_PROJECT:
        return {"of_project": None, "of_task": None, "of_roles": sorted(WITHIN[circle]), "also": also}
    if draft.project_id is None:
        raise ValueError(draft.type)
    of_task = draft.task_id if circle == "task" else None
    return {"of_project": draft.project_id, "of_task": of_task, "of_roles": [], "also": also}
