"""All SQL on what happens to a project with all that is in it."""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from chassis.clock import utcnow
from chassis.db.base import table_of
from chassis.identity import Principal
from sqlalchemy import RowMapping, Table, delete, exists, func, or_, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from tasks_service.projects.models import ProjectMember
from tasks_service.projects.repository import project, tree_of
from tasks_service.shares.models import TaskShare
from tasks_service.statuses.models import Status
from tasks_service.tasks.repository import SHOWN, task
from tasks_service.visibility.repository import MANAGER, PROJECT_RANK, PROJECTS, seen_by, seen_projects, sight_of

BATCH = 1_000
share = table_of(TaskShare)

OF_PROJECTS: tuple[Table, ...] = (table_of(Status), table_of(ProjectMember))


async def lock_below(session: AsyncSession, project_id: UUID) -> Sequence[RowMapping]:
    """Lock all that is in a project, in the order of the ids, and return it; what is in the trash, too."""
    tree = tree_of(project_id)
    query = (
        select(*project.c)
        .join(tree, tree.c.id == project.c.id)
        .where(project.c.id != project_id)
        .order_by(project.c.id)
        .with_for_update(of=project, key_share=True)
    )
    return (await session.execute(query)).mappings().all()


async def manages_all(session: AsyncSession, caller: Principal, project_ids: Sequence[UUID]) -> bool:
    """Tell whether the caller sees and manages all of these projects, wherever they are."""
    mine = seen_projects(sight_of(caller), in_trash=None)
    query = select(func.count()).select_from(PROJECTS)
    query = query.where(*mine, PROJECT_RANK >= MANAGER, project.c.id.in_(project_ids))
    return await session.scalar(query, seen_by(caller)) == len(project_ids)


async def change_all(
    session: AsyncSession, project_ids: Sequence[UUID], values: Mapping[str, Any]
) -> dict[UUID, RowMapping]:
    """Change locked projects in the same way, and return them."""
    statement = (
        update(project)
        .where(project.c.id.in_(project_ids))
        .values(**values, version=project.c.version + 1, updated_at=utcnow())
        .returning(*project.c)
    )
    return {row["id"]: row for row in (await session.execute(statement)).mappings()}


async def lock_purgeable(session: AsyncSession, *, deleted_before: datetime) -> RowMapping | None:
    """Return a project whose rows are to go, and in which there is no other; None when there is none.

    It was deleted for good, or has been in the trash since before the instant. One that another transaction has is
    left to that.
    """
    below = project.alias("below")
    query = (
        select(*project.c)
        .where(
            project.c.deleted_at.is_not(None),
            or_(project.c.purged_at.is_not(None), project.c.deleted_at < deleted_before),
            ~exists(select(below.c.id).where(below.c.parent_id == project.c.id)),
        )
        .order_by(project.c.deleted_at, project.c.id)
        .limit(1)
        .with_for_update(of=project, skip_locked=True)
    )
    row: RowMapping | None = (await session.execute(query)).mappings().one_or_none()
    return row


async def lock_tasks(session: AsyncSession, project_id: UUID) -> Sequence[RowMapping]:
    """Lock at most a thousand tasks of a project below which there is none, and return them."""
    below = task.alias("below")
    query = (
        select(*SHOWN)
        .join(project, project.c.id == task.c.project_id)
        .where(task.c.project_id == project_id, ~exists(select(below.c.id).where(below.c.parent_id == task.c.id)))
        .order_by(task.c.id)
        .limit(BATCH)
        .with_for_update(of=task)
    )
    return (await session.execute(query)).mappings().all()


async def remove(session: AsyncSession, project_id: UUID) -> None:
    """Delete a project without tasks, and what belongs to it; its prefix stays taken."""
    for table in OF_PROJECTS:
        await session.execute(delete(table).where(table.c.project_id == project_id))
    await session.execute(delete(project).where(project.c.id == project_id))


async def holders_of_shares(session: AsyncSession, project_ids: Collection[UUID]) -> dict[UUID, frozenset[UUID]]:
    """Return by project whom tasks of it are shared with."""
    query = (
        select(task.c.project_id, func.array_agg(share.c.user_id))
        .join(share, share.c.task_id == task.c.id)
        .where(task.c.project_id.in_(project_ids))
        .group_by(task.c.project_id)
    )
    return {row[0]: frozenset(row[1]) for row in await session.execute(query)}
