"""All SQL on mails to send. Leases go by the database's clock, which all replicas have in common."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, cast
from uuid import UUID

from chassis.db.base import table_of
from chassis.db.purging import delete_batch
from chassis.db.telling import say_after_commit
from sqlalchemy import (
    CTE,
    ColumnElement,
    CursorResult,
    RowMapping,
    case,
    delete,
    exists,
    func,
    literal,
    select,
    text,
    update,
)
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from notifications_service.account_mail.models import DeletedUser, MailDelivery
from notifications_service.account_mail.rules import EXPIRED, FAREWELL, LEASE

delivery = table_of(MailDelivery)
deleted_user = table_of(DeletedUser)

CHANNEL = "notifications_mail"
"""Where senders are told that there is something to send."""

EXPIRED_AT_ONCE = 1_000

# A literal, since a plan for any state could not use the index of what waits.
WAITS = text("state = 'waiting' AND (lease_until IS NULL OR lease_until <= now())")
IS_LATE = delivery.c.expires_at <= func.now()


def _unless_last(column: ColumnElement[Any], empty: Any) -> ColumnElement[Any]:
    return case((delivery.c.kind == FAREWELL, literal(empty, column.type)), else_=column)


FORGOTTEN = {
    "token_sealed": None,
    "recipient": _unless_last(delivery.c.recipient, ""),
    "display_name": _unless_last(delivery.c.display_name, ""),
    "details": _unless_last(delivery.c.details, {}),
}
"""What becomes of a mail that is settled: its token goes, and of the last one also whom it was for and what it told."""


async def add(session: AsyncSession, values: Mapping[str, Any]) -> None:
    """Add a mail, and tell the senders after the commit; a second one with the same id is the same one."""
    await session.execute(insert(delivery).values(**values, next_attempt_at=func.now()).on_conflict_do_nothing())
    say_after_commit(session, CHANNEL)


async def expire(session: AsyncSession) -> Sequence[RowMapping]:
    """Give up what nobody can use any more; return which mails those are."""
    late = _chosen(select(delivery.c.id).where(WAITS, IS_LATE).limit(EXPIRED_AT_ONCE), "late")
    final = {**FORGOTTEN, "state": EXPIRED, "settled_at": func.now()}
    statement = update(delivery).where(delivery.c.id == late.c.id).values(final)
    return (await session.execute(statement.returning(delivery.c.id, delivery.c.kind))).mappings().all()


async def claim(session: AsyncSession, *, limit: int) -> Sequence[RowMapping]:
    """Take mails whose time has come; until their lease ends nobody else does."""
    is_due = (delivery.c.next_attempt_at <= func.now()) & IS_LATE.isnot(True)
    oldest = select(delivery.c.id).where(WAITS, is_due).order_by(delivery.c.next_attempt_at).limit(limit)
    due = _chosen(oldest, "due")
    taken = {
        "claim": delivery.c.claim + 1,
        "attempts": delivery.c.attempts + 1,
        "lease_until": func.now() + LEASE,
    }
    statement = update(delivery).where(delivery.c.id == due.c.id).values(taken)
    return (await session.execute(statement.returning(*delivery.c))).mappings().all()


async def settle(session: AsyncSession, *, mail_id: UUID, claim: int, values: Mapping[str, Any]) -> bool:
    """Note how a claimed mail went; False when it is somebody else's meanwhile."""
    mine = (delivery.c.id == mail_id, delivery.c.claim == claim, text("state = 'waiting'"))
    statement = update(delivery).where(*mine).values(**values, lease_until=None)
    return cast("CursorResult[Any]", await session.execute(statement)).rowcount == 1


async def close(session: AsyncSession, *, mail_id: UUID, claim: int, values: Mapping[str, Any]) -> bool:
    """Note how a claimed mail went for good, and forget its token; False when it is somebody else's meanwhile."""
    return await settle(session, mail_id=mail_id, claim=claim, values={**values, **FORGOTTEN})


async def hold_user(session: AsyncSession, user_id: UUID) -> None:
    """Let nobody else note or forget mails of a user until the transaction ends."""
    await session.execute(select(func.pg_advisory_xact_lock(func.hashtextextended(f"account_mail:{user_id}", 0))))


async def is_deleted(session: AsyncSession, user_id: UUID) -> bool:
    """Tell whether a user was deleted."""
    return bool(await session.scalar(select(exists().where(deleted_user.c.user_id == user_id))))


async def forget(session: AsyncSession, user_id: UUID) -> None:
    """Note that a user was deleted, and delete all mails of theirs but the last one."""
    await session.execute(insert(deleted_user).values(user_id=user_id).on_conflict_do_nothing())
    await session.execute(delete(delivery).where(delivery.c.user_id == user_id, delivery.c.kind != FAREWELL))


async def purge(session: AsyncSession, *, before: datetime) -> bool:
    """Forget mails that were settled before an instant, a thousand at a time."""
    return await delete_batch(session, delivery, delivery.c.settled_at < before)


def _chosen(query: Any, name: str) -> CTE:
    """Lock the rows of a query, leaving out what others hold; as a CTE, since a subquery might run again and again."""
    return cast("CTE", query.with_for_update(skip_locked=True).cte(name))
