"""What the log tells of single resources."""

from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

from chassis.db.base import table_of
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from tasks_service.changes.models import Change

change = table_of(Change)


async def changes_after(
    session: AsyncSession, *, entity_id: UUID, version: int
) -> Sequence[Sequence[Mapping[str, Any]]]:
    """Return the changes of a resource after a version, the first ones first."""
    query = select(change.c.changes).where(change.c.entity_id == entity_id, change.c.version > version)
    return (await session.execute(query.order_by(change.c.version, change.c.seq))).scalars().all()
