"""All SQL on which events may concern people."""

from collections.abc import Collection, Mapping
from typing import Any
from uuid import UUID

from chassis.db.arrays import given_numbers, given_uuids, rows_of
from chassis.db.base import table_of
from sqlalchemy import Select, String, and_, any_, bindparam, exists, or_, select
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.ext.asyncio import AsyncSession

from notifications_service.live.models import StreamEvent

event = table_of(StreamEvent)


def _streams_with() -> Select[Any]:
    bounds = {"after": given_numbers("after_seqs"), "until": given_numbers("until_seqs")}
    part = rows_of("part", id=given_uuids("of_streams"), **bounds)
    is_in = and_(event.c.workspace_id == part.c.id, event.c.seq > part.c.after, event.c.seq <= part.c.until)
    is_of_types = event.c.type == any_(bindparam("of_types", type_=ARRAY(String())))
    counts = or_(event.c.frame["workspace_id"].astext.is_not(None), is_of_types)
    return select(part.c.id).where(exists().where(is_in, counts))


# Asked whenever people are told of something: making it anew takes longer than what it does.
STREAMS_WITH = _streams_with()


async def streams_with(
    session: AsyncSession, parts: Mapping[UUID, tuple[int, int]], *, types: Collection[str]
) -> set[UUID]:
    """Return the streams that are of workspaces, or of users and have an event of these types in their parts."""
    after, until = ([part[at] for part in parts.values()] for at in (0, 1))
    wanted = {"of_streams": list(parts), "after_seqs": after, "until_seqs": until, "of_types": sorted(types)}
    return set((await session.execute(STREAMS_WITH, wanted)).scalars())
