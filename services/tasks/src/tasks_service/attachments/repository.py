"""SQL on the tasks that files hang on."""

from uuid import UUID

from sqlalchemy import RowMapping, select
from sqlalchemy.ext.asyncio import AsyncSession

from tasks_service.visibility.repository import task


async def hold_task(session: AsyncSession, task_id: UUID) -> RowMapping | None:
    """Return where a task is, which stays there and is not deleted for good until the end; None for none."""
    query = select(task.c.id, task.c.workspace_id, task.c.project_id).where(task.c.id == task_id)
    return (await session.execute(query.with_for_update(read=True))).mappings().one_or_none()
