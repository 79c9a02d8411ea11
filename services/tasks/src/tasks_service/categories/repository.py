"""SQL on the tasks of a category; that on categories themselves is in names.repository."""

from typing import Any
from uuid import UUID

from sqlalchemy import RowMapping
from sqlalchemy.ext.asyncio import AsyncSession

from tasks_service.tasks import repository as tasks


async def recategorize(
    session: AsyncSession, *, category_id: UUID, target_id: UUID | None
) -> list[tuple[RowMapping, RowMapping]]:
    """Give all tasks of a category another or none, in the trash as well; return them before and after."""
    values: dict[str, Any] = {"category_id": target_id}
    return await tasks.rewrite(session, tasks.task.c.category_id == category_id, values)
