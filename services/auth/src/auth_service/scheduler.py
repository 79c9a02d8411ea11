"""The process of periodic work."""

from datetime import timedelta

from chassis import idempotency
from chassis.background import Job
from chassis.clock import utcnow
from chassis.db.base import table_of
from chassis.outbox import purging
from sqlalchemy.ext.asyncio import AsyncSession

from auth_service.db import IdempotencyKey, Outbox
from auth_service.revocations import repository as revocations
from auth_service.sessions import repository as sessions
from auth_service.sessions.rules import RETRY_WINDOW

MINUTE, HOUR = 60.0, 3600.0
FAILURES_KEPT = timedelta(days=1)


async def purge_sessions(session: AsyncSession) -> None:
    now = utcnow()
    await sessions.purge(session, failures_before=now - FAILURES_KEPT, sealed_before=now - RETRY_WINDOW)


async def purge_rows(session: AsyncSession) -> None:
    await revocations.purge(session)
    await idempotency.purge(session, table_of(IdempotencyKey))
    await purging.purge(session, table_of(Outbox))


JOBS = (Job("purge-sessions", MINUTE, purge_sessions), Job("purge-rows", HOUR, purge_rows))
