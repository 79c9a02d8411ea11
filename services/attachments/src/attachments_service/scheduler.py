"""The process of periodic work. Each purge has one table, so that a failure of one undoes nothing of another."""

from chassis import idempotency
from chassis.background import Job
from chassis.db.base import table_of
from chassis.inbox import claiming
from chassis.outbox import purging
from sqlalchemy.ext.asyncio import AsyncSession

from attachments_service.attachments.jobs import purge_workspaces, remove_orphans
from attachments_service.db import IdempotencyKey, Inbox, Outbox
from attachments_service.storage.port import Storage

HOUR = 3600.0


def jobs(storage: Storage) -> tuple[Job, ...]:
    """Return the jobs of the service."""

    async def collect(session: AsyncSession) -> None:
        await remove_orphans(session, storage)

    return *PURGES, Job("remove-orphans", HOUR, collect)


async def purge_idempotency_keys(session: AsyncSession) -> bool:
    return await idempotency.purge(session, table_of(IdempotencyKey))


async def purge_inbox(session: AsyncSession) -> bool:
    return await claiming.purge(session, table_of(Inbox))


async def purge_outbox(session: AsyncSession) -> bool:
    return await purging.purge(session, table_of(Outbox))


PURGES = (
    Job("purge-idempotency-keys", HOUR, purge_idempotency_keys),
    Job("purge-inbox", HOUR, purge_inbox),
    Job("purge-outbox", HOUR, purge_outbox),
    Job("purge-workspaces", HOUR, purge_workspaces),
)
