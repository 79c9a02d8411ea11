"""All SQL on projects."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from chassis.db.base import table_of
from chassis.identity import Principal
from sqlalchemy import RowMapping, func, insert, select
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncSession

from tasks_service.projects.models import Project
from tasks_service.visibility.repository import seen, seen_by, sight_of
from tasks_service.workspaces.models import Member, Workspace

project = table_of(Project)
member = table_of(Member)
workspace = table_of(Workspace)


@dataclass(frozen=True, slots=True)
class ProjectAccess:
    """A project with the role that the caller has in its workspace."""

    id: UUID
    workspace_id: UUID
    role: str


async def add(session: AsyncSession, values: Mapping[str, Any]) -> RowMapping:
    """Insert a project."""
    return (await session.execute(insert(project).values(**values).returning(*project.c))).mappings().one()


async def find_inbox(session: AsyncSession, owner: Principal) -> ProjectAccess | None:
    """Return the Inbox of the caller's personal workspace, if the caller may see it."""
    query = (
        select(project.c.id, project.c.workspace_id, member.c.role)
        .join(workspace, workspace.c.id == project.c.workspace_id)
        .join(member, member.c.workspace_id == workspace.c.id)
        .where(
            *seen(sight_of(owner), project_id=project.c.id),
            workspace.c.personal_owner_id == owner.user_id,
            project.c.is_inbox,
        )
    )
    row = (await session.execute(query, seen_by(owner))).one_or_none()
    return None if row is None else ProjectAccess(*row)


async def list_visible(
    reader: AsyncConnection, caller: Principal, *, workspace_id: UUID | None, limit: int, offset: int
) -> tuple[Sequence[RowMapping], int]:
    """Return the projects that the caller may see, oldest first, and how many there are."""
    mine = seen(sight_of(caller), project_id=project.c.id)
    parameters = seen_by(caller)
    if workspace_id is not None:
        mine.append(project.c.workspace_id == workspace_id)
    visible = project.join(member, member.c.workspace_id == project.c.workspace_id)
    total = await reader.scalar(select(func.count()).select_from(visible).where(*mine), parameters)
    query = select(*project.c).select_from(visible).where(*mine).order_by(project.c.id).limit(limit).offset(offset)
    return (await reader.execute(query, parameters)).mappings().all(), total or 0
