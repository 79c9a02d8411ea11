"""Use cases of API tokens."""

import hmac
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from chassis.clock import rfc3339, utcnow
from chassis.errors import InvalidInput, Unauthenticated
from chassis.identity import Principal
from chassis.ids import uuid7
from chassis.sealing import KeyRing
from chassis.secret_tokens import API_TOKEN, token_digest
from sqlalchemy import RowMapping
from sqlalchemy.ext.asyncio import AsyncSession

from auth_service.account_mail.events import request_mail
from auth_service.account_mail.rules import MailKind
from auth_service.api_tokens import repository
from auth_service.api_tokens.errors import (
    ApiTokenNotFound,
    OwnerNotActive,
    ScopeNotConfined,
    TokenLimitReached,
)
from auth_service.api_tokens.events import token_created, token_revoked
from auth_service.api_tokens.policies import is_active, may_act
from auth_service.api_tokens.rules import (
    ADMINISTRATION,
    DEFAULT_LIFE,
    MOST_TOKENS,
    NOTED_EVERY,
    Peppers,
    canonical_address,
    faults_of_expiry,
    faults_of_scopes,
    is_allowed_at,
)
from auth_service.api_tokens.schemas import BotTokenCreate
from auth_service.audit import service as audit
from auth_service.audit.rules import AuditAction
from auth_service.revocations import service as revocations
from auth_service.sessions import service as sessions
from auth_service.users import repository as users

MARKED_FOR = timedelta(hours=1)
"""A mark is for those who know the token already; whoever asks for it later learns that it is revoked."""


@dataclass(frozen=True, slots=True)
class TokenTerms:
    """What holds for all API tokens."""

    peppers: Peppers
    mail_ring: KeyRing
    longest: timedelta
    verification_required: bool


@dataclass(frozen=True, slots=True)
class NewToken:
    """A token that has just been made: its row, and its text."""

    row: RowMapping
    text: str


async def create_token(
    session: AsyncSession,
    *,
    owner_id: UUID,
    caller: Principal,
    wanted: BotTokenCreate,
    workspace_id: UUID | None,
    terms: TokenTerms,
) -> NewToken:
    """Make an API token for an account, and tell the caller by mail.

    Raises InvalidInput, ScopeNotConfined, TokenLimitReached; Unauthenticated when the caller's own
    account may do nothing any more or the session has ended, OwnerNotActive when another may not.
    The account is locked, so that of many at once no more are made than there may be, and none beside its end.
    """
    now = utcnow()
    expires_at = wanted.expires_at or now + min(DEFAULT_LIFE, terms.longest)
    faults = [*faults_of_scopes(wanted.scopes), *faults_of_expiry(expires_at, now=now, longest=terms.longest)]
    if faults:
        raise InvalidInput(details=faults)
    owner = await users.lock(session, owner_id)
    if owner is None or not may_act(owner, verification_required=terms.verification_required):
        raise Unauthenticated if owner_id == caller.user_id else OwnerNotActive
    await sessions.require(session, caller)
    if ADMINISTRATION in wanted.scopes and (workspace_id is not None or wanted.project_ids is not None):
        raise ScopeNotConfined(field="scopes")
    if await repository.count_live(session, owner_id) >= MOST_TOKENS:
        raise TokenLimitReached
    text = API_TOKEN.new()
    bounds = {**wanted.model_dump(), "workspace_id": workspace_id, "expires_at": expires_at, "created_at": now}
    row = await repository.add(session, {**bounds, **_stored(text, terms.peppers), **_people(owner_id, caller)})
    await token_created(session, row, by=caller.user_id)
    await _audit_change(session, row, AuditAction.API_TOKEN_CREATED, caller)
    await _tell_by_mail(session, row, owner=owner, caller=caller, ring=terms.mail_ring)
    return NewToken(row, text)


async def count_live(session: AsyncSession, *, account_id: UUID) -> int:
    """Return how many API tokens of an account are in force."""
    return await repository.count_live(session, account_id)


async def revoke_token(session: AsyncSession, *, owner_id: UUID, token_id: UUID, caller: Principal) -> None:
    """End a token of an account: within two seconds it opens nothing more. Raises ApiTokenNotFound."""
    revoked = await repository.revoke(session, owner_id, now=utcnow(), token_id=token_id)
    if not revoked:
        raise ApiTokenNotFound
    await _end(session, revoked, caller)


async def revoke_all_of(session: AsyncSession, *, owner_id: UUID, caller: Principal) -> None:
    """End all tokens of an account; of a locked one, so that none is made beside it."""
    await _end(session, await repository.revoke(session, owner_id, now=utcnow()), caller)


async def resolve(session: AsyncSession, *, sha256: bytes, address: str | None, terms: TokenTerms) -> RowMapping | None:
    """Return the token with this SHA-256 and its owner's state, when it may be used now, and note the use.

    A use from an address that its list does not allow is noted as such: the gateway refuses it.
    """
    peppers = terms.peppers
    digests = peppers.digests(sha256)
    found = await repository.find_with_owner(session, list(digests.values()))
    if found is None or not hmac.compare_digest(digests.get(found["digest_key"], b""), found["digest"]):
        return None
    now = utcnow()
    if not is_active(found, now=now, verification_required=terms.verification_required):
        return None
    if found["digest_key"] != peppers.newest:
        newest = peppers.newest
        await repository.replace_digest(session, old=found["digest"], new=digests[newest], key=newest)
    await _note_use(session, found, now=now, address=canonical_address(address))
    return found


async def _note_use(session: AsyncSession, found: RowMapping, *, now: datetime, address: str | None) -> None:
    token_id, before = found["id"], now - NOTED_EVERY
    is_allowed = is_allowed_at(found["ip_allowlist"], address)
    noted_at: datetime | None = found["last_used_at" if is_allowed else "used_elsewhere_at"]
    if noted_at is not None and noted_at > before:
        return
    if not is_allowed:
        if await repository.note_use_elsewhere(session, token_id, now=now, before=before):
            await _audit_use(session, found, AuditAction.API_TOKEN_USED_ELSEWHERE, address)
    elif noted_at is not None:
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


async def _tell_by_mail(
    session: AsyncSession, row: RowMapping, *, owner: RowMapping, caller: Principal, ring: KeyRing
) -> None:
    """Tell who made a token, for themselves or for a service account."""
    details = {"name": row["name"], "scopes": ", ".join(row["scopes"]), "expires_at": rfc3339(row["expires_at"])}
    maker: RowMapping | None = owner
    if owner["id"] != caller.user_id:
        maker = await users.find(session, caller.user_id)
        details["service_account"] = owner["display_name"]
    if maker is None:
        raise Unauthenticated
    await request_mail(session, ring=ring, kind=MailKind.API_TOKEN_CREATED, account=maker, details=details)


def _stored(text: str, peppers: Peppers) -> dict[str, Any]:
    """Return what is kept of a token."""
    digest = peppers.digests(token_digest(text))[peppers.newest]
    shown = text.removeprefix(API_TOKEN.prefix)[:8]
    return {"id": uuid7(), "digest": digest, "digest_key": peppers.newest, "prefix": shown}


def _people(owner_id: UUID, caller: Principal) -> dict[str, UUID]:
    return {"account_id": owner_id, "created_by": caller.user_id}


async def _end(session: AsyncSession, revoked: Sequence[RowMapping], caller: Principal) -> None:
    for row in revoked:
        await token_revoked(session, row, by=caller.user_id)
        await _audit_change(session, row, AuditAction.API_TOKEN_REVOKED, caller)
    ended = [row["id"] for row in revoked]
    await revocations.revoke_sessions(session, ended, expires_at=utcnow() + MARKED_FOR)


async def _audit_change(session: AsyncSession, row: RowMapping, action: AuditAction, caller: Principal) -> None:
    details = {"token_id": str(row["id"]), "name": row["name"], "scopes": row["scopes"]}
    await audit.record(session, action, subject_id=row["account_id"], actor=caller, details=details)
