"""Use cases of API tokens."""

import hmac
from datetime import datetime

from chassis.clock import utcnow
from sqlalchemy import RowMapping
from sqlalchemy.ext.asyncio import AsyncSession

from auth_service.api_tokens import repository
from auth_service.api_tokens.policies import is_active
from auth_service.api_tokens.rules import NOTED_EVERY, Peppers, canonical_address, is_allowed_at
from auth_service.audit import service as audit
from auth_service.audit.rules import AuditAction


async def resolve(
    session: AsyncSession, *, sha256: bytes, address: str | None, peppers: Peppers, verification_required: bool
) -> RowMapping | None:
    """Return the token with this SHA-256 and its owner's state, when it may be used now, and note the use.

    A use from an address that its list does not allow is noted as such: the gateway refuses it.
    """
    digests = peppers.digests(sha256)
    found = await repository.find_with_owner(session, list(digests.values()))
    if found is None or not hmac.compare_digest(digests.get(found["digest_key"], b""), found["digest"]):
        return None
    now = utcnow()
    if not is_active(found, now=now, verification_required=verification_required):
        return None
    if found["digest_key"] != peppers.newest:
        newest = peppers.newest
        await repository.replace_digest(session, old=found["digest"], new=digests[newest], key=newest)
    await _note_use(session, found, now=now, address=canonical_address(address))
    return found


async def _note_use(session: AsyncSession, found: RowMapping, *, now: datetime, address: str | None) -> None:
    token_id, before = found["id"], now - NOTED_EVERY
    if not is_allowed_at(found["ip_allowlist"], address):
        if await repository.note_use_elsewhere(session, token_id, now=now, before=before):
            await _audit_use(session, found, AuditAction.API_TOKEN_USED_ELSEWHERE, address)
    elif found["last_used_at"] is not None:
        await repository.note_use(session, token_id, now=now, before=before, address=address)
    elif await repository.note_first_use(session, token_id, now=now, address=address):
        await _audit_use(session, found, AuditAction.API_TOKEN_FIRST_USED, address)


async def _audit_use(session: AsyncSession, found: RowMapping, action: AuditAction, address: str | None) -> None:
    await audit.record(
        session,
        action,
        subject_id=found["account_id"],
        actor_id=found["account_id"],
        credential_id=found["id"],
        outcome="refused" if action is AuditAction.API_TOKEN_USED_ELSEWHERE else "success",
        address=address,
    )
