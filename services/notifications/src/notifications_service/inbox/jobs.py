"""What is done to the inbox now and then."""

from collections.abc import Awaitable, Callable
from datetime import timedelta

from chassis.clock import utcnow
from sqlalchemy.ext.asyncio import AsyncSession

from notifications_service.inbox import repository


def purge_notifications(*, kept: timedelta) -> Callable[[AsyncSession], Awaitable[bool]]:
    """Return what deletes notifications that are older than what is kept."""

    async def purge(session: AsyncSession) -> bool:
        return await repository.purge(session, before=utcnow() - kept)

    return purge
