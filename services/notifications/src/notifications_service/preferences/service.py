"""What people want to be told. Each use case is part of one transaction that its caller commits."""

from collections.abc import Collection
from datetime import datetime
from uuid import UUID

from chassis.clock import utcnow
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncSession

from notifications_service.digests.rules import next_slot
from notifications_service.kinds import Channel, Kind
from notifications_service.preferences import repository
from notifications_service.preferences.rules import Decision, Place, Wishes, decisions
from notifications_service.preferences.schemas import rhythm_of, wishes_of

NOTHING = Wishes()


async def decide(
    session: AsyncConnection | AsyncSession,
    *,
    user_ids: Collection[UUID],
    kind: Kind,
    workspace_id: UUID | None,
    project_id: UUID | None,
    urgent: bool,
    now: datetime,
) -> dict[UUID, dict[Channel, Decision]]:
    """Return, for each user and channel, how they are told of something, and when at the earliest.

    `due_at` is now, or the end of the quiet hours that now is in, for what is told `instant`; the inbox knows no quiet
    hours. One statement, whatever the number of users.
    """
    known = {row["user_id"]: wishes_of(row) for row in await repository.find_many(session, user_ids)}
    place = Place(workspace_id, project_id)
    return {
        user_id: decisions(known.get(user_id, NOTHING), kind=kind, place=place, urgent=urgent, now=now)
        for user_id in user_ids
    }


async def follow_zone(session: AsyncSession, *, user_id: UUID) -> None:
    """Let the next digest be due by the zone that the profile has now."""
    row = await repository.find(session, user_id, lock=True)
    rhythm = None if row is None else rhythm_of(row)
    if rhythm is not None:
        await repository.set_digest_at(session, user_id=user_id, digest_at=next_slot(rhythm, utcnow()).due_at)


async def forget_preferences(session: AsyncSession, *, user_id: UUID) -> None:
    """Forget what somebody who is gone has asked for."""
    await repository.remove(session, user_id)
