"""All SQL on the zones of callers."""

from uuid import UUID

from chassis.db.base import table_of
from chassis.db.direct import DirectReader
from sqlalchemy import bindparam, select
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncSession

from tasks_service.directory.models import Person
from tasks_service.visibility.repository import CALLER_ID

person = table_of(Person)


ZONE = select(person.c.timezone).where(person.c.id == bindparam("of_user"))
ZONE_OF_CALLER = select(person.c.timezone).where(person.c.id == CALLER_ID).scalar_subquery()
"""The name of the zone in the caller's profile, for a statement that knows who that is (visibility.seen_by)."""


async def find_zone(reader: AsyncConnection | AsyncSession | DirectReader, user_id: UUID) -> str | None:
    """Return the name of the zone in somebody's profile."""
    row = (await reader.execute(ZONE, {"of_user": user_id})).mappings().one_or_none()
    name: str | None = None if row is None else row["timezone"]
    return name
