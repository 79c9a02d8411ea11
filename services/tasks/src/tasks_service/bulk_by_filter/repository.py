"""All SQL on what a filter finds to be changed."""

from uuid import UUID
from zoneinfo import ZoneInfo

from chassis.filtering.tree import Node
from chassis.identity import Principal
from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession

from tasks_service.matching.repository import matching
from tasks_service.visibility.repository import project, task


async def find(
    session: AsyncSession, *, caller: Principal, node: Node, zone: ZoneInfo, archived: bool, limit: int
) -> tuple[list[UUID], int]:
    """Return the first so many ids of what the caller sees and the filter finds, the oldest first, and the count."""
    query, parameters = matching(caller, node, zone=zone)
    if not archived:
        query = query.where(project.c.archived_at.is_(None))
    rows = await session.execute(query.order_by(task.c.id).limit(limit + 1), parameters)
    found: list[UUID] = [row["id"] for row in rows.mappings()]
    if len(found) <= limit:
        return found, len(found)
    count = await session.scalar(select(func.count()).select_from(query.subquery()), parameters)
    return found[:limit], count or 0
