"""All SQL on people."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any
from uuid import UUID

from chassis.db.arrays import uuids
from chassis.db.base import table_of
from sqlalchemy import RowMapping, any_, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncSession

from notifications_service.people.models import Person
from notifications_service.people.rules import DELETED

person = table_of(Person)

ERASED = {
    "status": DELETED,
    "display_name": None,
    "email": None,
    "email_verified": False,
    "timezone": None,
    "locale": None,
}
"""What is left of somebody who is gone."""


async def put(session: AsyncSession, values: Mapping[str, Any]) -> bool:
    """Note a state of somebody; one that is not newer, and any after the end, changes nothing and is False."""
    statement = insert(person).values(**values)
    newer = {name: statement.excluded[name] for name in values if name != "user_id"}
    statement = statement.on_conflict_do_update(
        index_elements=["user_id"],
        set_=newer,
        where=(person.c.version < statement.excluded.version) & (person.c.status != DELETED),
    )
    return (await session.execute(statement.returning(person.c.user_id))).one_or_none() is not None


async def bury(session: AsyncSession, user_id: UUID, *, kind: str) -> None:
    """Leave an id and nothing else of somebody, known or not."""
    statement = insert(person).values(user_id=user_id, kind=kind, version=0, **ERASED)
    await session.execute(statement.on_conflict_do_update(index_elements=["user_id"], set_=ERASED))


async def find(reader: AsyncConnection | AsyncSession, user_ids: Iterable[UUID]) -> Sequence[RowMapping]:
    """Return what is known of some people, in one statement."""
    query = select(person).where(person.c.user_id == any_(uuids(user_ids)))
    return (await reader.execute(query)).mappings().all()
