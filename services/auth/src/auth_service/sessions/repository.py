"""All SQL on sessions and their refresh tokens."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from chassis.db.base import table_of
from chassis.db.purging import BATCH, delete_batch
from sqlalchemy import ColumnElement, RowMapping, delete, exists, func, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncSession

from auth_service.sessions.models import RefreshToken, Session
from auth_service.users.models import Account

login = table_of(Session)
account = table_of(Account)
token = table_of(RefreshToken)


async def add(session: AsyncSession, values: Mapping[str, Any], token_hash: bytes) -> None:
    """Insert a session with its first refresh token."""
    await session.execute(insert(login).values(**values))
    await session.execute(insert(token).values(hash=token_hash, session_id=values["id"]))


async def hold_owner(session: AsyncSession, token_hash: bytes) -> RowMapping | None:
    """Return the account of a refresh token, which nobody changes until the transaction ends; others may hold it."""
    query = select(account).join(login, login.c.user_id == account.c.id).join(token, token.c.session_id == login.c.id)
    query = query.where(token.c.hash == token_hash).with_for_update(read=True, of=account)
    return (await session.execute(query)).mappings().one_or_none()


async def lock_by_token(session: AsyncSession, token_hash: bytes) -> RowMapping | None:
    """Return the session of a refresh token, locked, so that uses of one family come one after the other."""
    query = (
        select(login)
        .join(token, token.c.session_id == login.c.id)
        .where(token.c.hash == token_hash)
        .with_for_update(of=login)
    )
    return (await session.execute(query)).mappings().one_or_none()


async def find_token(session: AsyncSession, token_hash: bytes) -> RowMapping | None:
    """Return a refresh token; to be read after the lock, so that it shows what the last holder did."""
    return (await session.execute(select(token).where(token.c.hash == token_hash))).mappings().one_or_none()


async def replace_token(
    session: AsyncSession, *, old: bytes, new: bytes, session_id: UUID, sealed: str, now: datetime
) -> None:
    """Mark a token as used and add its successor."""
    used = update(token).where(token.c.hash == old)
    await session.execute(used.values(replaced_at=now, successor_hash=new, successor_sealed=sealed))
    await session.execute(insert(token).values(hash=new, session_id=session_id))


async def touch(
    session: AsyncSession, session_id: UUID, *, now: datetime, idle_expires_at: datetime, address: str | None
) -> None:
    """Note a use of the session, and from where."""
    statement = update(login).where(login.c.id == session_id)
    known = {} if address is None else {"address": address}
    await session.execute(statement.values(last_used_at=now, idle_expires_at=idle_expires_at, **known))


async def note_proof(session: AsyncSession, session_id: UUID, *, now: datetime, second_factor: bool) -> None:
    """Note when the owner was last proved."""
    statement = update(login).where(login.c.id == session_id)
    await session.execute(
        statement.values(authenticated_at=now, **({"second_factor_at": now} if second_factor else {}))
    )


async def find_proof(session: AsyncSession, session_id: UUID) -> RowMapping | None:
    """Return when the session's owner was last proved, and whether the account has a second factor."""
    query = (
        select(login.c.authenticated_at, login.c.second_factor_at, account.c.has_second_factor)
        .join(account, account.c.id == login.c.user_id)
        .where(login.c.id == session_id)
    )
    return (await session.execute(query)).mappings().one_or_none()


async def exists_of(session: AsyncSession, *, user_id: UUID, session_id: UUID) -> bool:
    """Tell whether a user has this session, as of now: not as of before a wait for a lock."""
    query = select(exists().where(login.c.id == session_id, login.c.user_id == user_id))
    found: bool = (await session.execute(query)).scalar_one()
    return found


async def end(session: AsyncSession, *, user_id: UUID, session_id: UUID | None, keep: UUID | None = None) -> list[UUID]:
    """Delete one session of a user, or all of them but `keep`; return the ids of those that were there."""
    statement = delete(login).where(login.c.user_id == user_id)
    if session_id is not None:
        statement = statement.where(login.c.id == session_id)
    if keep is not None:
        statement = statement.where(login.c.id != keep)
    return list((await session.execute(statement.returning(login.c.id))).scalars())


async def end_oldest(session: AsyncSession, user_id: UUID, *, most: int) -> list[UUID]:
    """Delete the oldest sessions of a locked account that are in force, beyond so many; return their ids."""
    beyond = select(login.c.id).where(*_in_force(user_id)).order_by(login.c.id.desc()).offset(most)
    return list((await session.execute(delete(login).where(login.c.id.in_(beyond)).returning(login.c.id))).scalars())


async def list_of(
    reader: AsyncConnection, user_id: UUID, *, limit: int, offset: int
) -> tuple[Sequence[RowMapping], int]:
    """Return a user's sessions, the newest first, and how many there are."""
    query = select(login).where(*_in_force(user_id)).order_by(login.c.id.desc()).limit(limit).offset(offset)
    total = (await reader.execute(select(func.count()).select_from(login).where(*_in_force(user_id)))).scalar_one()
    return (await reader.execute(query)).mappings().all(), total


async def purge_tokens(session: AsyncSession) -> bool:
    """Delete a batch of the tokens of expired sessions; return whether there may be more."""
    return await delete_batch(session, token, token.c.session_id.in_(select(login.c.id).where(_expired())))


async def purge(session: AsyncSession) -> bool:
    """Delete a batch of expired sessions whose tokens are gone; return whether there may be more."""
    has_tokens = exists().where(token.c.session_id == login.c.id)
    return await delete_batch(session, login, _expired(), ~has_tokens)


async def blank_successors(session: AsyncSession, *, before: datetime) -> bool:
    """Blank a batch of successors of tokens used before then; return whether there may be more."""
    stale = token.c.successor_sealed.is_not(None), token.c.replaced_at < before
    chosen = select(token.c.hash).where(*stale).limit(BATCH).with_for_update(skip_locked=True)
    blanked = update(token).where(token.c.hash.in_(chosen)).values(successor_sealed=None).returning(token.c.hash)
    return len((await session.execute(blanked)).all()) == BATCH


def _in_force(user_id: UUID) -> tuple[ColumnElement[bool], ...]:
    return login.c.user_id == user_id, login.c.idle_expires_at > func.now(), login.c.expires_at > func.now()


def _expired() -> ColumnElement[bool]:
    return login.c.idle_expires_at < func.now()
