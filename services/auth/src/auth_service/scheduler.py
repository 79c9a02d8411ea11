"""The process of periodic work. Each job has its own transactions: a failure of one undoes nothing of another."""

from datetime import timedelta

from chassis import idempotency
from chassis.background import Job
from chassis.clock import utcnow
from chassis.db.base import table_of
from chassis.inbox import claiming
from chassis.outbox import purging
from chassis.sealing import KeyRing
from sqlalchemy.ext.asyncio import AsyncSession

from auth_service.api_tokens import repository as api_tokens
from auth_service.audit import repository as audit
from auth_service.credentials import repository as credentials
from auth_service.credentials.rules import ADDRESS_WINDOW, KNOWN_FOR
from auth_service.db import IdempotencyKey, Inbox, Outbox
from auth_service.leaving import service as leaving
from auth_service.leaving.repository import forget_events
from auth_service.leaving.rules import End
from auth_service.oidc import repository as oidc
from auth_service.passkeys import repository as passkeys
from auth_service.proofs import repository as proofs
from auth_service.revocations import repository as revocations
from auth_service.second_factors import repository as second_factors
from auth_service.second_factors.rules import PENDING_FOR, WINDOW
from auth_service.second_factors.service import reseal_seeds
from auth_service.sessions import repository as sessions
from auth_service.sessions.rules import RETRY_WINDOW
from auth_service.settings import Settings
from auth_service.tokens.service import rotate_keys_when_due
from auth_service.verification import repository as verification
from auth_service.verification.jobs import handle_request

SOON, MINUTE, HOUR, DAY = 0.5, 60.0, 3600.0, 86_400.0
FAILURES_KEPT = timedelta(days=1)
EXPIRED_TOKENS_KEPT = timedelta(days=30)
ROWS_OF_FAILURES_KEPT = timedelta(days=30)


def jobs(settings: Settings) -> tuple[Job, ...]:
    """Return the jobs of the service."""
    ring = KeyRing.parse(settings.auth.encryption_keys.get_secret_value())
    access_ttl = timedelta(seconds=settings.auth.access_token_ttl)
    every = timedelta(days=settings.auth.key_rotation_days)

    async def rotate_keys(session: AsyncSession) -> None:
        await rotate_keys_when_due(session, ring, access_ttl=access_ttl, every=every)

    mail_ring = settings.mail_sealing.ring()
    audit_kept = timedelta(days=settings.auth.audit_days)

    async def purge_audit(session: AsyncSession) -> bool:
        return await audit.purge(session, before=utcnow() - audit_kept)

    async def finish_deletions(session: AsyncSession) -> bool:
        return await leaving.finish_deletion(session, mail_ring=mail_ring)

    async def purge_unproved(session: AsyncSession) -> bool:
        return await leaving.finish_deletion(session, mail_ring=mail_ring, end=End.UNPROVED)

    async def reseal(session: AsyncSession) -> bool:
        return await reseal_seeds(session, ring)

    async def handle_mail_requests(session: AsyncSession) -> bool:
        return await handle_request(session, mail_ring)

    # Elsewhere an account is used before its address is proved.
    is_required = settings.auth.email_verification == "required"
    unproved = (Job("purge-unproved-accounts", HOUR, purge_unproved),) if is_required else ()
    return (
        *PURGES,
        *unproved,
        Job("handle-mail-requests", SOON, handle_mail_requests),
        Job("finish-deletions", MINUTE, finish_deletions),
        Job("forget-events", MINUTE, forget_events),
        Job("purge-audit", HOUR, purge_audit),
        Job("rotate-keys", DAY, rotate_keys),
        Job("reseal-totp-seeds", HOUR, reseal),
    )


async def blank_successors(session: AsyncSession) -> bool:
    return await sessions.blank_successors(session, before=utcnow() - RETRY_WINDOW)


async def purge_failures(session: AsyncSession) -> bool:
    return await credentials.purge_failures(session, before=utcnow() - FAILURES_KEPT)


async def purge_address_failures(session: AsyncSession) -> bool:
    return await credentials.purge_address_failures(session, before=utcnow() - ADDRESS_WINDOW)


async def purge_account_failures(session: AsyncSession) -> bool:
    return await credentials.purge_account_failures(session, before=utcnow() - ROWS_OF_FAILURES_KEPT)


async def purge_networks(session: AsyncSession) -> bool:
    return await credentials.purge_networks(session, before=utcnow() - KNOWN_FOR)


async def purge_api_tokens(session: AsyncSession) -> bool:
    return await api_tokens.purge(session, before=utcnow() - EXPIRED_TOKENS_KEPT)


async def purge_otp_tries(session: AsyncSession) -> bool:
    return await second_factors.purge_tries(session, before=utcnow() - WINDOW)


async def purge_unconfirmed(session: AsyncSession) -> bool:
    return await second_factors.purge_pending(session, before=utcnow() - PENDING_FOR)


async def purge_links(session: AsyncSession) -> bool:
    return await verification.purge(session, before=utcnow())


async def purge_mail_budgets(session: AsyncSession) -> bool:
    return await verification.purge_budgets(session, before=utcnow() - timedelta(hours=1))


async def purge_idempotency_keys(session: AsyncSession) -> bool:
    return await idempotency.purge(session, table_of(IdempotencyKey))


async def purge_outbox(session: AsyncSession) -> bool:
    return await purging.purge(session, table_of(Outbox))


async def purge_inbox(session: AsyncSession) -> bool:
    return await claiming.purge(session, table_of(Inbox))


PURGES = (
    Job("blank-successors", MINUTE, blank_successors),
    Job("purge-refresh-tokens", MINUTE, sessions.purge_tokens),
    Job("purge-sessions", MINUTE, sessions.purge),
    Job("purge-login-failures", HOUR, purge_failures),
    Job("purge-api-tokens", HOUR, purge_api_tokens),
    Job("purge-address-failures", MINUTE, purge_address_failures),
    Job("purge-account-failures", HOUR, purge_account_failures),
    Job("purge-known-networks", HOUR, purge_networks),
    Job("purge-oidc-flows", HOUR, oidc.purge_flows),
    Job("purge-login-tickets", MINUTE, proofs.purge),
    Job("purge-passkey-challenges", MINUTE, passkeys.purge_challenges),
    Job("purge-otp-tries", MINUTE, purge_otp_tries),
    Job("purge-unconfirmed-totp", MINUTE, purge_unconfirmed),
    Job("purge-links", HOUR, purge_links),
    Job("purge-mail-budgets", HOUR, purge_mail_budgets),
    Job("purge-revocations", HOUR, revocations.purge),
    Job("purge-idempotency-keys", HOUR, purge_idempotency_keys),
    Job("purge-outbox", HOUR, purge_outbox),
    Job("purge-inbox", HOUR, purge_inbox),
)
