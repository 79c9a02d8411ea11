"""The process of periodic work."""

from collections.abc import Awaitable, Callable
from datetime import timedelta

from chassis import idempotency
from chassis.background import Job
from chassis.clock import utcnow
from chassis.db.base import table_of
from chassis.db.sealed import reseal
from chassis.inbox import claiming
from chassis.outbox import purging
from chassis.sealing import KeyRing
from sqlalchemy.ext.asyncio import AsyncSession

from notifications_service.account_mail.jobs import purge_mails
from notifications_service.chat.jobs import purge_chats
from notifications_service.db import IdempotencyKey, Inbox, Outbox
from notifications_service.deliveries.jobs import purge_deliveries
from notifications_service.digests.jobs import make_digests, purge_digests
from notifications_service.inbox.jobs import purge_notifications
from notifications_service.live import repository
from notifications_service.recording.jobs import purge_recorded
from notifications_service.sealed import SEALED
from notifications_service.webhook_deliveries.jobs import purge_webhooks

MINUTE, HOUR = 60.0, 3600.0


def jobs(replay_days: int, *, kept_days: int = 90, ring: KeyRing | None = None) -> tuple[Job, ...]:
    """Return the periodic jobs of this service; notifications are kept for `kept_days`, and `ring` seals secrets."""

    async def purge_replay_store(session: AsyncSession) -> bool:
        return await repository.purge(session, before=utcnow() - timedelta(days=replay_days))

    async def purge_inbox(session: AsyncSession) -> bool:
        return await claiming.purge(session, table_of(Inbox))

    async def purge_outbox(session: AsyncSession) -> bool:
        return await purging.purge(session, table_of(Outbox))

    async def purge_idempotency_keys(session: AsyncSession) -> bool:
        return await idempotency.purge(session, table_of(IdempotencyKey))

    return (
        Job("purge-replay-store", HOUR, purge_replay_store),
        Job("purge-inbox", HOUR, purge_inbox),
        Job("purge-outbox", HOUR, purge_outbox),
        Job("purge-idempotency-keys", HOUR, purge_idempotency_keys),
        Job("purge-mails", HOUR, purge_mails),
        Job("purge-webhooks", HOUR, purge_webhooks),
        Job("purge-chats", HOUR, purge_chats),
        Job("make-digests", MINUTE, make_digests),
        Job("purge-digests", HOUR, purge_digests),
        Job("purge-notifications", HOUR, purge_notifications(kept=timedelta(days=kept_days))),
        Job("purge-deliveries", HOUR, purge_deliveries),
        Job("purge-recorded-messages", HOUR, purge_recorded),
        *(() if ring is None else (Job("reseal", HOUR, reseal_with(ring)),)),
    )


def reseal_with(ring: KeyRing) -> Callable[[AsyncSession], Awaitable[bool]]:
    """Return the work of sealing with the newest key what was sealed with others."""

    async def work(session: AsyncSession) -> bool:
        return any([await reseal(session, one, ring=ring) for one in SEALED])

    return work
