"""All SQL on the audit. Entries are added and after their time deleted; nothing here changes one."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from chassis.db.base import table_of
from chassis.db.purging import delete_batch
from sqlalchemy import ColumnElement, RowMapping, insert, select
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncSession

from auth_service.audit.filters import AuditFilter
from auth_service.audit.models import AuditEvent
from auth_service.audit.rules import lowest_id_at

audit_event = table_of(AuditEvent)

ID_MARGIN = timedelta(seconds=1)
"""By how much an id and the time of its entry may differ."""


async def add(session: AsyncSession, values: Mapping[str, Any]) -> None:
    """Insert an entry."""
    await session.execute(insert(audit_event).values(**values))


async def list_entries(
    reader: AsyncConnection,
    wanted: AuditFilter,
    *,
    limit: int,
    before: UUID | None = None,
    after: UUID | None = None,
) -> Sequence[RowMapping]:
    """Return entries, the newest first; those after an id, which are newer, come the oldest first."""
    query = select(audit_event).where(*_conditions(wanted)).limit(limit)
    if before is not None:
        query = query.where(audit_event.c.id < before)
    if after is not None:
        query = query.where(audit_event.c.id > after)
    order = audit_event.c.id.desc() if after is None else audit_event.c.id.asc()
    return (await reader.execute(query.order_by(order))).mappings().all()


async def purge(session: AsyncSession, *, before: datetime) -> bool:
    """Delete a batch of entries of before then; return whether there may be more."""
    return await delete_batch(session, audit_event, audit_event.c.id < lowest_id_at(before))


def _conditions(wanted: AuditFilter) -> list[ColumnElement[bool]]:
    equal = {
        audit_event.c.subject_id: wanted.subject_id,
        audit_event.c.actor_id: wanted.actor_id,
        audit_event.c.action: wanted.action,
        audit_event.c.outcome: wanted.outcome,
    }
    conditions: list[ColumnElement[bool]] = [column == value for column, value in equal.items() if value is not None]
    # Ids tell the time, too, and every index ends with them; they are made a moment before it is noted.
    if wanted.since is not None:
        lowest = lowest_id_at(wanted.since - ID_MARGIN)
        conditions += [audit_event.c.occurred_at >= wanted.since, audit_event.c.id >= lowest]
    if wanted.until is not None:
        lowest = lowest_id_at(wanted.until + ID_MARGIN)
        conditions += [audit_event.c.occurred_at < wanted.until, audit_event.c.id < lowest]
    return conditions
