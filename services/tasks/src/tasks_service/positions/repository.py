"""All SQL on places: the neighbors of one, from the index."""

from uuid import UUID

from sqlalchemy import RowMapping, select
from sqlalchemy.ext.asyncio import AsyncSession

from tasks_service.tasks.repository import task


async def find_next(session: AsyncSession, *, project_id: UUID, position: str, is_after: bool) -> RowMapping | None:
    """Return the `id` and the `position` of the task that is next to a place, on one side of it.

    What is in the trash keeps its place there, for when it comes back.
    """
    place = task.c.position
    query = select(task.c.id, place).where(task.c.project_id == project_id)
    query = query.where(place > position if is_after else place < position)
    order = (place, task.c.id) if is_after else (place.desc(), task.c.id.desc())
    return (await session.execute(query.order_by(*order).limit(1))).mappings().one_or_none()
