"""All SQL on tasks whose status becomes another one, or means another thing: all of a project at once."""

from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

from chassis.clock import utcnow
from sqlalchemy import RowMapping, Update, exists, func, or_, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from tasks_service.statuses.repository import status
from tasks_service.tasks.repository import LEAVES_FIRST, SHOWN, task
from tasks_service.visibility.repository import project

IN_PROJECT = project.c.id == task.c.project_id


async def count_with(session: AsyncSession, *, project_id: UUID, key: str) -> int:
    """Count the tasks that have a status, those in the trash, too."""
    mine = (task.c.project_id == project_id, task.c.status == key)
    return await session.scalar(select(func.count()).select_from(task).where(*mine)) or 0


async def lock_with(session: AsyncSession, *, project_id: UUID, key: str) -> Sequence[RowMapping]:
    """Lock the tasks that have a status, and those that count them, leaves first; return the former as they are."""
    child = task.alias("child")
    counts = exists(select(child.c.id).where(child.c.parent_id == task.c.id, child.c.status == key))
    query = (
        select(*SHOWN)
        .join(project, IN_PROJECT)
        .where(task.c.project_id == project_id, or_(task.c.status == key, counts))
        .order_by(*LEAVES_FIRST)
        .with_for_update(of=task, key_share=True)
    )
    return [row for row in (await session.execute(query)).mappings() if row["status"] == key]


async def change_status(
    session: AsyncSession, *, status_id: UUID, values: Mapping[str, Any], key: str, completion: Mapping[str, Any]
) -> dict[UUID, RowMapping]:
    """Change a status, and its tasks with it, in one statement, so that no task is without one; return the tasks.

    `key` is the one that it has had. The version of the status is left to who changes the rest of it.
    """
    edited = update(status).where(status.c.id == status_id).values(**values)
    found = edited.returning(status.c.project_id, status.c.key).cte("edited")
    statement = _tasks(completion).values(status=found.c.key).where(task.c.project_id == found.c.project_id)
    return await _changed(session, statement.where(task.c.status == key))


async def move_to(
    session: AsyncSession, *, project_id: UUID, key: str, target: str, completion: Mapping[str, Any]
) -> dict[UUID, RowMapping]:
    """Give all tasks of a status another one, and return them."""
    statement = _tasks(completion).values(status=target).where(task.c.project_id == project_id, task.c.status == key)
    return await _changed(session, statement)


def _tasks(completion: Mapping[str, Any]) -> Update:
    return update(task).where(IN_PROJECT).values(version=task.c.version + 1, updated_at=utcnow(), **completion)


async def _changed(session: AsyncSession, statement: Update) -> dict[UUID, RowMapping]:
    return {row["id"]: row for row in (await session.execute(statement.returning(*SHOWN))).mappings()}
