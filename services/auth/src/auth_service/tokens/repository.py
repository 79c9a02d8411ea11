"""All SQL on signing keys."""

import zlib
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from chassis.db.base import table_of
from sqlalchemy import RowMapping, delete, func, insert, or_, select, update
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncSession

from auth_service.tokens.models import SigningKey

key = table_of(SigningKey)

LOCK = zlib.crc32(b"auth.signing_key")
CURRENT, NEXT, RETIRED = "current", "next", "retired"


async def lock(session: AsyncSession) -> None:
    """Let one process at a time make or rotate keys."""
    await session.execute(select(func.pg_advisory_xact_lock(LOCK)))


async def published(reader: AsyncSession | AsyncConnection) -> Sequence[RowMapping]:
    """Return the keys that tokens in force may be signed with, and the next one, newest first."""
    in_force = or_(key.c.state != RETIRED, key.c.published_until > func.now())
    return (await reader.execute(select(key).where(in_force).order_by(key.c.created_at.desc()))).mappings().all()


async def add(session: AsyncSession, values: Mapping[str, Any]) -> None:
    """Insert a key."""
    await session.execute(insert(key).values(**values))


async def retire_current(session: AsyncSession, *, published_until: datetime) -> None:
    """Sign nothing more with the current key."""
    statement = update(key).where(key.c.state == CURRENT)
    await session.execute(statement.values(state=RETIRED, published_until=published_until))


async def next_made_at(session: AsyncSession) -> datetime | None:
    """Return when the next key was made, which is when the current one began to sign."""
    made_at: datetime | None = await session.scalar(select(key.c.created_at).where(key.c.state == NEXT))
    return made_at


async def delete_withdrawn(session: AsyncSession) -> None:
    """Delete retired keys whose last token has expired."""
    await session.execute(delete(key).where(key.c.state == RETIRED, key.c.published_until <= func.now()))


async def promote_next(session: AsyncSession) -> None:
    """Sign with the next key from now on."""
    await session.execute(update(key).where(key.c.state == NEXT).values(state=CURRENT))
