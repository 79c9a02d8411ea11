"""All SQL on mailed links."""

from collections.abc import Collection, Mapping
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from chassis.db.base import table_of
from chassis.db.purging import delete_batch
from sqlalchemy import ColumnElement, RowMapping, and_, case, exists, func, or_, select, true, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncSession

from auth_service.sessions.models import Session
from auth_service.verification.models import LinkToken, MailBudget
from auth_service.verification.rules import HOUR, MAIL_INTERVAL, MAILS_PER_HOUR, LinkKind

link = table_of(LinkToken)
budget = table_of(MailBudget)
login = table_of(Session)


async def add(session: AsyncSession, values: Mapping[str, Any]) -> None:
    """Insert a link."""
    await session.execute(insert(link).values(**values))


async def find(
    reader: AsyncSession | AsyncConnection, digest: bytes, *, kinds: Collection[LinkKind], now: datetime
) -> RowMapping | None:
    """Return a link of one of these kinds that is in force."""
    query = select(link).where(link.c.hash == digest, link.c.kind.in_(kinds), *_in_force(now))
    return (await reader.execute(query)).mappings().one_or_none()


async def use(session: AsyncSession, link_id: UUID, *, now: datetime) -> bool:
    """Use up a link; False when somebody else has, its time has passed, or the session that asked for it has ended."""
    statement = update(link).where(link.c.id == link_id, *_in_force(now)).values(used_at=now)
    return await session.scalar(statement.returning(link.c.id)) is not None


async def void(session: AsyncSession, account_id: UUID, *, kinds: Collection[LinkKind], now: datetime) -> None:
    """Make the links of an account useless that are in force."""
    statement = update(link).where(link.c.account_id == account_id, link.c.kind.in_(kinds), link.c.used_at.is_(None))
    await session.execute(statement.values(used_at=now))


async def take_from_budget(
    session: AsyncSession,
    account_id: UUID,
    kind: str,
    *,
    now: datetime,
    most: int = MAILS_PER_HOUR,
    interval: timedelta | None = MAIL_INTERVAL,
) -> bool:
    """Note a mail of this kind; return False, and note nothing, when the account has had as many as it may have.

    It may have `most` an hour, each `interval` after the last if that is given.
    """
    statement = insert(budget).values(account_id=account_id, kind=kind, sent_at=[now], last_at=now)
    column: Any = budget.c.sent_at
    is_full = func.cardinality(column) >= most
    younger = case((is_full, column[2:most]), else_=column)
    has_waited = true() if interval is None else budget.c.last_at <= now - interval
    statement = statement.on_conflict_do_update(
        index_elements=["account_id", "kind"],
        set_={"sent_at": func.array_append(younger, now), "last_at": now},
        where=and_(has_waited, or_(~is_full, column[1] <= now - HOUR)),
    )
    return await session.scalar(statement.returning(budget.c.account_id)) is not None


async def free_at(session: AsyncSession, account_id: UUID, kind: str) -> datetime | None:
    """Return from when on the account may have another mail of this kind; None when it has had none lately."""
    column: Any = budget.c.sent_at
    is_full = func.cardinality(column) >= MAILS_PER_HOUR
    at = func.greatest(budget.c.last_at + MAIL_INTERVAL, case((is_full, column[1] + HOUR)))
    query = select(at).where(budget.c.account_id == account_id, budget.c.kind == kind)
    found: datetime | None = await session.scalar(query)
    return found


async def purge(session: AsyncSession, *, before: datetime) -> bool:
    """Delete a batch of links whose time was over by then; return whether there may be more."""
    return await delete_batch(session, link, link.c.expires_at < before)


async def purge_budgets(session: AsyncSession, *, before: datetime) -> bool:
    """Delete a batch of notes on mails that were sent before then; return whether there may be more."""
    return await delete_batch(session, budget, budget.c.last_at < before)


def _in_force(now: datetime) -> tuple[ColumnElement[bool], ...]:
    asker_is_there = or_(link.c.session_id.is_(None), exists().where(login.c.id == link.c.session_id))
    return link.c.used_at.is_(None), link.c.expires_at > now, asker_is_there
