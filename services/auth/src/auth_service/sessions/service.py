"""Use cases of sessions: start, refresh and end them, and see that whoever asks has one."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, NoReturn
from uuid import UUID

from chassis.clock import utcnow
from chassis.context import current_request
from chassis.errors import PersistedError, Unauthenticated
from chassis.identity import Principal
from chassis.ids import uuid7
from chassis.sealing import KeyRing
from chassis.secret_tokens import REFRESH_TOKEN, token_digest
from sqlalchemy import RowMapping
from sqlalchemy.ext.asyncio import AsyncSession

from auth_service.account_mail.events import request_mail
from auth_service.account_mail.rules import MailKind
from auth_service.audit import service as audit
from auth_service.audit.rules import AuditAction, Outcome
from auth_service.credentials import service as credentials
from auth_service.credentials.errors import InvalidCredentials
from auth_service.revocations import service as revocations
from auth_service.sessions import repository
from auth_service.sessions.errors import InvalidRefreshToken, RefreshReused, SessionNotFound
from auth_service.sessions.events import session_compromised, session_started, sessions_revoked
from auth_service.sessions.rules import MOST_SESSIONS, RETRY_WINDOW, Method, open_successor, seal_successor
from auth_service.users import repository as users
from auth_service.users.policies import refusal_of

Fields = RowMapping | Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Lifetimes:
    """How long sessions live."""

    access: timedelta
    idle: timedelta
    absolute: timedelta


@dataclass(frozen=True, slots=True)
class Grant:
    """What a login or a refresh gives: the account, its session and the next refresh token."""

    account: RowMapping
    session_id: UUID
    refresh_token: str
    refresh_lifetime: timedelta


@dataclass(frozen=True, slots=True)
class Proof:
    """By what somebody has proved to be the owner of an account: names of methods, and whether of two sorts."""

    methods: tuple[Method, ...]
    second_factor: bool = False


@dataclass(frozen=True, slots=True)
class SessionTerms:
    """What holds for all sessions."""

    lifetimes: Lifetimes
    verification_required: bool
    step_up: timedelta


async def start_session(session: AsyncSession, *, account: RowMapping, proof: Proof, terms: SessionTerms) -> Grant:
    """Start a session for somebody who has proved to own the account: the only way to one.

    `account` is as it was read by the lock on it, or by a later change. Raises as `check_account`. Where there are too
    many sessions then, the oldest ends.
    """
    await check_account(session, account=account, proof=proof, terms=terms)
    grant = await _start(session, account=account, proof=proof, lifetimes=terms.lifetimes)
    await credentials.note_network(session, account_id=account["id"])
    await _note_login(session, account["id"], proof, session_id=grant.session_id)
    await _end_oldest(session, account_id=account["id"], lifetimes=terms.lifetimes)
    return grant


async def admit(session: AsyncSession, *, account_id: UUID, proof: Proof, terms: SessionTerms) -> RowMapping:
    """Return an account that may have a session, locked, so that whoever disables it meanwhile finds the session.

    Raises as `check_account`, or InvalidCredentials when the account has gone.
    """
    account = await users.lock(session, account_id)
    if account is None:
        raise InvalidCredentials
    await check_account(session, account=account, proof=proof, terms=terms)
    return account


async def check_account(session: AsyncSession, *, account: Fields, proof: Proof, terms: SessionTerms) -> None:
    """Raise what users.policies says against a session of an account, for whoever has proved to own it by `proof`."""
    refusal = refusal_of(account, verification_required=terms.verification_required)
    if refusal is not None:
        await refuse(session, account=account, proof=proof, refusal=refusal)


async def refuse(session: AsyncSession, *, account: Fields, proof: Proof, refusal: PersistedError) -> NoReturn:
    """Note that a login was refused after a proof that was right, and raise the refusal."""
    await _note_login(session, account["id"], proof, refused=refusal.code)
    raise refusal


async def refresh(session: AsyncSession, *, presented: str, terms: SessionTerms, mail_ring: KeyRing) -> Grant:
    """Replace a refresh token. Raises InvalidRefreshToken, or RefreshReused when an old one comes back.

    The token before the current one gets the same successor again for 10 seconds: its caller may have lost
    the answer. The account is held, so that what its new access token says is not older than a mark on older ones.
    """
    if not REFRESH_TOKEN.fits(presented):
        raise InvalidRefreshToken
    digest = token_digest(presented)
    account = await _hold_owner(session, digest, terms=terms)
    login = await repository.lock_by_token(session, digest)
    now = utcnow()
    if login is None or min(login["idle_expires_at"], login["expires_at"]) <= now:
        raise InvalidRefreshToken
    used = await repository.find_token(session, digest)
    if used is None:
        raise InvalidRefreshToken
    lifetimes = terms.lifetimes
    successor = await _successor(session, presented=presented, used=used, now=now)
    if successor is None:
        await _compromised(session, account=account, session_id=login["id"], lifetimes=lifetimes, mail_ring=mail_ring)
        raise RefreshReused
    idle_end = min(now + lifetimes.idle, login["expires_at"])
    address = current_request().client_address
    await repository.touch(session, login["id"], now=now, idle_expires_at=idle_end, address=address)
    return Grant(account, login["id"], successor, idle_end - now)


async def log_out(session: AsyncSession, *, caller: Principal, lifetimes: Lifetimes) -> None:
    """End the caller's session; its access tokens stop working even if it had ended before."""
    ended = await _end(session, user_id=caller.user_id, session_id=caller.session_id)
    await _revoke(session, {caller.session_id, *ended}, lifetimes)
    await audit.record(session, AuditAction.LOGOUT, subject_id=caller.user_id, actor=caller)


async def log_out_everywhere(session: AsyncSession, *, caller: Principal, lifetimes: Lifetimes) -> None:
    """End all sessions of the caller; whatever access token was issued before stops working."""
    await users.lock(session, caller.user_id)
    await end_sessions(session, user_id=caller.user_id, lifetimes=lifetimes, also=caller.session_id)
    await audit.record(session, AuditAction.LOGOUT_ALL, subject_id=caller.user_id, actor=caller)


async def end_sessions(
    session: AsyncSession,
    *,
    user_id: UUID,
    lifetimes: Lifetimes,
    keep: UUID | None = None,
    also: UUID | None = None,
) -> None:
    """End all sessions of a user, or all but `keep`: the only way to end several.

    Without `keep`, whatever access token was issued before stops working, `also` the tokens of a session that may
    have ended before; and whatever the gateway knows of the user's API tokens is asked anew.
    """
    ended = await _end(session, user_id=user_id, session_id=None, keep=keep)
    await _revoke(session, {*ended, *([also] if also else [])}, lifetimes)
    if keep is None:
        now = utcnow()
        await revocations.revoke_user(session, user_id, now=now, expires_at=now + lifetimes.access)


async def end_session(session: AsyncSession, *, caller: Principal, session_id: UUID, lifetimes: Lifetimes) -> None:
    """End one of the caller's sessions; its access tokens stop working too. Raises SessionNotFound."""
    ended = await _end(session, user_id=caller.user_id, session_id=session_id)
    if not ended:
        raise SessionNotFound
    await _revoke(session, ended, lifetimes)
    details = {"session_id": str(session_id)}
    await audit.record(session, AuditAction.SESSION_ENDED, subject_id=caller.user_id, actor=caller, details=details)


async def lock_caller(session: AsyncSession, caller: Principal) -> RowMapping:
    """Return the caller's account, locked, for what only its owner may do. Raises Unauthenticated as `require`."""
    account = await users.lock(session, caller.user_id)
    if account is None:
        raise Unauthenticated
    await require(session, caller)
    return account


async def require(session: AsyncSession, caller: Principal) -> None:
    """Raise Unauthenticated when the caller's session has ended.

    To be called right after an account was locked: whoever held it before may have ended the session, by which what
    was found out while waiting is worth nothing.
    """
    if not await repository.exists_of(session, user_id=caller.user_id, session_id=caller.session_id):
        raise Unauthenticated


async def prove(session: AsyncSession, *, session_id: UUID, second_factor: bool) -> None:
    """Note that whoever holds the session has just proved to be its owner again, perhaps by a second factor."""
    await repository.note_proof(session, session_id, now=utcnow(), second_factor=second_factor)


async def is_recently_proven(session: AsyncSession, *, caller: Principal, within: timedelta) -> bool:
    """Tell whether the session's last proof is recent: of the second factor where the account has one."""
    proof = await repository.find_proof(session, caller.session_id)
    if proof is None:
        return False
    at = proof["second_factor_at"] if proof["has_second_factor"] else proof["authenticated_at"]
    return at is not None and utcnow() - at <= within


async def _end(
    session: AsyncSession, *, user_id: UUID, session_id: UUID | None, keep: UUID | None = None
) -> list[UUID]:
    ended = await repository.end(session, user_id=user_id, session_id=session_id, keep=keep)
    await sessions_revoked(session, session_ids=ended, user_id=user_id)
    return ended


async def _end_oldest(session: AsyncSession, *, account_id: UUID, lifetimes: Lifetimes) -> None:
    ended = await repository.end_oldest(session, account_id, most=MOST_SESSIONS)
    await sessions_revoked(session, session_ids=ended, user_id=account_id)
    for one in ended:
        details = {"session_id": str(one), "reason": "too_many"}
        await audit.record(
            session, AuditAction.SESSION_ENDED, subject_id=account_id, actor_id=account_id, details=details
        )
    await _revoke(session, ended, lifetimes)


async def _revoke(session: AsyncSession, session_ids: Collection[UUID], lifetimes: Lifetimes) -> None:
    await revocations.revoke_sessions(session, sorted(session_ids), expires_at=utcnow() + lifetimes.access)


async def _hold_owner(session: AsyncSession, digest: bytes, *, terms: SessionTerms) -> RowMapping:
    """Return the account of a refresh token, held before its session is: the order in which others lock the two."""
    account = await repository.hold_owner(session, digest)
    if account is None or refusal_of(account, verification_required=terms.verification_required) is not None:
        raise InvalidRefreshToken
    return account


async def _successor(session: AsyncSession, *, presented: str, used: RowMapping, now: datetime) -> str | None:
    """Return the token after one that is presented; None when it was used before, and is no retry."""
    if used["replaced_at"] is None:
        successor = REFRESH_TOKEN.new()
        await repository.replace_token(
            session,
            old=used["hash"],
            new=token_digest(successor),
            session_id=used["session_id"],
            sealed=seal_successor(successor, under=presented),
            now=now,
        )
        return successor
    if await _is_retry(session, used, now):
        return open_successor(used["successor_sealed"], under=presented)
    return None


async def _compromised(
    session: AsyncSession, *, account: RowMapping, session_id: UUID, lifetimes: Lifetimes, mail_ring: KeyRing
) -> None:
    """End a session of which somebody has a copy, and tell its owner."""
    user_id = account["id"]
    await repository.end(session, user_id=user_id, session_id=session_id)
    await session_compromised(session, session_id=session_id, user_id=user_id)
    await audit.record(
        session, AuditAction.REFRESH_REUSED, subject_id=user_id, credential_id=session_id, outcome="refused"
    )
    await request_mail(session, ring=mail_ring, kind=MailKind.SESSION_COMPROMISED, account=account)
    await _revoke(session, [session_id], lifetimes)


async def _is_retry(session: AsyncSession, used: RowMapping, now: datetime) -> bool:
    """Tell whether this is the immediately previous token, used within the window."""
    if used["successor_sealed"] is None or now - used["replaced_at"] > RETRY_WINDOW:
        return False
    successor = await repository.find_token(session, used["successor_hash"])
    return successor is not None and successor["replaced_at"] is None


async def _start(session: AsyncSession, *, account: RowMapping, proof: Proof, lifetimes: Lifetimes) -> Grant:
    now, request = utcnow(), current_request()
    session_id, refresh_token = uuid7(), REFRESH_TOKEN.new()
    end = now + lifetimes.absolute
    idle_end = min(now + lifetimes.idle, end)
    values = {
        "id": session_id,
        "user_id": account["id"],
        "device": request.client_device,
        "address": request.client_address,
        "methods": list(proof.methods),
        "authenticated_at": now,
        "second_factor_at": now if proof.second_factor else None,
        "created_at": now,
        "last_used_at": now,
        "idle_expires_at": idle_end,
        "expires_at": end,
    }
    await repository.add(session, values, token_digest(refresh_token))
    await session_started(session, session_id=session_id, user_id=account["id"])
    return Grant(account, session_id, refresh_token, idle_end - now)


async def _note_login(
    session: AsyncSession, account_id: UUID, proof: Proof, *, session_id: UUID | None = None, refused: str | None = None
) -> None:
    details = {"methods": list(proof.methods), **({"refusal": refused} if refused else {})}
    outcome: Outcome = "refused" if refused else "success"
    await audit.record(
        session,
        AuditAction.LOGIN,
        subject_id=account_id,
        actor_id=account_id,
        credential_id=session_id,
        outcome=outcome,
        details=details,
    )
