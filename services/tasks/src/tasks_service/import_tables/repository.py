"""All SQL on what tables name by names."""

from collections.abc import Collection
from uuid import UUID

from chassis.db.base import table_of
from sqlalchemy import ARRAY, RowMapping, String, any_, bindparam, func, literal, select, tuple_, union_all
from sqlalchemy.ext.asyncio import AsyncSession

from tasks_service.import_places.repository import status
from tasks_service.import_sources.models import ImportSeen
from tasks_service.import_sources.schemas import Terms
from tasks_service.tasks.models import TaskKeyAlias
from tasks_service.tasks.repository import KEY
from tasks_service.tasks.rules import Key, task_named
from tasks_service.visibility.repository import (
    IS_ACTIVE,
    TASKS,
    member,
    person,
    project,
    seen_by,
    seen_tasks,
    sight_of,
    task,
)

alias = table_of(TaskKeyAlias)
seen = table_of(ImportSeen)


async def projects_named(session: AsyncSession, workspace_id: UUID, names: Collection[str]) -> dict[str, UUID]:
    """Return projects by their names, in small letters; of several the oldest that takes changes."""
    wanted = sorted({name.lower() for name in names})
    query = (
        select(func.lower(project.c.name), project.c.id)
        .where(
            project.c.workspace_id == workspace_id,
            project.c.deleted_at.is_(None),
            func.lower(project.c.name).in_(wanted),
        )
        .order_by(project.c.archived_at.is_(None), project.c.id.desc())
    )
    return {row[0]: row[1] for row in await session.execute(query)}


async def find_place(session: AsyncSession, workspace_id: UUID, project_id: UUID | None) -> RowMapping | None:
    """Return a project of a workspace, or its Inbox."""
    wanted = project.c.is_inbox if project_id is None else project.c.id == project_id
    query = select(*project.c).where(project.c.workspace_id == workspace_id, project.c.deleted_at.is_(None), wanted)
    return (await session.execute(query)).mappings().one_or_none()


async def statuses_of(session: AsyncSession, project_ids: Collection[UUID]) -> list[RowMapping]:
    """Return the statuses of projects, in their order."""
    query = select(*status.c).where(status.c.project_id.in_(list(project_ids)))
    query = query.order_by(status.c.project_id, status.c.position, status.c.id)
    return list((await session.execute(query)).mappings())


async def members_called(session: AsyncSession, workspace_id: UUID, names: Collection[str]) -> dict[str, UUID]:
    """Return members by their addresses, in small letters, as far as those are verified."""
    wanted = sorted({name.lower() for name in names})
    query = (
        select(person.c.email_canonical, person.c.id)
        .join(member, member.c.user_id == person.c.id)
        .where(
            member.c.workspace_id == workspace_id,
            person.c.email_verified,
            person.c.email_canonical.in_(wanted),
            IS_ACTIVE,
        )
    )
    return {row[0]: row[1] for row in await session.execute(query)}


async def tasks_with_keys(session: AsyncSession, terms: Terms, keys: Collection[str]) -> dict[str, UUID]:
    """Return the tasks of the workspace that the importer sees and that have these keys, or had them."""
    sight = sight_of(terms.actor)
    here = (*seen_tasks(sight), task.c.workspace_id == bindparam("in_place"))
    wanted = any_(bindparam("keys", type_=ARRAY(String)))
    pairs = [(one.prefix, one.number) for one in map(task_named, keys) if isinstance(one, Key)]
    now = select(KEY, task.c.id, literal(0).label("is_former")).select_from(TASKS)
    now = now.where(*here, tuple_(project.c.prefix, task.c.number).in_(pairs))
    once = select(alias.c.key, task.c.id, literal(1)).select_from(TASKS.join(alias, alias.c.task_id == task.c.id))
    once = once.where(*here, alias.c.key == wanted, alias.c.workspace_id == task.c.workspace_id)
    query = union_all(now, once).order_by("is_former")
    values = {**seen_by(terms.actor), "in_place": terms.workspace_id, "keys": sorted({one.upper() for one in keys})}
    found: dict[str, UUID] = {}
    for row in await session.execute(query, values):
        found.setdefault(row[0], row[1])
    return found


async def rows_with_keys(session: AsyncSession, terms: Terms, ids: Collection[UUID]) -> dict[UUID, UUID]:
    """Return what rows of the file are called by their keys."""
    query = select(seen.c.source_id, seen.c.facts["source_id"].astext).where(
        seen.c.job_id == terms.job_id, seen.c.kind == "key", seen.c.source_id.in_(list(ids))
    )
    return {row[0]: UUID(row[1]) for row in await session.execute(query)}
