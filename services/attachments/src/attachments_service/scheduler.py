"""The process of periodic work."""

from chassis import idempotency
from chassis.background import Job
from chassis.db.base import table_of
from chassis.inbox import claiming
from chassis.outbox import purging
from sqlalchemy.ext.asyncio import AsyncSession

from attachments_service.attachments.jobs import remove_orphans
from attachments_service.db import IdempotencyKey, Inbox, Outbox
from attachments_service.storage.port import Storage

HOUR = 3600.0


def jobs(storage: Storage) -> tuple[Job, ...]:
    """Return the jobs of the service."""

    async def collect(session: AsyncSession) -> None:
        await remove_orphans(session, storage)

    return Job("purge-rows", HOUR, purge_rows), Job("remove-orphans", HOUR, collect)


async def purge_rows(session: AsyncSession) -> None:
    await idempotency.purge(session, table_of(IdempotencyKey))
    await claiming.purge(session, table_of(Inbox))
    await purging.purge(session, table_of(Outbox))
