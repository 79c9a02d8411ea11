"""All SQL on API tokens."""

from collections.abc import Collection
from datetime import datetime
from uuid import UUID

from chassis.db.base import table_of
from sqlalchemy import RowMapping, select, update
from sqlalchemy.ext.asyncio import AsyncSession

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
