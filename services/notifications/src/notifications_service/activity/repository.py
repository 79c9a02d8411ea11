"""All SQL on which events may concern people."""

from collections.abc import Collection, Mapping
from uuid import UUID

from chassis.db.arrays import numbers, rows_of, uuids
from chassis.db.base import table_of
from sqlalchemy import and_, exists, or_, select
from sqlalchemy.ext.asyncio import AsyncSession

from notifications_service.live.models import StreamEvent

event = table_of(StreamEvent)


async def streams_with(
    session: AsyncSession, parts: Mapping[UUID, tuple[int, int]], *, types: Collection[str]
) -> set[UUID]:
    """Return the streams that are of workspaces, or of users and have an event of these types in their parts."""
    after, until = (numbers(part[at] for part in parts.values()) for at in (0, 1))
    part = rows_of("part", id=uuids(parts), after=after, until=until)
    is_in = and_(event.c.workspace_id == part.c.id, event.c.seq > part.c.after, event.c.seq <= part.c.until)
    counts = or_(
        event.c.frame["workspace_id"].astext.is_not(None),
        event.c.type.in_(sorted(types)),
    )
    query = select(part.c.id).where(exists().where(is_in, counts))
    return set((await session.execute(query)).scalars())
