"""Use cases of relations. Each is part of one transaction that its caller commits."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

from chassis.clock import utcnow
from chassis.errors import Forbidden
from chassis.identity import Principal
from chassis.ids import uuid7
from sqlalchemy import RowMapping
from sqlalchemy.ext.asyncio import AsyncSession

from tasks_service.changes import repository as changes_repository
from tasks_service.changes import service as changes
from tasks_service.changes.schemas import ChangeDraft
from tasks_service.permissions.policies import can
from tasks_service.projects.errors import ProjectArchived
from tasks_service.relations import repository
from tasks_service.relations.errors import (
    RelatedTaskNotFound,
    RelationCycle,
    RelationMissing,
    SelfRelation,
    TooManyRelations,
)
from tasks_service.relations.events import RELATION_CREATED, RELATION_DELETED, relation_changed
from tasks_service.relations.rules import ACYCLIC, MAX_RELATIONS, stored
from tasks_service.relations.schemas import RelationCreate, RelationOut
from tasks_service.tasks import repository as tasks
from tasks_service.tasks.policies import held
from tasks_service.tasks.rules import task_named


async def add_relation(
    session: AsyncSession,
    *,
    task: RowMapping,
    wanted: RelationCreate,
    actor: Principal,
    relation_id: UUID | None = None,
) -> tuple[RelationOut, bool]:
    """Relate a task to another one; return how the task sees that, and whether it is new.

    One that was there before and comes back has its id.

    What is blocked by it has to be the actor's to change. Raises RelatedTaskNotFound, SelfRelation, Forbidden,
    ProjectArchived, TooManyRelations, RelationCycle.
    """
    other = await _other(session, task, wanted.task_id, actor)
    kind, from_id, to_id = stored(wanted.type, task["id"], other["id"])
    if to_id == other["id"]:
        _require_change(kind, other, actor)
    await repository.lock_all(session, task["workspace_id"])
    # A task that is being completed waits for what blocks it, and the other way round.
    await tasks.lock(session, [from_id, to_id])
    row = await repository.find(session, kind=kind, from_id=from_id, to_id=to_id)
    if row is not None:
        return RelationOut.of(row, other, task_id=task["id"]), False
    if await repository.most_of(session, [from_id, to_id]) >= MAX_RELATIONS:
        raise TooManyRelations
    if kind in ACYCLIC and await repository.leads_to(session, kind=kind, from_id=to_id, to_id=from_id):
        raise RelationCycle
    row = await repository.add(
        session,
        {
            "id": relation_id or uuid7(),
            "workspace_id": task["workspace_id"],
            "type": kind,
            "from_task_id": from_id,
            "to_task_id": to_id,
            "created_by": actor.user_id,
            "created_at": utcnow(),
        },
    )
    await _tell(session, RELATION_CREATED, row, task=task, other=other, actor=actor)
    return RelationOut.of(row, other, task_id=task["id"]), True


async def copy_relations(
    session: AsyncSession,
    *,
    relations: Sequence[RowMapping],
    copies: Mapping[UUID, RowMapping],
    others: Mapping[UUID, RowMapping],
    actor: Principal,
) -> list[ChangeDraft]:
    """Relate copies of tasks as those are, to each other and to `others`, and return the changes.

    No circle comes of it, since there would have been one among the tasks already. Raises TooManyRelations.
    """
    ends = {**others, **copies}
    wanted = [row for row in relations if row["from_task_id"] in ends and row["to_task_id"] in ends]
    if not wanted:
        return []
    await repository.lock_all(session, wanted[0]["workspace_id"])
    await tasks.lock(session, others)
    outside = Counter(one for row in wanted for one in (row["from_task_id"], row["to_task_id"]) if one in others)
    if await repository.is_any_full(session, outside, most=MAX_RELATIONS):
        raise TooManyRelations
    by_id = {row["id"]: row for row in ends.values()}
    values = [_copied(row, ends, actor) for row in wanted]
    rows = await repository.add_all(session, values)
    projects = {row["project_id"] for row in ends.values()}
    of_projects = await changes_repository.readers_of_projects(session, projects)
    of_tasks = await changes_repository.readers_by_share(session, by_id)

    def draft(row: RowMapping) -> ChangeDraft:
        first, second = (by_id[row[name]] for name in ("from_task_id", "to_task_id"))
        audiences = ({*of_projects.get(one["project_id"], ()), *of_tasks.get(one["id"], ())} for one in (first, second))
        audience = frozenset.intersection(*map(frozenset, audiences))
        mine, other = (second, first) if first["id"] in others else (first, second)
        return relation_changed(RELATION_CREATED, row, task=mine, other=other, audience=audience)

    return [draft(row) for row in sorted(rows, key=lambda row: row["id"])]


def _copied(row: RowMapping, ends: Mapping[UUID, RowMapping], actor: Principal) -> dict[str, Any]:
    """Return the columns of the copy of a relation, whose ends may be in another order when it has no direction."""
    first, second = ends[row["from_task_id"]]["id"], ends[row["to_task_id"]]["id"]
    kind, from_id, to_id = stored(row["type"], first, second)
    return {
        "id": uuid7(),
        "workspace_id": row["workspace_id"],
        "type": kind,
        "from_task_id": from_id,
        "to_task_id": to_id,
        "created_by": actor.user_id,
        "created_at": utcnow(),
    }


async def remove_relation(session: AsyncSession, *, task: RowMapping, relation_id: UUID, actor: Principal) -> None:
    """Delete a relation of a task, whose other end the actor sees. Raises RelationMissing."""
    found = await repository.list_of(session, caller=actor, task_id=task["id"], relation_id=relation_id)
    if not found or not await repository.remove(session, relation_id):
        raise RelationMissing
    [(row, other)] = found
    await _tell(session, RELATION_DELETED, row, task=task, other=other, actor=actor)


def may_relate(kind: str, task: RowMapping, actor: Principal) -> bool:
    """Tell whether the actor, who sees a task, may relate others to it: what blocks it changes what may be done."""
    return kind != "blocks" or (can(actor, "task.edit", held(actor, task)).allowed and not task["is_archived"])


def _require_change(kind: str, task: RowMapping, actor: Principal) -> None:
    if may_relate(kind, task, actor):
        return
    raise ProjectArchived if task["is_archived"] else Forbidden


async def _other(session: AsyncSession, task: RowMapping, name: str, actor: Principal) -> RowMapping:
    """Return the other task, of the same workspace. Raises RelatedTaskNotFound, SelfRelation."""
    named = task_named(name)
    task_id: UUID | None = named if isinstance(named, UUID) else None
    if not isinstance(named, UUID):
        found = await tasks.find_by_key(session, caller=actor, key=named, workspace_id=task["workspace_id"])
        best = [one for one in found if not one["is_former"]] or found
        task_id = best[0]["id"] if best else None
    other = None if task_id is None else await tasks.find_visible(session, caller=actor, task_id=task_id)
    if other is None or other["workspace_id"] != task["workspace_id"]:
        raise RelatedTaskNotFound(field="task_id")
    if other["id"] == task["id"]:
        raise SelfRelation(field="task_id")
    return other


async def _tell(
    session: AsyncSession,
    event_type: str,
    row: RowMapping,
    *,
    task: RowMapping,
    other: RowMapping,
    actor: Principal,
) -> None:
    audience = await _see_both(session, task, other)
    draft = relation_changed(event_type, row, task=task, other=other, audience=audience)
    await changes.record(session, workspace_id=task["workspace_id"], actor=actor, drafts=[draft])


async def _see_both(session: AsyncSession, one: RowMapping, other: RowMapping) -> frozenset[UUID]:
    """Return who sees both tasks now: the event names both."""
    of_projects = await changes_repository.readers_of_projects(session, {one["project_id"], other["project_id"]})
    of_tasks = await changes_repository.readers_by_share(session, {one["id"], other["id"]})
    first, second = ({*of_projects.get(end["project_id"], ()), *of_tasks.get(end["id"], ())} for end in (one, other))
    return frozenset(first & second)
