"""Use cases of sessions: log in, refresh, log out."""

import hashlib
import math
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from chassis.clock import utcnow
from chassis.identity import Principal
from chassis.ids import uuid7
from sqlalchemy import RowMapping
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession

from auth_service.passwords.service import PasswordHasher
from auth_service.revocations import service as revocations
from auth_service.sessions import repository
from auth_service.sessions.errors import (
    InvalidCredentials,
    InvalidRefreshToken,
    RefreshReused,
    SessionNotFound,
    TooManyFailures,
)
from auth_service.sessions.events import session_compromised, session_revoked, session_started
from auth_service.sessions.rules import (
    RETRY_WINDOW,
    Origin,
    delay_after,
    is_refresh_token,
    new_refresh_token,
    open_successor,
    seal_successor,
    token_hash,
)
from auth_service.users import repository as users
from auth_service.users.rules import parse_email


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
class Attempt:
    """A login that somebody tries."""

    email: str
    password: str
    network: str
    device: str | None


async def log_in(
    session: AsyncSession, *, attempt: Attempt, primary: AsyncEngine, hasher: PasswordHasher, lifetimes: Lifetimes
) -> Grant:
    """Start a session. Raises InvalidCredentials, the same for unknown accounts, or TooManyFailures.

    What is read first is read on a connection of its own, so that none is held while the password is hashed.
    """
    address = parse_email(attempt.email)
    canonical = address.canonical if address is not None else attempt.email
    origin = Origin(hashlib.sha256(canonical.encode()).digest(), attempt.network)
    async with primary.connect() as connection:
        _refuse_until(await repository.blocked_until(connection, origin), now=utcnow())
        account = None if address is None else await users.find_by_email(connection, canonical)
    encoded = None if account is None else account["password_hash"]
    fits = await hasher.verify(attempt.password, encoded)
    if account is None or not fits:
        await _count_failure(session, origin)
        raise InvalidCredentials
    fresh_hash = await hasher.hash(attempt.password) if hasher.needs_rehash(account["password_hash"]) else None
    await _forget_failures(session, origin)
    if fresh_hash is not None:
        await users.set_password_hash(session, user_id=account["id"], old=account["password_hash"], new=fresh_hash)
    return await _start(session, account=account, device=attempt.device, lifetimes=lifetimes)


async def refresh(session: AsyncSession, *, presented: str, lifetimes: Lifetimes) -> Grant:
    """Replace a refresh token. Raises InvalidRefreshToken, or RefreshReused when an old one comes back.

    The token before the current one gets the same successor again for 10 seconds: its caller may have lost
    the answer.
    """
    if not is_refresh_token(presented):
        raise InvalidRefreshToken
    digest = token_hash(presented)
    login = await repository.lock_by_token(session, digest)
    now = utcnow()
    if login is None or min(login["idle_expires_at"], login["expires_at"]) <= now:
        raise InvalidRefreshToken
    used = await repository.find_token(session, digest)
    account = await users.find(session, login["user_id"])
    if used is None or account is None:
        raise InvalidRefreshToken
    successor = await _successor(session, presented=presented, used=used, login=login, lifetimes=lifetimes, now=now)
    idle_end = min(now + lifetimes.idle, login["expires_at"])
    await repository.touch(session, login["id"], now=now, idle_expires_at=idle_end)
    return Grant(account, login["id"], successor, idle_end - now)


async def log_out(session: AsyncSession, *, caller: Principal, lifetimes: Lifetimes) -> None:
    """End the caller's session; its access tokens stop working even if it had ended before."""
    ended = await _end(session, user_id=caller.user_id, session_id=caller.session_id)
    await _revoke(session, {caller.session_id, *ended}, lifetimes)


async def log_out_everywhere(session: AsyncSession, *, caller: Principal, lifetimes: Lifetimes) -> None:
    """End all sessions of the caller; whatever access token was issued before stops working."""
    ended = await _end(session, user_id=caller.user_id, session_id=None)
    now = utcnow()
    await _revoke(session, {caller.session_id, *ended}, lifetimes)
    await revocations.revoke_user(session, caller.user_id, now=now, expires_at=now + lifetimes.access)


async def end_session(session: AsyncSession, *, user_id: UUID, session_id: UUID, lifetimes: Lifetimes) -> None:
    """End one of a user's sessions; its access tokens stop working too. Raises SessionNotFound."""
    ended = await _end(session, user_id=user_id, session_id=session_id)
    if not ended:
        raise SessionNotFound
    await _revoke(session, ended, lifetimes)


async def _end(session: AsyncSession, *, user_id: UUID, session_id: UUID | None) -> list[UUID]:
    ended = await repository.end(session, user_id=user_id, session_id=session_id)
    for one in ended:
        await session_revoked(session, session_id=one, user_id=user_id)
    return ended


async def _revoke(session: AsyncSession, session_ids: Collection[UUID], lifetimes: Lifetimes) -> None:
    await revocations.revoke_sessions(session, sorted(session_ids), expires_at=utcnow() + lifetimes.access)


async def _successor(
    session: AsyncSession, *, presented: str, used: RowMapping, login: RowMapping, lifetimes: Lifetimes, now: datetime
) -> str:
    if used["replaced_at"] is None:
        successor = new_refresh_token()
        await repository.replace_token(
            session,
            old=used["hash"],
            new=token_hash(successor),
            session_id=login["id"],
            sealed=seal_successor(successor, under=presented),
            now=now,
        )
        return successor
    if await _is_retry(session, used, now):
        return open_successor(used["successor_sealed"], under=presented)
    await repository.end(session, user_id=login["user_id"], session_id=login["id"])
    await session_compromised(session, session_id=login["id"], user_id=login["user_id"])
    await revocations.revoke_sessions(session, [login["id"]], expires_at=now + lifetimes.access)
    raise RefreshReused


async def _is_retry(session: AsyncSession, used: RowMapping, now: datetime) -> bool:
    """Tell whether this is the immediately previous token, used within the window."""
    if used["successor_sealed"] is None or now - used["replaced_at"] > RETRY_WINDOW:
        return False
    successor = await repository.find_token(session, used["successor_hash"])
    return successor is not None and successor["replaced_at"] is None


async def _start(session: AsyncSession, *, account: RowMapping, device: str | None, lifetimes: Lifetimes) -> Grant:
    now = utcnow()
    session_id, refresh_token = uuid7(), new_refresh_token()
    end = now + lifetimes.absolute
    idle_end = min(now + lifetimes.idle, end)
    values = {
        "id": session_id,
        "user_id": account["id"],
        "device": device,
        "created_at": now,
        "last_used_at": now,
        "idle_expires_at": idle_end,
        "expires_at": end,
    }
    await repository.add(session, values, token_hash(refresh_token))
    await session_started(session, session_id=session_id, user_id=account["id"])
    return Grant(account, session_id, refresh_token, idle_end - now)


def _refuse_until(blocked_until: datetime | None, *, now: datetime) -> None:
    if blocked_until is not None and blocked_until > now:
        raise TooManyFailures(retry_after=math.ceil((blocked_until - now).total_seconds()))


async def _count_failure(session: AsyncSession, origin: Origin) -> None:
    """Count a failure. Raises TooManyFailures, as if it had come later, when others beside it brought on a block."""
    now = utcnow()
    failures = await repository.count_failure(session, origin, now=now)
    if failures is None:
        _refuse_until(await repository.blocked_until(session, origin), now=now)
    elif delay := delay_after(failures):
        await repository.block(session, origin, until=now + delay)


async def _forget_failures(session: AsyncSession, origin: Origin) -> None:
    """Begin anew after a success. Of many guesses at once a right one, too, is told only before there is a block."""
    failed = await repository.lock_failures(session, origin)
    if failed is not None:
        _refuse_until(failed["blocked_until"], now=utcnow())
        await repository.forget_failures(session, origin)
