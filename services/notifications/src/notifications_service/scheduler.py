"""The process of periodic work."""

from datetime import timedelta

from chassis.background import Job
from chassis.clock import utcnow
from chassis.db.base import table_of
from chassis.inbox import claiming
from sqlalchemy.ext.asyncio import AsyncSession

from notifications_service.account_mail.jobs import purge_mails
from notifications_service.db import Inbox
from notifications_service.live import repository

HOUR = 3600.0


def jobs(replay_days: int) -> tuple[Job, ...]:
    """Return the periodic jobs of this service."""

    async def purge_replay_store(session: AsyncSession) -> bool:
        return await repository.purge(session, before=utcnow() - timedelta(days=replay_days))

    async def purge_inbox(session: AsyncSession) -> bool:
        return await claiming.purge(session, table_of(Inbox))

    return (
        Job("purge-replay-store", HOUR, purge_replay_store),
        Job("purge-inbox", HOUR, purge_inbox),
        Job("purge-mails", HOUR, purge_mails),
    )
