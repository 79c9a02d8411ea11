"""All SQL on the feed: a part of the log, and what of it somebody sees now."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from functools import cache
from typing import Any
from uuid import UUID

from chassis.db.base import table_of
from chassis.identity import Principal
from sqlalchemy import (
    BigInteger,
    ColumnElement,
    RowMapping,
    Select,
    TableValuedAlias,
    Text,
    and_,
    any_,
    bindparam,
    case,
    column,
    exists,
    func,
    or_,
    select,
    text,
    true,
)
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.dialects.postgresql import UUID as PG_UUID
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncSession

from tasks_service.changes.models import Change, ChangeCounter
from tasks_service.comments.models import Comment
from tasks_service.feed.rules import TaskSight, Window
from tasks_service.visibility.repository import (
    CALLER_ID,
    IDS,
    PROJECTS,
    TASKS,
    Sight,
    known_projects,
    member,
    project,
    seen,
    seen_by,
    seen_tasks,
    sight_of,
    task,
)
from tasks_service.workspace_purging.models import PurgedWorkspace

change = table_of(Change)
comment = table_of(Comment)
counter = table_of(ChangeCounter)
purged_workspace = table_of(PurgedWorkspace)

Reader = AsyncConnection | AsyncSession

ID: PG_UUID[UUID] = PG_UUID(as_uuid=True)
IS_SHOWN = any_(change.c.audience) == CALLER_ID
IS_LOST = func.coalesce(any_(change.c.lost_by) == CALLER_ID, False)
# With its task a comment goes for good, and so do its words.
IS_SILENCED = and_(change.c.entity_type == "comment", or_(comment.c.id.is_(None), comment.c.deleted_at.is_not(None)))
LOG = change.outerjoin(comment, and_(change.c.entity_type == "comment", comment.c.id == change.c.entity_id))
TOLD = (
    change.c.workspace_id,
    change.c.seq,
    change.c.event_id,
    change.c.type,
    change.c.entity_type,
    change.c.entity_id,
    change.c.project_id,
    change.c.task_id,
    change.c.version,
    change.c.actor,
    change.c.changes,
    change.c.resource,
    change.c.occurred_at,
    change.c.request_id,
)


@cache
def _standings(sight: Sight) -> Select[Any]:
    return (
        select(counter.c.workspace_id, counter.c.last_seq, member.c.role, member.c.joined_seq)
        .join(member, member.c.workspace_id == counter.c.workspace_id)
        .where(*seen(sight))
    )


async def standings(reader: Reader, caller: Principal) -> dict[UUID, RowMapping]:
    """Return by workspace that the caller may see its `last_seq`, with the caller's `role`, and since when."""
    rows = (await reader.execute(_standings(sight_of(caller)), seen_by(caller))).mappings().all()
    return {row["workspace_id"]: row for row in rows}


def _given(**columns: Any) -> TableValuedAlias:
    """Return parallel arrays as rows, with their `place`."""
    arrays = [bindparam(f"{name}_given", type_=ARRAY(kind)) for name, kind in columns.items()]
    named = [column(name, kind) for name, kind in columns.items()]
    return func.unnest(*arrays).table_valued(*named, with_ordinality="place", name="given").render_derived()


WINDOWS = _given(workspace_id=ID, after_seq=BigInteger, until_seq=BigInteger)


@cache
def _between(*, by_type: bool, by_workspace: bool, by_project: bool) -> Select[Any]:
    """Return the statement that reads windows: each by the index of its workspace, as far as a page goes."""
    wanted: list[ColumnElement[bool]] = [or_(IS_SHOWN, IS_LOST)]
    if by_type:
        wanted.append(change.c.type == any_(bindparam("only_types", type_=ARRAY(Text))))
    if by_workspace:
        wanted.append(change.c.workspace_id == bindparam("of_workspace", type_=ID))
    if by_project:
        left = change.c.changes.contains(
            func.jsonb_build_array(
                func.jsonb_build_object("field", "project_id", "old", bindparam("former_project", type_=Text))
            )
        )
        wanted.append(or_(change.c.project_id == bindparam("of_project", type_=ID), left))
    window = WINDOWS.c
    within = (
        change.c.workspace_id == window.workspace_id,
        change.c.seq > window.after_seq,
        change.c.seq <= window.until_seq,
    )
    part = (
        select(*TOLD, IS_SHOWN.label("is_shown"), IS_SILENCED.label("is_silenced"))
        .select_from(LOG)
        .where(*within, *wanted)
        .order_by(change.c.seq)
        .limit(bindparam("page_limit"))
        .correlate(WINDOWS)
        .lateral("part")
    )
    found = select(*part.c).select_from(WINDOWS.join(part, true()))
    return found.order_by(window.place, part.c.seq).limit(bindparam("page_limit"))


async def changes_between(
    reader: Reader,
    caller: Principal,
    windows: Sequence[Window],
    *,
    types: Sequence[str] | None,
    workspace_id: UUID | None,
    project_id: UUID | None,
    limit: int,
) -> Sequence[RowMapping]:
    """Return the first entries of windows that were for the caller, or took something from it; in their order."""
    statement = _between(
        by_type=types is not None, by_workspace=workspace_id is not None, by_project=project_id is not None
    )
    parameters: dict[str, Any] = {**_windows(windows), "caller_id": caller.user_id, "page_limit": limit}
    if types is not None:
        parameters["only_types"] = list(types)
    if workspace_id is not None:
        parameters["of_workspace"] = workspace_id
    if project_id is not None:
        parameters |= {"of_project": project_id, "former_project": str(project_id)}
    rows: Sequence[RowMapping] = (await reader.execute(statement, parameters)).mappings().all()
    return rows


def _windows(windows: Sequence[Window]) -> dict[str, Any]:
    return {
        "workspace_id_given": [one.workspace_id for one in windows],
        "after_seq_given": [one.after for one in windows],
        "until_seq_given": [one.until for one in windows],
    }


# As one that ends at its first row it is read by its index, whatever the planner thinks of how many there are.
NEXT = (
    select(change.c.occurred_at)
    .where(change.c.workspace_id == WINDOWS.c.workspace_id, change.c.seq > WINDOWS.c.after_seq)
    .order_by(change.c.seq)
    .limit(1)
    .correlate(WINDOWS)
    .lateral("next")
)
FIRST = select(func.min(NEXT.c.occurred_at)).select_from(WINDOWS.join(NEXT, true()))


async def oldest_unread(reader: Reader, windows: Sequence[Window]) -> datetime | None:
    """Return when the first entries of windows were written, the earliest of them."""
    found: datetime | None = await reader.scalar(FIRST, _windows(windows))
    return found


@cache
def _projects(sight: Sight) -> Select[Any]:
    state = case(
        (project.c.purged_at.is_not(None), "purged"), (project.c.deleted_at.is_not(None), "trashed"), else_="live"
    )
    return (
        select(project.c.id, state.label("state"))
        .select_from(PROJECTS)
        .where(*known_projects(sight), project.c.id == any_(bindparam("of_projects", type_=IDS)))
    )


async def projects_known(reader: Reader, caller: Principal, ids: Iterable[UUID]) -> dict[UUID, str]:
    """Return those of the projects that the caller sees, or would were they not deleted, with what became of them."""
    wanted = {**seen_by(caller), "of_projects": sorted(ids)}
    return {row.id: row.state for row in await reader.execute(_projects(sight_of(caller)), wanted)}


@cache
def _tasks(sight: Sight) -> Select[Any]:
    is_seen = and_(*seen_tasks(sight, in_trash=None))
    return (
        select(task.c.id, task.c.project_id, is_seen.label("is_seen"), project.c.deleted_at.is_not(None).label("trash"))
        .select_from(TASKS)
        .where(member.c.user_id == CALLER_ID, task.c.id == any_(bindparam("of_tasks", type_=IDS)))
    )


async def tasks_there(reader: Reader, caller: Principal, ids: Iterable[UUID]) -> dict[UUID, TaskSight]:
    """Return those of the tasks that there are, with whether the caller sees them."""
    wanted = {**seen_by(caller), "of_tasks": sorted(ids)}
    rows = await reader.execute(_tasks(sight_of(caller)), wanted)
    return {row.id: TaskSight(row.project_id, row.is_seen, row.trash) for row in rows}


ENTITIES = _given(workspace_id=ID, entity_id=ID, seq=BigInteger)
LATER = (
    select(change.c.seq)
    .where(
        change.c.entity_id == ENTITIES.c.entity_id,
        change.c.workspace_id == ENTITIES.c.workspace_id,
        change.c.seq > ENTITIES.c.seq,
        or_(IS_SHOWN, IS_LOST),
    )
    .limit(1)
    .correlate(ENTITIES)
    .lateral("later")
)
WITH_LATER = select(ENTITIES.c.workspace_id, ENTITIES.c.seq).select_from(ENTITIES.join(LATER, true()))


async def those_with_later(
    reader: Reader, caller: Principal, rows: Sequence[Mapping[Any, Any]]
) -> set[tuple[UUID, int]]:
    """Return the places of those of the entries after which the log has another one for the caller, of the same."""
    parameters = {
        "workspace_id_given": [row["workspace_id"] for row in rows],
        "entity_id_given": [row["entity_id"] for row in rows],
        "seq_given": [row["seq"] for row in rows],
        "caller_id": caller.user_id,
    }
    return {(row.workspace_id, row.seq) for row in await reader.execute(WITH_LATER, parameters)}


# The function is the owner's: who is out of a workspace sees nothing else of its log.
ENDED = text("SELECT * FROM tasks.ended_memberships(:of_workspaces)").bindparams(bindparam("of_workspaces", type_=IDS))


async def ended_memberships(reader: Reader, workspaces: Iterable[UUID]) -> dict[UUID, RowMapping]:
    """Return the entries that tell of the ends of the caller's memberships, of workspaces that it is out of now."""
    rows = (await reader.execute(ENDED, {"of_workspaces": sorted(workspaces)})).mappings().all()
    return {row["workspace_id"]: row for row in rows}


PURGED_AMONG = select(exists().where(purged_workspace.c.id == any_(bindparam("of_workspaces", type_=IDS))))


async def are_any_purged(reader: Reader, workspaces: Iterable[UUID]) -> bool:
    """Tell whether one of the workspaces was deleted for good."""
    return bool(await reader.scalar(PURGED_AMONG, {"of_workspaces": sorted(workspaces)}))
