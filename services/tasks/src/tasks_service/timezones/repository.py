"""All SQL on the zones of callers."""

from uuid import UUID

from chassis.db.base import table_of
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncSession

from tasks_service.directory.models import Person

person = table_of(Person)


async def find_zone(reader: AsyncConnection | AsyncSession, user_id: UUID) -> str | None:
    """Return the name of the zone in somebody's profile."""
    name: str | None = await reader.scalar(select(person.c.timezone).where(person.c.id == user_id))
    return name
