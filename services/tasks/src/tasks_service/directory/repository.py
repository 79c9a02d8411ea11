"""All SQL on the directory of people."""

from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

from chassis.db.base import table_of
from chassis.identity import Principal
from sqlalchemy import ColumnElement, FromClause, RowMapping, case, false, func, literal, or_, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncSession

from tasks_service.directory.models import Person
from tasks_service.directory.rules import DELETED, DELETED_NAME
from tasks_service.shares.models import TaskShare
from tasks_service.visibility.repository import (
    CALLER_ID,
    PROJECTS,
    TASKS,
    member,
    project,
    project_rank,
    seen,
    seen_by,
    seen_projects,
    seen_tasks,
    sight_of,
    task,
    task_rank,
)

person = table_of(Person)
share = table_of(TaskShare)

ERASED = {
    "display_name": None,
    "avatar_url": None,
    "email_canonical": None,
    "email_verified": False,
    "timezone": None,
    "status": DELETED,
}
"""What a tombstone is left with."""
IS_DELETED = func.coalesce(person.c.status == DELETED, false()).label("deleted")
SHOWN_NAME = case((person.c.status == DELETED, DELETED_NAME), else_=person.c.display_name).label("name")
"""Of a row of `person`, joined from the outside: what somebody is called wherever names are shown."""
NOBODY_KNOWN = {"kind": "human", "version": 0}


async def put(session: AsyncSession, values: Mapping[str, Any]) -> None:
    """Note a state of somebody; one that is not newer, and any after the end, changes nothing."""
    statement = insert(person).values(**values)
    newer = {name: statement.excluded[name] for name in values if name != "id"}
    statement = statement.on_conflict_do_update(
        index_elements=["id"],
        set_=newer,
        where=(person.c.version < statement.excluded.version) & (person.c.status != DELETED),
    )
    await session.execute(statement)


async def bury(session: AsyncSession, user_id: UUID, *, kind: str) -> str | None:
    """Leave a tombstone of somebody, known or not; return the address that they had."""
    known = select(person.c.email_canonical).where(person.c.id == user_id).with_for_update()
    address: str | None = await session.scalar(known)
    statement = insert(person).values(id=user_id, **{**NOBODY_KNOWN, "kind": kind}, **ERASED)
    await session.execute(statement.on_conflict_do_update(index_elements=["id"], set_=ERASED))
    return address


async def find(reader: AsyncConnection | AsyncSession, user_id: UUID) -> RowMapping | None:
    """Return what is known of somebody."""
    return (await reader.execute(select(person).where(person.c.id == user_id))).mappings().one_or_none()


async def find_workspace(reader: AsyncConnection, caller: Principal, workspace_id: UUID) -> RowMapping | None:
    """Return a workspace that the caller sees, with the caller's `role`."""
    query = select(member.c.workspace_id, member.c.role).where(
        *seen(sight_of(caller)), member.c.workspace_id == workspace_id
    )
    return (await reader.execute(query, seen_by(caller))).mappings().one_or_none()


async def list_people(
    reader: AsyncConnection,
    caller: Principal,
    workspace_id: UUID,
    *,
    narrowly: bool,
    prefix: str | None,
    limit: int,
    offset: int,
) -> tuple[Sequence[RowMapping], int]:
    """Return some members of a workspace by name, with what is known of them, and how many there are.

    `narrowly` leaves only those who share with the caller a project, or a task, that the caller sees. `prefix` is what
    a word of the name begins with.
    """
    conditions = [member.c.workspace_id == workspace_id, *_named(prefix)]
    if narrowly:
        conditions.append(_shares_with(caller, workspace_id))
    known = member.outerjoin(person, person.c.id == member.c.user_id)
    parameters = seen_by(caller) if narrowly else {}
    total = await reader.scalar(select(func.count()).select_from(known).where(*conditions), parameters)
    columns = (SHOWN_NAME, IS_DELETED, person.c.avatar_url, person.c.kind)
    query = select(member.c.user_id, member.c.role, *columns).select_from(known).where(*conditions)
    query = query.order_by(func.lower(person.c.display_name).nulls_last(), member.c.user_id)
    return (await reader.execute(query.limit(limit).offset(offset), parameters)).mappings().all(), total or 0


async def find_people(
    reader: AsyncConnection, caller: Principal, *, prefix: str, workspace_id: UUID | None, limit: int
) -> Sequence[RowMapping]:
    """Return some people by name, each once, of all workspaces or one, as far as their directories are open."""
    sight = sight_of(caller)
    mine = select(member.c.workspace_id, member.c.role).where(*seen(sight)).cte("mine")
    narrowly = or_(mine.c.role == "guest", literal(caller.project_ids is not None))
    conditions = [
        *_named(prefix),
        person.c.status != DELETED,
        person.c.display_name.is_not(None),
        or_(~narrowly, _shares_with(caller, None)),
    ]
    if workspace_id is not None:
        conditions.append(member.c.workspace_id == workspace_id)
    known = member.join(mine, mine.c.workspace_id == member.c.workspace_id).join(
        person, person.c.id == member.c.user_id
    )
    name = func.lower(person.c.display_name)
    begins = name.startswith(prefix.lower(), autoescape=True)
    query = (
        select(person.c.id.label("user_id"), SHOWN_NAME, person.c.avatar_url, person.c.kind)
        .select_from(known)
        .where(*conditions)
        .group_by(person.c.id)
        .order_by((name == prefix.lower()).desc(), begins.desc(), name, person.c.id)
        .limit(limit)
    )
    return (await reader.execute(query, seen_by(caller))).mappings().all()


def _named(prefix: str | None) -> list[ColumnElement[bool]]:
    if not prefix:
        return []
    name = person.c.display_name
    return [or_(name.istartswith(prefix, autoescape=True), name.icontains(f" {prefix}", autoescape=True))]


def _shares_with(caller: Principal, workspace_id: UUID | None) -> ColumnElement[bool]:
    """Return the condition for a row of `member` who sees something that the caller sees, or is the caller."""
    sight = sight_of(caller)
    here = {of: [] if workspace_id is None else [of.c.workspace_id == workspace_id] for of in (project, task)}
    projects = (
        select(project.c.id)
        .select_from(PROJECTS)
        .where(*seen_projects(sight), *here[project])
        .cte("projects_of_caller")
    )
    tasks = (
        select(task.c.id)
        .select_from(TASKS.join(share, share.c.task_id == task.c.id))
        .where(*seen_tasks(sight), *here[task], share.c.user_id == CALLER_ID)
        .cte("tasks_shared_with_caller")
    )
    in_project = project.join(projects, projects.c.id == project.c.id)
    in_task = task.join(tasks, tasks.c.id == task.c.id).join(project, project.c.id == task.c.project_id)
    return or_(
        member.c.user_id == CALLER_ID,
        _some(in_project, project_rank(member.c.user_id)),
        _some(in_task, task_rank(member.c.user_id)),
    )


def _some(source: FromClause, rank: ColumnElement[int]) -> ColumnElement[bool]:
    return select(literal(1)).select_from(source).where(rank > 0).correlate(member).exists()
