"""All SQL on deleting for good: what there is of an account, in whatever table."""

from collections.abc import Iterator
from datetime import datetime, timedelta

from chassis.clock import utcnow
from chassis.db.base import table_of
from chassis.db.purging import delete_batch
from chassis.outbox.models import NEW
from sqlalchemy import (
    ColumnElement,
    LargeBinary,
    RowMapping,
    Table,
    Text,
    bindparam,
    cast,
    delete,
    func,
    literal_column,
    or_,
    select,
    update,
)
from sqlalchemy.ext.asyncio import AsyncSession

from auth_service.audit.models import AuditEvent
from auth_service.db import IdempotencyKey, Outbox
from auth_service.leaving.rules import ADDRESSES, DIGESTS, OWNERS, SPARED, digest_of
from auth_service.models import METADATA
from auth_service.users.models import Account

account = table_of(Account)
audit_event = table_of(AuditEvent)
idempotency_key = table_of(IdempotencyKey)
outbox = table_of(Outbox)

EVENTS_KEPT = timedelta(days=14)
"""An event that was not sent within this time after a deletion goes with the outbox's own purge."""


async def lock_due(session: AsyncSession, *, now: datetime) -> RowMapping | None:
    """Return one account whose time has come, locked; of several processes each gets another one."""
    query = select(account).where(account.c.deletes_at <= now).limit(1).with_for_update(skip_locked=True)
    return (await session.execute(query)).mappings().one_or_none()


async def erase(session: AsyncSession, row: RowMapping) -> None:
    """Delete all that is an account's own, in every table of the schema, and blank the audit."""
    for table, condition in owned_rows(row):
        await session.execute(delete(table).where(condition))
    await _forget_answers_about(session, row)
    await _blank_audit(session, row)


def owned_rows(row: RowMapping) -> Iterator[tuple[Table, ColumnElement[bool]]]:
    """Yield each table that knows the account, with the condition for its rows; what refers to others comes first."""
    for table in reversed(METADATA.sorted_tables):
        conditions = [] if table.name in SPARED else list(_conditions(table, row))
        if conditions:
            yield table, or_(*conditions)


def _conditions(table: Table, row: RowMapping) -> Iterator[ColumnElement[bool]]:
    addresses = [one for one in (row["email"], row["email_canonical"]) if one is not None]
    for column in table.c:
        if column.name in OWNERS:
            yield column == row["id"]
        elif column.name in ADDRESSES and addresses:
            yield column.in_(addresses)
        elif column.name in DIGESTS and row["email_canonical"] is not None:
            yield column == digest_of(row["email_canonical"])


async def _forget_answers_about(session: AsyncSession, row: RowMapping) -> None:
    """Delete answers that an administrator was given about the account."""
    wanted = bindparam("needle", str(row["id"]).encode(), type_=LargeBinary)
    found = func.position(wanted.op("IN")(idempotency_key.c.body)) > 0
    await session.execute(delete(idempotency_key).where(found))


async def _blank_audit(session: AsyncSession, row: RowMapping) -> None:
    """Keep what happened and when, and nothing of from where or with what."""
    nowhere = {"address": None, "device": None}
    about = update(audit_event).where(audit_event.c.subject_id == row["id"])
    await session.execute(about.values(**nowhere, details={}))
    await session.execute(update(audit_event).where(audit_event.c.actor_id == row["id"]).values(**nowhere))


async def forget_events(session: AsyncSession) -> bool:
    """Delete a batch of what has left, or was given up, about deleted accounts; tell whether there may be more."""
    since = utcnow() - EVENTS_KEPT
    deleted = select(cast(account.c.id, Text)).where(account.c.status == "deleted", account.c.updated_at > since)
    whose: ColumnElement[str] = literal_column("outbox.data -> 'audience' ->> 0", Text)
    return await delete_batch(session, outbox, outbox.c.state != NEW, whose.in_(deleted))
