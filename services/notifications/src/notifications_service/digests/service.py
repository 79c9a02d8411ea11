"""Making digests. Each use case is part of one transaction that its caller commits."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from chassis.ids import uuid7
from sqlalchemy import RowMapping
from sqlalchemy.ext.asyncio import AsyncSession

from notifications_service.deliveries.schemas import PlannedDelivery
from notifications_service.deliveries.service import plan
from notifications_service.digests import repository
from notifications_service.digests.rules import Slot, next_slot, slot_to_make
from notifications_service.preferences.schemas import rhythm_of
from notifications_service.preferences.service import note_next_digest

USERS_AT_ONCE = 50
MOST_TOLD = 50
OLDEST = timedelta(days=14)
"""What came before is not told by a digest any more, such as by the first one of somebody."""


@dataclass(frozen=True, slots=True)
class Told:
    """What a digest tells by now: its notifications, the latest first, and how many more there were."""

    rows: Sequence[RowMapping]
    rest: int


async def make_digests(session: AsyncSession, *, now: datetime) -> bool:
    """Make the digests that are due, of each local day or week one; return whether there may be more.

    However many schedulers do so at once, and however often, of each there is one. One that is due for more than a day
    is left out, and one with nothing to tell is not sent.
    """
    due = await repository.claim_due(session, now=now, limit=USERS_AT_ONCE)
    for row in due:
        rhythm = rhythm_of(row)
        slot = None if rhythm is None else slot_to_make(rhythm, now)
        if slot is not None:
            await _make(session, row["user_id"], slot, now)
        following = None if rhythm is None else next_slot(rhythm, now).due_at
        await note_next_digest(session, user_id=row["user_id"], due_at=following)
    return len(due) == USERS_AT_ONCE


async def _make(session: AsyncSession, user_id: UUID, slot: Slot, now: datetime) -> None:
    after = await repository.last_told(session, user_id)
    until = await repository.last_notification(session, user_id)
    ids, count = await repository.find_waiting(
        session, user_id=user_id, after=after, until=until, since=now - OLDEST, limit=MOST_TOLD
    )
    digest_id = uuid7()
    values = {
        "id": digest_id,
        "user_id": user_id,
        "period_key": slot.period_key,
        "notification_ids": [*ids],
        "rest": count - len(ids),
        "until_seq": max(after, until),
        "due_at": slot.due_at,
        "made_at": now,
    }
    if await repository.add_slot(session, values) and ids:
        await plan(session, rows=[PlannedDelivery(user_id=user_id, channel="email", digest_id=digest_id)])


async def read_to_send(session: AsyncSession, *, digest_ids: Collection[UUID]) -> dict[UUID, Told]:
    """Return what digests tell by now: what has been read meanwhile, or is out of sight, is left out.

    A digest with nothing left is not in it.
    """
    slots = await repository.find_slots(session, digest_ids)
    ids = {one for slot in slots for one in slot["notification_ids"]}
    rows = await repository.find_still_waiting(session, ids) if ids else ()
    told = {slot["id"]: [row for row in rows if row["id"] in set(slot["notification_ids"])] for slot in slots}
    return {slot["id"]: Told(told[slot["id"]], slot["rest"]) for slot in slots if told[slot["id"]]}


async def forget_digests(session: AsyncSession, *, user_id: UUID) -> None:
    """Forget the digests of somebody who is gone."""
    await repository.remove_of_user(session, user_id)
