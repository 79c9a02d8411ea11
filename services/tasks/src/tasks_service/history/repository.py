"""All SQL on the past: the change log, as those read it who see what it is about."""

from collections.abc import Sequence
from uuid import UUID

from chassis.db.base import table_of
from chassis.identity import Principal
from sqlalchemy import ColumnElement, RowMapping, Select, and_, any_, exists, or_, select, union_all
from sqlalchemy.ext.asyncio import AsyncConnection

from tasks_service.changes.models import Change
from tasks_service.comments.models import Comment
from tasks_service.directory.repository import SHOWN_NAME, person
from tasks_service.history.filters import AuditFilter
from tasks_service.history.rules import FIELDS_OF_RELATIONS
from tasks_service.permissions.rules import RULES
from tasks_service.visibility.repository import TASKS, seen_by, seen_tasks, sight_of
from tasks_service.visibility.repository import task as other
from tasks_service.workspaces.models import Member

change = table_of(Change)
comment = table_of(Comment)
member = table_of(Member)

ONES_OWN = ("star", "personal_label", "task_metadata", "job")
"""What is for its owner alone, unless its audience says otherwise."""
MUTED = "watcher.updated.v1"
"""Of watching, whoever sees the task is told; that somebody mutes it is for nobody else."""
IS_PERSONAL_FILTER = and_(
    change.c.entity_type == "filter",
    or_(
        change.c.resource["scope"].astext == "personal",
        # What it was before somebody shared it.
        change.c.changes.contains([{"field": "scope", "old": "personal", "new": "shared"}]),
    ),
)
TAKES_ALL = and_(change.c.type == "job.created.v1", change.c.resource["kind"].astext.in_(("export", "import")))
"""That somebody asked for all of a workspace as a file, or for one to be taken in, is for all who read its audit."""
SHOWN = (
    change.c.seq,
    change.c.event_id,
    change.c.occurred_at,
    change.c.type,
    change.c.entity_type,
    change.c.entity_id,
    change.c.project_id,
    change.c.task_id,
    change.c.related_task_id,
    change.c.version,
    change.c.actor,
    change.c.changes,
    change.c.resource["user_id"].astext.label("user_id"),
    change.c.reason,
    change.c.request_id,
    # With its task a comment goes for good, and so do its words.
    and_(change.c.entity_type == "comment", or_(comment.c.id.is_(None), comment.c.deleted_at.is_not(None))).label(
        "is_silenced"
    ),
)
ENDS = (change.c.task_id, change.c.related_task_id)
IS_RELATION = change.c.entity_type == "relation"
LOG = change.outerjoin(comment, and_(change.c.entity_type == "comment", comment.c.id == change.c.entity_id))


async def of_task(
    reader: AsyncConnection,
    *,
    caller: Principal,
    task: RowMapping,
    field: str | None,
    before: int | None,
    after: int | None,
    limit: int,
) -> Sequence[RowMapping]:
    """Return changes of a task that the caller sees, and of what hangs on it; see chassis.paging.Walk.

    Relations are there from both ends, as long as the caller sees the other one, too. Each end has an index of its
    own, which is walked as far as the page goes.
    """
    conditions = [_is_for(caller, *ONES_OWN), *([] if field is None else [_tells_of(field)])]
    parts = [
        _walked(
            select(*SHOWN)
            .select_from(
                LOG.outerjoin(TASKS, and_(IS_RELATION, other.c.id == other_end, *seen_tasks(sight_of(caller))))
            )
            .where(this_end == task["id"], *conditions, or_(~IS_RELATION, other.c.id.is_not(None)))
            .limit(limit),
            change.c.seq,
            before=before,
            after=after,
        )
        for this_end, other_end in (ENDS, reversed(ENDS))
    ]
    found = union_all(*parts).subquery()
    query = _walked(select(found).limit(limit), found.c.seq, before=before, after=after)
    return (await reader.execute(query, seen_by(caller))).mappings().all()


async def of_workspace(
    reader: AsyncConnection,
    *,
    caller: Principal,
    workspace_id: UUID,
    wanted: AuditFilter,
    before: int | None,
    after: int | None,
    limit: int,
) -> Sequence[RowMapping]:
    """Return changes of all that is in a workspace, for who reads its audit now; for others none."""
    may_read = exists().where(
        member.c.workspace_id == change.c.workspace_id,
        member.c.user_id == caller.user_id,
        member.c.role.in_(RULES["workspace.read_audit"].roles),
    )
    is_told = or_(_is_for(caller, *ONES_OWN), TAKES_ALL)
    conditions = [change.c.workspace_id == workspace_id, may_read, is_told, *_meant(wanted)]
    return await _read(reader, conditions, before=before, after=after, limit=limit)


def _is_for(caller: Principal, *entity_types: str) -> ColumnElement[bool]:
    """Return the condition that leaves what is of these types to those whom it was for."""
    for_others = and_(change.c.entity_type.not_in(entity_types), change.c.type != MUTED, ~IS_PERSONAL_FILTER)
    return or_(for_others, any_(change.c.audience) == caller.user_id)


def _tells_of(field: str) -> ColumnElement[bool]:
    """Return the condition that a change of a field is shown: of relations not all are that the log has."""
    if field in FIELDS_OF_RELATIONS:
        return or_(IS_RELATION, change.c.changes.contains([{"field": field}]))
    return and_(~IS_RELATION, change.c.changes.contains([{"field": field}]))


def _meant(wanted: AuditFilter) -> list[ColumnElement[bool]]:
    conditions: list[ColumnElement[bool]] = []
    if wanted.actor_id is not None:
        conditions.append(change.c.actor.contains({"id": str(wanted.actor_id)}))
    if wanted.action is not None:
        conditions.append(change.c.type == f"{wanted.action}.v1")
    if wanted.entity_id is not None:
        conditions.append(change.c.entity_id == wanted.entity_id)
    if wanted.since is not None:
        conditions.append(change.c.occurred_at >= wanted.since)
    if wanted.until is not None:
        conditions.append(change.c.occurred_at < wanted.until)
    return conditions


async def _read(
    reader: AsyncConnection,
    conditions: list[ColumnElement[bool]],
    *,
    before: int | None,
    after: int | None,
    limit: int,
) -> Sequence[RowMapping]:
    query = select(*SHOWN).select_from(LOG).where(*conditions).limit(limit)
    return (await reader.execute(_walked(query, change.c.seq, before=before, after=after))).mappings().all()


def _walked(
    query: Select[tuple[object, ...]], seq: ColumnElement[int], *, before: int | None, after: int | None
) -> Select[tuple[object, ...]]:
    if before is not None:
        query = query.where(seq < before)
    if after is not None:
        return query.where(seq > after).order_by(seq)
    return query.order_by(seq.desc())


async def names_of(reader: AsyncConnection, users: set[UUID]) -> dict[UUID, RowMapping]:
    """Return what the directory knows of some users."""
    query = select(person.c.id, SHOWN_NAME).where(person.c.id.in_(users))
    return {row["id"]: row for row in (await reader.execute(query)).mappings()}
