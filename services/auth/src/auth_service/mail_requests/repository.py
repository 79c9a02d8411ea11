"""All SQL on requests for mail."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

from chassis.db.base import table_of
from sqlalchemy import RowMapping, delete, insert, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from auth_service.mail_requests.models import MailRequest

mail_request = table_of(MailRequest)


async def add(session: AsyncSession, values: Mapping[str, Any]) -> None:
    """Insert a request."""
    await session.execute(insert(mail_request).values(**values))


async def claim(session: AsyncSession, *, now: datetime) -> RowMapping | None:
    """Return the oldest request that is due, locked; those that somebody else holds are left out."""
    query = select(mail_request).where(mail_request.c.not_before <= now).order_by(mail_request.c.id).limit(1)
    return (await session.execute(query.with_for_update(skip_locked=True))).mappings().one_or_none()


async def remove(session: AsyncSession, request_id: UUID) -> None:
    """Delete a request that is done, or given up."""
    await session.execute(delete(mail_request).where(mail_request.c.id == request_id))


async def put_back(session: AsyncSession, request_id: UUID, *, not_before: datetime) -> None:
    """Leave a request for later, and count the attempt."""
    statement = update(mail_request).where(mail_request.c.id == request_id)
    await session.execute(statement.values(attempts=mail_request.c.attempts + 1, not_before=not_before))
