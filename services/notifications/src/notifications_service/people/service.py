"""Who there is: what auth tells of accounts, and what others here ask of it."""

from collections.abc import Collection, Iterable, Mapping
from typing import Any
from uuid import UUID

from sqlalchemy import RowMapping
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncSession

from notifications_service.people import repository
from notifications_service.people.rules import ACTIVE, DELETED, DELETED_NAME, HUMAN, Known, zone_of


async def note_person(session: AsyncSession, *, person: Mapping[str, Any]) -> bool:
    """Note a state of somebody; False when a newer one is known, or they are gone."""
    return await repository.put(session, person)


async def bury_person(session: AsyncSession, *, user_id: UUID, kind: str) -> None:
    """Forget all that is known of somebody, for good."""
    await repository.bury(session, user_id, kind=kind)


async def find_people(reader: AsyncConnection | AsyncSession, *, user_ids: Iterable[UUID]) -> dict[UUID, Known]:
    """Return what is known of some people; who is not known is left out."""
    return {row["user_id"]: _known(row) for row in await repository.find(reader, user_ids)}


async def who_can_be_told(reader: AsyncConnection | AsyncSession, *, user_ids: Collection[UUID]) -> set[UUID]:
    """Return those who read what they are told. Who is not known yet is taken for one who does."""
    known = await find_people(reader, user_ids=user_ids)
    return {one for one in user_ids if one not in known or known[one].can_be_told}


def _known(row: RowMapping) -> Known:
    return Known(
        user_id=row["user_id"],
        name=DELETED_NAME if row["status"] == DELETED else row["display_name"],
        address=row["email"] if row["email_verified"] else None,
        zone=zone_of(row["timezone"]),
        locale=row["locale"],
        is_active=row["status"] == ACTIVE,
        is_human=row["kind"] == HUMAN,
    )
