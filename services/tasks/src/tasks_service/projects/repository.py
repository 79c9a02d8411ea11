"""All SQL on projects."""

from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any
from uuid import UUID

from chassis.db.base import table_of
from chassis.identity import Principal
from sqlalchemy import RowMapping, Select, bindparam, func, insert, select
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncSession

from tasks_service.projects.models import Project
from tasks_service.statuses.repository import STATUSES
from tasks_service.visibility.repository import (
    PROJECT_ROLE,
    PROJECTS,
    WORKSPACE_ROLE,
    Sight,
    seen_by,
    seen_projects,
    sight_of,
    workspace,
)

project = table_of(Project)

Reader = AsyncConnection | AsyncSession

IN_WORKSPACES = PROJECTS.join(workspace, workspace.c.id == project.c.workspace_id)


def _visible(sight: Sight) -> Select[Any]:
    return (
        select(*project.c, PROJECT_ROLE, WORKSPACE_ROLE, workspace.c.require_if_match, STATUSES)
        .select_from(IN_WORKSPACES)
        .where(*seen_projects(sight))
    )


@cache
def _visible_by_id(sight: Sight) -> Select[Any]:
    return _visible(sight).where(project.c.id == bindparam("project_id"))


@cache
def _inbox(sight: Sight) -> Select[Any]:
    return _visible(sight).where(workspace.c.personal_owner_id == bindparam("owner_id"), project.c.is_inbox)


async def add(session: AsyncSession, values: Mapping[str, Any]) -> RowMapping:
    """Insert a project; the database gives it a prefix, unless it has one, and statuses."""
    return (await session.execute(insert(project).values(**values).returning(*project.c))).mappings().one()


async def find_visible(reader: Reader, *, caller: Principal, project_id: UUID) -> RowMapping | None:
    """Return the project with the caller's `role` in it, if the caller may see it."""
    statement = _visible_by_id(sight_of(caller))
    result = await reader.execute(statement, {**seen_by(caller), "project_id": project_id})
    row: RowMapping | None = result.mappings().one_or_none()
    return row


async def find_inbox(session: AsyncSession, owner: Principal) -> RowMapping | None:
    """Return the Inbox of the caller's personal workspace, if the caller may see it."""
    statement = _inbox(sight_of(owner))
    result = await session.execute(statement, {**seen_by(owner), "owner_id": owner.user_id})
    row: RowMapping | None = result.mappings().one_or_none()
    return row


async def list_visible(
    reader: AsyncConnection, caller: Principal, *, workspace_id: UUID | None, limit: int, offset: int
) -> tuple[Sequence[RowMapping], int]:
    """Return the projects that the caller may see, oldest first, and how many there are."""
    mine, parameters = seen_projects(sight_of(caller)), seen_by(caller)
    if workspace_id is not None:
        mine.append(project.c.workspace_id == workspace_id)
    total = await reader.scalar(select(func.count()).select_from(PROJECTS).where(*mine), parameters)
    query = select(*project.c, PROJECT_ROLE).select_from(PROJECTS).where(*mine)
    query = query.order_by(project.c.id).limit(limit).offset(offset)
    return (await reader.execute(query, parameters)).mappings().all(), total or 0
