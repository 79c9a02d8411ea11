"""All SQL on API tokens."""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from chassis.db.base import table_of
from chassis.db.purging import delete_batch
from sqlalchemy import ColumnElement, RowMapping, func, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncSession

from auth_service.api_tokens.models import ApiToken
from auth_service.users.models import Account

token = table_of(ApiToken)
account = table_of(Account)
OWNER = (
    account.c.kind,
    account.c.status,
    account.c.roles,
    account.c.email_verified_at,
    account.c.password_reset_required,
)


async def find_with_owner(session: AsyncSession, digests: Collection[bytes]) -> RowMapping | None:
    """Return the token with one of these digests, and its owner's state."""
    query = select(token, *OWNER).join(account, account.c.id == token.c.account_id)
    return (await session.execute(query.where(token.c.digest.in_(digests)))).mappings().one_or_none()


async def replace_digest(session: AsyncSession, *, old: bytes, new: bytes, key: str) -> None:
    """Store a token by a digest of a newer key."""
    await session.execute(update(token).where(token.c.digest == old).values(digest=new, digest_key=key))


async def note_first_use(session: AsyncSession, token_id: UUID, *, now: datetime, address: str | None) -> bool:
    """Note the first use; return whether this is it: of several at once it is one."""
    statement = update(token).where(token.c.id == token_id, token.c.last_used_at.is_(None))
    statement = statement.values(last_used_at=now, last_used_address=address)
    return await session.scalar(statement.returning(token.c.id)) is not None


async def note_use(
    session: AsyncSession, token_id: UUID, *, now: datetime, before: datetime, address: str | None
) -> None:
    """Note a use, unless one after `before` has been noted."""
    statement = update(token).where(token.c.id == token_id, token.c.last_used_at <= before)
    await session.execute(statement.values(last_used_at=now, last_used_address=address))


async def note_use_elsewhere(session: AsyncSession, token_id: UUID, *, now: datetime, before: datetime) -> bool:
    """Note a use from an address that is not allowed, unless one after `before` has been; return whether it was."""
    quiet = token.c.used_elsewhere_at.is_(None) | (token.c.used_elsewhere_at <= before)
    statement = update(token).where(token.c.id == token_id, quiet).values(used_elsewhere_at=now)
    return await session.scalar(statement.returning(token.c.id)) is not None


async def add(session: AsyncSession, values: Mapping[str, Any]) -> RowMapping:
    """Insert a token."""
    return (await session.execute(insert(token).values(**values).returning(*token.c))).mappings().one()


async def count_live(reader: AsyncSession | AsyncConnection, account_id: UUID) -> int:
    """Return how many tokens of an account are in force; sure to stay so while the account is locked."""
    query = select(func.count()).where(*_kept_of(account_id), token.c.expires_at > func.now())
    return await reader.scalar(query) or 0


async def list_of(
    reader: AsyncConnection, account_id: UUID, *, limit: int, offset: int
) -> tuple[Sequence[RowMapping], int]:
    """Return some of an account's tokens, the newest first, expired ones too, and how many there are."""
    total = await reader.scalar(select(func.count()).where(*_kept_of(account_id)))
    query = select(token).where(*_kept_of(account_id)).order_by(token.c.id.desc()).limit(limit).offset(offset)
    return (await reader.execute(query)).mappings().all(), total or 0


async def find(reader: AsyncConnection, account_id: UUID, token_id: UUID) -> RowMapping | None:
    """Return a token of an account."""
    query = select(token).where(*_kept_of(account_id), token.c.id == token_id)
    return (await reader.execute(query)).mappings().one_or_none()


async def revoke(
    session: AsyncSession, account_id: UUID, *, now: datetime, token_id: UUID | None = None
) -> Sequence[RowMapping]:
    """Revoke a token of an account, or all of them; return those that were not revoked before."""
    one = [] if token_id is None else [token.c.id == token_id]
    statement = update(token).where(*_kept_of(account_id), *one).values(revoked_at=now)
    return (await session.execute(statement.returning(*token.c))).mappings().all()


async def purge(session: AsyncSession, *, before: datetime) -> bool:
    """Delete a batch of tokens that expired, revoked or not, before then; return whether there may be more."""
    return await delete_batch(session, token, token.c.expires_at < before)


def _kept_of(account_id: UUID) -> tuple[ColumnElement[bool], ...]:
    return token.c.account_id == account_id, token.c.revoked_at.is_(None)
