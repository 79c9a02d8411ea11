"""All SQL on digests: whose are due, and what waits for them."""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from chassis.db.base import table_of
from chassis.db.purging import delete_batch
from sqlalchemy import RowMapping, and_, func, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from notifications_service.digests.models import DigestSlot
from notifications_service.inbox.repository import IS_SEEN, IS_UNREAD, SHOWN, SHOWN_FROM, notification
from notifications_service.people.models import Person
from notifications_service.preferences.models import NotificationPreference

slot = table_of(DigestSlot)
preference = table_of(NotificationPreference)
person = table_of(Person)

WAITS = and_(notification.c.in_digest, IS_UNREAD, notification.c.archived_at.is_(None), IS_SEEN)
"""What is told by the next digest, on rows of what the inbox shows."""


async def claim_due(session: AsyncSession, *, now: datetime, limit: int) -> Sequence[RowMapping]:
    """Take users whose next digest is due; until the transaction ends nobody else does."""
    query = (
        select(*preference.c, person.c.timezone)
        .select_from(preference.outerjoin(person, person.c.user_id == preference.c.user_id))
        .where(preference.c.digest_at <= now)
        .order_by(preference.c.digest_at)
        .limit(limit)
        .with_for_update(of=preference, skip_locked=True)
    )
    rows: Sequence[RowMapping] = (await session.execute(query)).mappings().all()
    return rows


async def last_told(session: AsyncSession, user_id: UUID) -> int:
    """Return up to which notification of theirs the digests of a user have looked."""
    found = await session.scalar(select(func.max(slot.c.until_seq)).where(slot.c.user_id == user_id))
    return int(found or 0)


async def last_notification(session: AsyncSession, user_id: UUID) -> int:
    """Return the number of a user's last notification; all before it are there, too."""
    found = await session.scalar(select(func.max(notification.c.seq)).where(notification.c.user_id == user_id))
    return int(found or 0)


async def find_waiting(
    session: AsyncSession, *, user_id: UUID, after: int, until: int, since: datetime, limit: int
) -> tuple[Sequence[UUID], int]:
    """Return the latest notifications that wait for a user's digest, and how many wait in all."""
    here = (
        notification.c.user_id == user_id,
        notification.c.seq > after,
        notification.c.seq <= until,
        notification.c.created_at >= since,
    )
    matching = select(notification.c.id, notification.c.seq).select_from(SHOWN_FROM).where(*here, WAITS).cte("matching")
    query = select(matching.c.id, func.count().over()).order_by(matching.c.seq.desc()).limit(limit)
    rows = (await session.execute(query)).all()
    return [row[0] for row in rows], rows[0][1] if rows else 0


async def add_slot(session: AsyncSession, values: Mapping[str, Any]) -> bool:
    """Note the digest of a day or week; False when it has one."""
    statement = insert(slot).values(**values).on_conflict_do_nothing(index_elements=["user_id", "period_key"])
    return (await session.execute(statement.returning(slot.c.id))).one_or_none() is not None


async def find_slots(session: AsyncSession, slot_ids: Collection[UUID]) -> Sequence[RowMapping]:
    """Return some digests."""
    return (await session.execute(select(slot).where(slot.c.id.in_([*slot_ids])))).mappings().all()


async def find_still_waiting(session: AsyncSession, notification_ids: Collection[UUID]) -> Sequence[RowMapping]:
    """Return those of some notifications that are still to be told by a digest, the latest first."""
    query = select(*SHOWN).select_from(SHOWN_FROM).where(notification.c.id.in_([*notification_ids]), WAITS)
    rows: Sequence[RowMapping] = (await session.execute(query.order_by(notification.c.seq.desc()))).mappings().all()
    return rows


async def remove_of_user(session: AsyncSession, user_id: UUID) -> None:
    """Forget the digests of somebody who is gone."""
    await session.execute(slot.delete().where(slot.c.user_id == user_id))


async def purge(session: AsyncSession, *, before: datetime) -> bool:
    """Forget digests that were made before an instant, a thousand at a time."""
    return await delete_batch(session, slot, slot.c.made_at < before)
