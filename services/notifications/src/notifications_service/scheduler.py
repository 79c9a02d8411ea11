"""The process of periodic work."""

from datetime import timedelta

from chassis import idempotency
from chassis.background import Job
from chassis.clock import utcnow
from chassis.db.base import table_of
from chassis.inbox import claiming
from chassis.outbox import purging
from chassis.sealing import KeyRing
from sqlalchemy.ext.asyncio import AsyncSession

from notifications_service.account_mail.jobs import purge_mails
from notifications_service.chat.jobs import purge_chats
from notifications_service.chat.service import reseal_urls
from notifications_service.db import IdempotencyKey, Inbox, Outbox
from notifications_service.deliveries.jobs import purge_deliveries
from notifications_service.devices.service import reseal_addresses
from notifications_service.digests.jobs import make_digests, purge_digests
from notifications_service.inbox.jobs import purge_notifications
from notifications_service.live import repository
from notifications_service.recording.jobs import purge_recorded
from notifications_service.webhook_deliveries.jobs import purge_webhooks
from notifications_service.webhooks.service import reseal_secrets

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
        *(() if ring is None else reseal_jobs(ring)),
    )


def reseal_jobs(ring: KeyRing) -> tuple[Job, ...]:
    """Return the jobs that seal with the newest key what was sealed with others."""

    async def reseal_webhooks(session: AsyncSession) -> bool:
        return await reseal_secrets(session, ring=ring)

    async def reseal_devices(session: AsyncSession) -> bool:
        return await reseal_addresses(session, ring=ring)

    async def reseal_chats(session: AsyncSession) -> bool:
        return await reseal_urls(session, ring=ring)

    return (
        Job("reseal-webhook-secrets", HOUR, reseal_webhooks),
        Job("reseal-devices", HOUR, reseal_devices),
        Job("reseal-chats", HOUR, reseal_chats),
    )
