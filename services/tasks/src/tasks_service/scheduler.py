"""The process of periodic work."""

from chassis import idempotency
from chassis.background import Job
from chassis.db.base import table_of
from chassis.inbox import claiming
from sqlalchemy.ext.asyncio import AsyncSession

from tasks_service.db import IdempotencyKey, Inbox

HOUR = 3600.0


async def purge_idempotency_keys(session: AsyncSession) -> bool:
    return await idempotency.purge(session, table_of(IdempotencyKey))


async def purge_inbox(session: AsyncSession) -> bool:
    return await claiming.purge(session, table_of(Inbox))


JOBS = (
    Job("purge-idempotency-keys", HOUR, purge_idempotency_keys),
    Job("purge-inbox", HOUR, purge_inbox),
)
