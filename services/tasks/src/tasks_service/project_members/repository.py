"""All SQL on members of projects."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from chassis.clock import utcnow
from chassis.db.base import table_of
from chassis.ids import uuid7
from sqlalchemy import RowMapping, Select, delete, func, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncSession

from tasks_service.directory.repository import SHOWN_NAME
from tasks_service.projects.models import ProjectMember
from tasks_service.visibility.repository import member, person, project, project_rank, role_of

project_member = table_of(ProjectMember)

NAMED = (
    project_member.join(project, project.c.id == project_member.c.project_id)
    .outerjoin(
        member,
        (member.c.workspace_id == project_member.c.workspace_id) & (member.c.user_id == project_member.c.user_id),
    )
    .outerjoin(person, person.c.id == project_member.c.user_id)
)
EFFECTIVE = func.coalesce(role_of(project_rank(member.c.user_id)), project_member.c.role).label("effective_role")


def _named() -> Select[Any]:
    return select(*project_member.c, SHOWN_NAME, person.c.avatar_url, EFFECTIVE).select_from(NAMED)


async def list_of(
    reader: AsyncConnection, project_id: UUID, *, limit: int, offset: int
) -> tuple[Sequence[RowMapping], int]:
    """Return the members of a project, the first ones first, and how many there are.

    They come with their names, and the `effective_role` that they have with what the workspace gives them.
    """
    mine = project_member.c.project_id == project_id
    total = await reader.scalar(select(func.count()).select_from(project_member).where(mine))
    query = _named().where(mine).order_by(project_member.c.id).limit(limit).offset(offset)
    return (await reader.execute(query)).mappings().all(), total or 0


async def find(session: AsyncSession, *, project_id: UUID, user_id: UUID) -> RowMapping | None:
    """Return a membership as `list_of` does; None when there is none."""
    query = _named().where(project_member.c.project_id == project_id, project_member.c.user_id == user_id)
    row: RowMapping | None = (await session.execute(query)).mappings().one_or_none()
    return row


async def hold_in_workspace(session: AsyncSession, *, workspace_id: UUID, user_id: UUID) -> bool:
    """Tell whether somebody is a member of the workspace, and keep them one until the end."""
    query = select(member.c.id).where(member.c.workspace_id == workspace_id, member.c.user_id == user_id)
    return await session.scalar(query.with_for_update(read=True, key_share=True)) is not None


async def count_of(session: AsyncSession, project_id: UUID) -> int:
    """Count the members of a project."""
    mine = project_member.c.project_id == project_id
    return await session.scalar(select(func.count()).select_from(project_member).where(mine)) or 0


async def has_manager(session: AsyncSession, project_id: UUID, *, other_than: UUID | None = None) -> bool:
    """Tell whether a project has a manager of its own, other than somebody."""
    query = select(project_member.c.id).where(
        project_member.c.project_id == project_id,
        project_member.c.role == "manager",
        *([] if other_than is None else [project_member.c.user_id != other_than]),
    )
    return await session.scalar(query.limit(1)) is not None


async def add(session: AsyncSession, *, project: RowMapping, user_id: UUID, role: str) -> RowMapping:
    """Insert a membership."""
    values = {
        "id": uuid7(),
        "workspace_id": project["workspace_id"],
        "project_id": project["id"],
        "user_id": user_id,
        "role": role,
        "version": 1,
        "created_at": utcnow(),
    }
    statement = insert(project_member).values(**values).returning(*project_member.c)
    return (await session.execute(statement)).mappings().one()


async def change_role(session: AsyncSession, membership_id: UUID, role: str) -> RowMapping:
    """Give a member another role."""
    statement = (
        update(project_member)
        .where(project_member.c.id == membership_id)
        .values(role=role, version=project_member.c.version + 1)
    )
    return (await session.execute(statement.returning(*project_member.c))).mappings().one()


async def remove(session: AsyncSession, membership_id: UUID) -> None:
    """Delete a membership."""
    await session.execute(delete(project_member).where(project_member.c.id == membership_id))
