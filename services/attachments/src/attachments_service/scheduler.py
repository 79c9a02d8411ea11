"""The process of periodic work."""

from chassis import idempotency
from chassis.background import Job
from chassis.db.base import table_of
from chassis.inbox import claiming
from chassis.outbox import purging
from sqlalchemy.ext.asyncio import AsyncSession

from attachments_service.db import IdempotencyKey, Inbox, Outbox

HOUR = 3600.0


async def purge_rows(session: AsyncSession) -> None:
    await idempotency.purge(session, table_of(IdempotencyKey))
    await claiming.purge(session, table_of(Inbox))
    await purging.purge(session, table_of(Outbox))


JOBS = (Job("purge-rows", HOUR, purge_rows),)
