"""All SQL on operations: what a request changed, and what has been changed since."""

from collections.abc import Collection, Mapping, Sequence
from typing import Any
from uuid import UUID

from chassis.db.base import table_of
from chassis.identity import Principal
from sqlalchemy import RowMapping, and_, any_, bindparam, not_, or_, select, text
from sqlalchemy.ext.asyncio import AsyncSession

from tasks_service.changes.models import Change
from tasks_service.visibility.repository import IDS, TASKS, seen_by, seen_tasks, sight_of, task

change = table_of(Change)

LOCK = text("SELECT pg_advisory_xact_lock(hashtextextended('undo:' || :user_id || :request_id, 0))")
TOLD = (
    change.c.workspace_id,
    change.c.seq,
    change.c.type,
    change.c.occurred_at,
    change.c.entity_type,
    change.c.entity_id,
    change.c.project_id,
    change.c.task_id,
    change.c.changes,
    change.c.resource,
    change.c.actor,
    change.c.request_id,
    change.c.reason,
)


async def lock_operation(session: AsyncSession, *, user_id: UUID, request_id: str) -> None:
    """Let nobody else undo a request until the end."""
    await session.execute(LOCK, {"user_id": str(user_id), "request_id": request_id})


async def changes_of(session: AsyncSession, *, user_id: UUID, request_id: str, limit: int) -> Sequence[RowMapping]:
    """Return what somebody changed by requests of an id, the newest first."""
    query = (
        select(*TOLD)
        .where(change.c.request_id == request_id, change.c.actor.contains({"id": str(user_id)}))
        # How far a job is changes nothing; what it does has entries of its own. Files are not brought back from here.
        .where(change.c.entity_type.not_in(("job", "attachment")))
        .order_by(change.c.occurred_at.desc(), change.c.seq.desc())
        .limit(limit)
    )
    return (await session.execute(query)).mappings().all()


async def places_of(session: AsyncSession, caller: Principal, task_ids: Collection[UUID]) -> dict[UUID, UUID | None]:
    """Return the projects in which those of the tasks are now that are there; None for one that the caller sees."""
    among = task.c.id == any_(bindparam("of_tasks", type_=IDS))
    wanted = {"of_tasks": sorted(task_ids)}
    there = await session.execute(select(task.c.id, task.c.project_id).where(among), wanted)
    visible = select(task.c.id).select_from(TASKS).where(*seen_tasks(sight_of(caller), in_trash=None), among)
    seen = set((await session.execute(visible, {**seen_by(caller), **wanted})).scalars())
    return {row.id: None if row.id in seen else row.project_id for row in there}


async def changes_since(
    session: AsyncSession, entries: Sequence[Mapping[str, Any]], *, user_id: UUID, request_id: str
) -> Sequence[RowMapping]:
    """Return changes of the same resources since the first of these, without those of the operation itself."""
    is_own = and_(change.c.request_id == request_id, change.c.actor.contains({"id": str(user_id)}))
    places = {one["workspace_id"] for one in entries}
    since = or_(
        and_(change.c.workspace_id.in_(places), change.c.seq > min(one["seq"] for one in entries)),
        # Where a task was moved to.
        and_(change.c.workspace_id.not_in(places), change.c.occurred_at > min(one["occurred_at"] for one in entries)),
    )
    of_them = change.c.entity_id == any_(bindparam("of_entities", type_=IDS))
    found = await session.execute(
        select(*TOLD).where(of_them, since, not_(is_own)),
        {"of_entities": sorted({one["entity_id"] for one in entries})},
    )
    return found.mappings().all()
