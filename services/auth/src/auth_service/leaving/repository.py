"""All SQL on deleting for good: what there is of an account, in whatever table."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, cast
from uuid import UUID

from chassis.clock import utcnow
from chassis.db.base import table_of
from chassis.db.purging import BATCH, delete_batch
from chassis.outbox.models import NEW
from sqlalchemy import (
    ColumnElement,
    CursorResult,
    LargeBinary,
    RowMapping,
    Table,
    Text,
    bindparam,
    delete,
    exists,
    func,
    literal,
    literal_column,
    or_,
    select,
    tuple_,
    update,
)
from sqlalchemy import cast as sql_cast
from sqlalchemy.ext.asyncio import AsyncSession

from auth_service.audit.models import AuditEvent
from auth_service.credentials.models import AccountFailures, KnownNetwork, LoginFailure
from auth_service.credentials.rules import KNOWN_FOR, account_digest
from auth_service.db import IdempotencyKey, Outbox
from auth_service.leaving.rules import ADDRESSES, DIGESTS, OWNERS, SPARED, UNPROVED_FOR, End
from auth_service.models import METADATA
from auth_service.users.models import Account
from auth_service.verification.models import LinkToken

account = table_of(Account)
audit_event = table_of(AuditEvent)
idempotency_key = table_of(IdempotencyKey)
known_network = table_of(KnownNetwork)
link = table_of(LinkToken)
outbox = table_of(Outbox)

FAILURES = (table_of(LoginFailure), table_of(AccountFailures))

READ_AT_ONCE = 500
EVENTS_KEPT = timedelta(days=14)
"""An event that was not sent within this time after a deletion goes with the outbox's own purge."""


async def find_due(session: AsyncSession, end: End, *, now: datetime) -> RowMapping | None:
    """Return the account whose time came first, without those that are put off."""
    first = account.c.deletes_at if end is End.OF_GRACE else account.c.created_at
    query = select(account).where(*_is_due(end, now)).order_by(first, account.c.id).limit(1)
    return (await session.execute(query)).mappings().one_or_none()


async def lock_due(session: AsyncSession, user_id: UUID, end: End, *, now: datetime) -> RowMapping | None:
    """Return an account, locked, if its time has come and nobody else has it now."""
    query = select(account).where(account.c.id == user_id, *_is_due(end, now)).with_for_update(skip_locked=True)
    return (await session.execute(query)).mappings().one_or_none()


async def put_off(session: AsyncSession, user_id: UUID, *, until: datetime) -> None:
    """Do not delete an account before then."""
    await session.execute(update(account).where(account.c.id == user_id).values(deletion_not_before=until))


def _is_due(end: End, now: datetime) -> tuple[ColumnElement[bool], ...]:
    not_before = account.c.deletion_not_before
    has_come = (account.c.deletes_at <= now,) if end is End.OF_GRACE else _was_never_used(now)
    return *has_come, or_(not_before.is_(None), not_before <= now)


def _was_never_used(now: datetime) -> tuple[ColumnElement[bool], ...]:
    """Tell it of accounts that are younger than what is noted of logins, and that no link waits for."""
    return (
        account.c.email_verified_at.is_(None),
        account.c.kind == "human",
        account.c.status == "active",
        account.c.created_at < now - UNPROVED_FOR,
        account.c.created_at > now - KNOWN_FOR,
        ~exists().where(known_network.c.account_id == account.c.id),
        ~exists().where(link.c.account_id == account.c.id, link.c.used_at.is_(None), link.c.expires_at > now),
    )


async def erase(session: AsyncSession, row: RowMapping) -> None:
    """Delete all that is an account's own, in every table of the schema, but for failed logins and the audit."""
    for table, condition in owned_rows(row):
        if table not in FAILURES:
            await session.execute(delete(table).where(condition))
    await _forget_answers_about(session, row["id"])


def owned_rows(row: RowMapping) -> Iterator[tuple[Table, ColumnElement[bool]]]:
    """Yield each table that knows the account, with the condition for its rows; what refers to others comes first."""
    for table in reversed(METADATA.sorted_tables):
        conditions = [] if table.name in SPARED else [*_by_owner(table, row), *_by_address(table, row)]
        if conditions:
            yield table, or_(*conditions)


def own_rows(row: RowMapping) -> Iterator[tuple[Table, ColumnElement[bool]]]:
    """Yield the same tables, with the condition for rows that are nobody else's.

    A row with an owner is its owner's, such as a link to this address that somebody else has asked for.
    """
    for table, condition in owned_rows(row):
        owners = list(_by_owner(table, row))
        yield table, or_(*owners) if owners else condition


def _by_owner(table: Table, row: RowMapping) -> Iterator[ColumnElement[bool]]:
    for column in table.c:
        if column.name in OWNERS:
            yield column == row["id"]


def _by_address(table: Table, row: RowMapping) -> Iterator[ColumnElement[bool]]:
    addresses = [one for one in (row["email"], row["email_canonical"]) if one is not None]
    for column in table.c:
        if column.name in ADDRESSES and addresses:
            yield column.in_(addresses)
        elif column.name in DIGESTS and row["email_canonical"] is not None:
            yield column == account_digest(row["email_canonical"])


async def _forget_answers_about(session: AsyncSession, user_id: UUID) -> None:
    """Delete answers that an administrator was given about the account; a batch at a time, as each has to be read."""
    wanted = bindparam("needle", str(user_id).encode(), type_=LargeBinary)
    key = tuple_(idempotency_key.c.caller_id, idempotency_key.c.key)
    is_about = (func.position(wanted.op("IN")(idempotency_key.c.body)) > 0).label("is_about")
    query = select(*key.clauses, is_about).order_by(*key.clauses).limit(READ_AT_ONCE)
    batch = (await session.execute(query)).all()
    while batch:
        if told := [(one.caller_id, one.key) for one in batch if one.is_about]:
            await session.execute(delete(idempotency_key).where(key.in_(told)))
        last = tuple_(literal(batch[-1].caller_id), literal(batch[-1].key))
        batch = (await session.execute(query.where(key > last))).all()


async def blank_audit(session: AsyncSession, user_id: UUID) -> bool:
    """Keep what happened and when, and nothing of from where or with what; return whether there may be more of it."""
    somewhere = or_(audit_event.c.address.is_not(None), audit_event.c.device.is_not(None))
    nowhere: dict[str, Any] = {"address": None, "device": None}
    about = audit_event.c.subject_id == user_id, or_(somewhere, audit_event.c.details != {})
    is_more = await _blank(session, about, {**nowhere, "details": {}})
    return await _blank(session, (audit_event.c.actor_id == user_id, somewhere), nowhere) or is_more


async def _blank(session: AsyncSession, conditions: Sequence[ColumnElement[bool]], values: Mapping[str, Any]) -> bool:
    chosen = select(audit_event.c.id).where(*conditions).order_by(audit_event.c.id).limit(BATCH)
    statement = update(audit_event).where(audit_event.c.id.in_(chosen)).values(**values)
    return cast("CursorResult[Any]", await session.execute(statement)).rowcount == BATCH


async def forget_events(session: AsyncSession) -> bool:
    """Delete a batch of what has left, or was given up, about deleted accounts; tell whether there may be more."""
    since = utcnow() - EVENTS_KEPT
    deleted = select(sql_cast(account.c.id, Text)).where(account.c.status == "deleted", account.c.updated_at > since)
    whose: ColumnElement[str] = literal_column("outbox.data -> 'audience' ->> 0", Text)
    return await delete_batch(session, outbox, outbox.c.state != NEW, whose.in_(deleted))
