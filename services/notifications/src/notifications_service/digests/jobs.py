"""Periodic work on digests."""

from datetime import timedelta

from chassis.clock import utcnow
from sqlalchemy.ext.asyncio import AsyncSession

from notifications_service.digests import repository, service

KEPT = timedelta(days=90)


async def make_digests(session: AsyncSession) -> bool:
    """Make the digests that are due now."""
    return await service.make_digests(session, now=utcnow())


async def purge_digests(session: AsyncSession) -> bool:
    """Forget digests as old as the notifications that they told of; the last slot of somebody is long known by then."""
    return await repository.purge(session, before=utcnow() - KEPT)
