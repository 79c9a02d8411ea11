"""All SQL on the audit."""

from collections.abc import Mapping
from typing import Any

from chassis.db.base import table_of
from sqlalchemy import insert
from sqlalchemy.ext.asyncio import AsyncSession

from auth_service.audit.models import AuditEvent

audit_event = table_of(AuditEvent)


async def add(session: AsyncSession, values: Mapping[str, Any]) -> None:
    """Insert an entry."""
    await session.execute(insert(audit_event).values(**values))
