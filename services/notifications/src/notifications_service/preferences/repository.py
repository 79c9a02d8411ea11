"""All SQL on preferences."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from chassis.db.arrays import uuids
from chassis.db.base import table_of
from sqlalchemy import RowMapping, Select, any_, delete, exists, literal, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncSession

from notifications_service.people.models import Person
from notifications_service.people.rules import DELETED
from notifications_service.preferences.models import NotificationPreference

preference = table_of(NotificationPreference)
person = table_of(Person)

Reader = AsyncConnection | AsyncSession


async def find_many(reader: Reader, user_ids: Iterable[UUID]) -> Sequence[RowMapping]:
    """Return what some users have asked for, each with the zone of the profile; who never did is left out."""
    asked = uuids(user_ids)
    result = await reader.execute(_with_zone().where(preference.c.user_id == any_(asked)))
    rows: Sequence[RowMapping] = result.mappings().all()
    return rows


async def find(reader: Reader, user_id: UUID, *, lock: bool = False) -> RowMapping | None:
    """Return what a user has asked for, with the zone of the profile; locked, nobody else changes it."""
    query = _with_zone().where(preference.c.user_id == user_id)
    if lock:
        query = query.with_for_update(of=preference)
    row: RowMapping | None = (await reader.execute(query)).mappings().one_or_none()
    return row


async def find_zone(reader: Reader, user_id: UUID) -> str | None:
    """Return the name of the zone in somebody's profile; until the transaction ends it stays that."""
    query = select(person.c.timezone).where(person.c.user_id == user_id).with_for_update(read=True)
    name: str | None = await reader.scalar(query)
    return name


async def replace(
    session: AsyncSession, *, user_id: UUID, values: Mapping[str, Any], expected: int | None
) -> RowMapping | None:
    """Put what a user asks for in place of what was; None when that is not the version that was expected (0: none)."""
    if expected:
        mine = (preference.c.user_id == user_id, preference.c.version == expected)
        changed = update(preference).where(*mine).values(**values, version=expected + 1)
        return (await session.execute(changed.returning(*preference.c))).mappings().one_or_none()
    statement = insert(preference).values(user_id=user_id, **values, version=1)
    if expected == 0:
        statement = statement.on_conflict_do_nothing()
    else:
        after = {**values, "version": preference.c.version + 1}
        statement = statement.on_conflict_do_update(index_elements=["user_id"], set_=after)
    return (await session.execute(statement.returning(*preference.c))).mappings().one_or_none()


async def begin(session: AsyncSession, *, user_id: UUID, updated_at: datetime) -> None:
    """Have a row for a user who has asked for nothing yet; of who is gone there is none."""
    values: dict[str, Any] = {"user_id": user_id, "lines": [], "version": 1, "updated_at": updated_at}
    given = select(*(literal(value, preference.c[name].type) for name, value in values.items()))
    is_gone = exists().where(person.c.user_id == user_id, person.c.status == DELETED)
    statement = insert(preference).from_select([*values], given.where(~is_gone))
    await session.execute(statement.on_conflict_do_nothing())


async def set_digest_at(session: AsyncSession, *, user_id: UUID, digest_at: datetime | None) -> None:
    """Note when the next digest is due; that is no change of what the user has asked for."""
    await session.execute(update(preference).where(preference.c.user_id == user_id).values(digest_at=digest_at))


async def remove(session: AsyncSession, user_id: UUID) -> None:
    """Forget what a user has asked for."""
    await session.execute(delete(preference).where(preference.c.user_id == user_id))


def _with_zone() -> Select[Any]:
    known = preference.outerjoin(person, person.c.user_id == preference.c.user_id)
    return select(*preference.c, person.c.timezone).select_from(known)
