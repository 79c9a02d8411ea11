"""All SQL on logins that wait for a second factor."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

from chassis.db.base import table_of
from chassis.db.purging import delete_batch
from sqlalchemy import RowMapping, delete, func, insert, select
from sqlalchemy.ext.asyncio import AsyncSession

from auth_service.proofs.models import LoginTicket

ticket = table_of(LoginTicket)


async def add(session: AsyncSession, values: Mapping[str, Any]) -> None:
    """Insert a ticket."""
    await session.execute(insert(ticket).values(**values))


async def lock(session: AsyncSession, digest: bytes, *, now: datetime) -> RowMapping | None:
    """Return a ticket that is in force, locked: of several uses at once the others find it gone."""
    query = select(ticket).where(ticket.c.hash == digest, ticket.c.expires_at > now).with_for_update()
    return (await session.execute(query)).mappings().one_or_none()


async def delete_of(session: AsyncSession, user_id: UUID, *, method: str) -> None:
    """Delete the tickets of an account whose first proof was of this method."""
    await session.execute(delete(ticket).where(ticket.c.user_id == user_id, ticket.c.method == method))


async def use(session: AsyncSession, digest: bytes) -> None:
    """Delete a ticket that has done its work."""
    await session.execute(delete(ticket).where(ticket.c.hash == digest))


async def purge(session: AsyncSession) -> bool:
    """Delete a batch of expired tickets; return whether there may be more."""
    return await delete_batch(session, ticket, ticket.c.expires_at < func.now())
