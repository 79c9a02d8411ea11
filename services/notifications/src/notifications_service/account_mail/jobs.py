"""Periodic work on mails."""

from datetime import timedelta

from chassis.clock import utcnow
from sqlalchemy.ext.asyncio import AsyncSession

from notifications_service.account_mail import repository

KEPT = timedelta(days=30)


async def purge_mails(session: AsyncSession) -> bool:
    """Forget mails that were sent or given up a month ago."""
    return await repository.purge(session, before=utcnow() - KEPT)
