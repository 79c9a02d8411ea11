"""All SQL on addresses that are refused."""

from collections.abc import Iterable
from typing import Any
from uuid import UUID

from chassis.db.arrays import uuids
from chassis.db.base import table_of
from sqlalchemy import RowMapping, Select, and_, any_, delete, func, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncSession

from notifications_service.emails.models import EmailChannel
from notifications_service.people.models import Person

channel = table_of(EmailChannel)
person = table_of(Person)

Reader = AsyncConnection | AsyncSession


async def find(reader: Reader, user_ids: Iterable[UUID]) -> dict[UUID, RowMapping]:
    """Return the address of each of these people, and why and since when it is refused, if it is."""
    asked = uuids(user_ids)
    rows = (await reader.execute(_addresses().where(person.c.user_id == any_(asked)))).mappings()
    return {row["user_id"]: row for row in rows}


async def disable(session: AsyncSession, *, user_id: UUID, address: str, reason: str) -> bool:
    """Note that an address is refused for good; False when that is known."""
    values = {"address": address, "reason": reason, "disabled_at": func.now()}
    statement = insert(channel).values(user_id=user_id, **values)
    statement = statement.on_conflict_do_update(
        index_elements=["user_id"], set_=values, where=channel.c.address != address
    )
    return (await session.execute(statement.returning(channel.c.user_id))).one_or_none() is not None


async def enable(session: AsyncSession, user_id: UUID) -> None:
    """Forget that an address was refused."""
    await session.execute(delete(channel).where(channel.c.user_id == user_id))


def _addresses() -> Select[Any]:
    refused = and_(channel.c.user_id == person.c.user_id, channel.c.address == person.c.email)
    columns = (person.c.user_id, person.c.email, person.c.email_verified, person.c.status, person.c.kind)
    return select(*columns, channel.c.reason, channel.c.disabled_at).select_from(person.outerjoin(channel, refused))
