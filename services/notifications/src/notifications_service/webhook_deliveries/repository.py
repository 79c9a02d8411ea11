"""All SQL on deliveries. Leases go by the database's clock, which all replicas have in common."""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from functools import cache
from typing import Any, cast
from uuid import UUID

from chassis.db.arrays import numbers, rows_for, rows_of, uuids
from chassis.db.base import table_of
from chassis.db.purging import delete_batch
from chassis.db.telling import say_after_commit
from sqlalchemy import (
    BindParameter,
    ColumnElement,
    CursorResult,
    DateTime,
    Integer,
    RowMapping,
    Select,
    TextClause,
    and_,
    any_,
    bindparam,
    exists,
    func,
    lateral,
    literal,
    or_,
    select,
    text,
    true,
    update,
)
from sqlalchemy.dialects.postgresql import ARRAY, insert
from sqlalchemy.dialects.postgresql import UUID as PG_UUID
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncSession
from sqlalchemy.sql.dml import ReturningUpdate

from notifications_service.live.repository import event
from notifications_service.webhook_deliveries.models import WebhookAttempt, WebhookDelivery
from notifications_service.webhook_deliveries.rules import AT_ONCE, LEASE
from notifications_service.webhooks.repository import webhook

Reader = AsyncConnection | AsyncSession

delivery = table_of(WebhookDelivery)
attempt = table_of(WebhookAttempt)

CHANNEL = "notifications_webhooks"
"""Where senders are told that there is something to send."""
# A literal, since a plan for any state could not use the index of what waits.
WAITS = text("webhook_delivery.state = 'pending'")
UUID_TYPE: Any = PG_UUID(as_uuid=True)
AT_MOST: BindParameter[int] = bindparam("at_most", type_=Integer)


async def add(session: AsyncSession, rows: Sequence[Mapping[str, Any]], *, kind: str, at: datetime) -> int:
    """Add deliveries that are due at once, and tell the senders after the commit; return how many were new.

    There is one of an event for a webhook, and one replay of it that waits.
    """
    if not rows:
        return 0
    given = [delivery.c[name] for name in ("id", "webhook_id", "event_id", "event_type", "stream_id", "seq")]
    new = rows_for("new", given, rows)
    fixed = {
        "kind": kind,
        "state": "pending",
        "attempts": 0,
        "attempts_before": 0,
        "claim": 0,
        "next_attempt_at": at,
        "created_at": at,
    }
    values = [literal(value, delivery.c[name].type) for name, value in fixed.items()]
    names = [*(one.name for one in given), *fixed]
    statement = insert(delivery).from_select(names, select(*new.c, *values)).on_conflict_do_nothing()
    added = cast("CursorResult[Any]", await session.execute(statement)).rowcount
    wake(session)
    return added


def wake(session: AsyncSession) -> None:
    """Tell the senders, after the commit, that there is something to send."""
    say_after_commit(session, CHANNEL)


async def hold_ready(session: AsyncSession, *, limit: int, now: datetime | None = None) -> Sequence[UUID]:
    """Return webhooks that have something due, in no order; until the end nobody else counts what is under way there.

    `now` is the database's without it.
    """
    statement = _holding(by_database=now is None)
    found: Sequence[UUID] = (await session.execute(statement, _at(now, at_most=limit))).scalars().all()
    return found


@cache
def _holding(*, by_database: bool) -> Select[Any]:
    due = _due(by_database=by_database)
    return (
        select(webhook.c.id)
        .where(webhook.c.deleted_at.is_(None), exists().where(delivery.c.webhook_id == webhook.c.id, *due))
        .order_by(func.random())
        .limit(AT_MOST)
        .with_for_update(skip_locked=True, of=webhook)
    )


async def claim(
    session: AsyncSession, webhook_ids: Collection[UUID], *, limit: int, now: datetime | None = None
) -> Sequence[RowMapping]:
    """Take deliveries of webhooks that are held, with their webhooks; until their lease ends nobody else does.

    Of each so many that no more than four are under way, and of all the same share: one that has a thousand waiting
    does not keep the others waiting.
    """
    statement = _claiming(by_database=now is None)
    values = {**_at(now, at_most=limit), "held": list(webhook_ids)}
    taken: Sequence[RowMapping] = (await session.execute(statement, values)).mappings().all()
    return taken


@cache
def _claiming(*, by_database: bool) -> ReturningUpdate[Any]:
    conditions = _due(by_database=by_database)
    leased = delivery.alias("leased")
    under_way = (
        select(func.count())
        .where(leased.c.webhook_id == webhook.c.id, leased.c.lease_until > func.now())
        .correlate(webhook)
        .scalar_subquery()
    )
    first = lateral(
        select(delivery.c.id, delivery.c.next_attempt_at)
        .where(delivery.c.webhook_id == webhook.c.id, *conditions)
        .order_by(delivery.c.next_attempt_at)
        .limit(func.greatest(AT_ONCE - under_way, 0))
        .correlate(webhook)
    ).alias("first")
    held = webhook.c.id == any_(bindparam("held", type_=ARRAY(UUID_TYPE)))
    turn = func.row_number().over(partition_by=webhook.c.id, order_by=first.c.next_attempt_at)
    chosen = select(first.c.id).select_from(webhook.join(first, true())).where(held)
    due = chosen.order_by(turn).limit(AT_MOST).cte("due")
    taken = {
        "claim": delivery.c.claim + 1,
        "attempts": delivery.c.attempts + 1,
        "lease_until": func.now() + LEASE,
    }
    return (
        update(delivery)
        # Asked again of the row itself, which may have been settled since by who had it before.
        .where(delivery.c.id == due.c.id, webhook.c.id == delivery.c.webhook_id, *conditions)
        .values(taken)
        .returning(*delivery.c, *(one.label(f"webhook_{one.name}") for one in webhook.c if one.name != "id"))
    )


async def settle(session: AsyncSession, *, delivery_id: UUID, claim: int, values: Mapping[str, Any]) -> bool:
    """Note how a claimed delivery went; False when it is somebody else's meanwhile."""
    statement = (
        update(delivery)
        .where(delivery.c.id == delivery_id, delivery.c.claim == claim, WAITS)
        .values(**values, lease_until=None)
    )
    return cast("CursorResult[Any]", await session.execute(statement)).rowcount == 1


async def add_attempt(session: AsyncSession, values: Mapping[str, Any]) -> None:
    """Keep what an attempt came to."""
    await session.execute(insert(attempt).values(**values).on_conflict_do_nothing())


async def note_failing(session: AsyncSession, webhook_id: UUID, *, since: datetime) -> None:
    """Note the first failure after a success."""
    first = (webhook.c.id == webhook_id, webhook.c.failing_since.is_(None))
    await session.execute(update(webhook).where(*first).values(failing_since=since))


async def note_working(session: AsyncSession, webhook_id: UUID) -> None:
    """Note the first success after a failure."""
    first = (webhook.c.id == webhook_id, webhook.c.failing_since.is_not(None))
    await session.execute(update(webhook).where(*first).values(failing_since=None))


async def send_anew(session: AsyncSession, delivery_id: UUID, *, at: datetime) -> RowMapping:
    """Put a delivery back in line, with all its attempts before it; return its row."""
    values = {
        "state": "pending",
        "next_attempt_at": at,
        "attempts_before": delivery.c.attempts,
        "settled_at": None,
        "lease_until": None,
        "claim": delivery.c.claim + 1,
    }
    statement = update(delivery).where(delivery.c.id == delivery_id).values(values).returning(*delivery.c)
    return (await session.execute(statement)).mappings().one()


async def find(reader: Reader, *, webhook_id: UUID, delivery_id: UUID, lock: bool = False) -> RowMapping | None:
    """Return a delivery of a webhook."""
    query = select(delivery).where(delivery.c.id == delivery_id, delivery.c.webhook_id == webhook_id)
    if lock:
        query = query.with_for_update()
    return (await reader.execute(query)).mappings().one_or_none()


async def find_other(session: AsyncSession, row: RowMapping) -> bool:
    """Tell whether another replay of the same event waits, besides a replay that is to be sent anew."""
    same = (delivery.c.webhook_id == row["webhook_id"], delivery.c.event_id == row["event_id"])
    others = exists().where(*same, delivery.c.kind == "replay", WAITS, delivery.c.id != row["id"])
    return row["kind"] == "replay" and bool(await session.scalar(select(others)))


async def attempts_of(reader: Reader, delivery_id: UUID) -> Sequence[RowMapping]:
    """Return the attempts at a delivery in order."""
    query = select(attempt).where(attempt.c.delivery_id == delivery_id).order_by(attempt.c.number)
    return (await reader.execute(query)).mappings().all()


async def list_of(
    reader: Reader,
    *,
    webhook_id: UUID,
    state: str | None,
    events: Collection[str],
    edge: tuple[UUID, bool] | None,
    limit: int,
) -> Sequence[RowMapping]:
    """Return deliveries of a webhook, the youngest first; `edge` is where to go on, and whether that is backwards."""
    conditions: list[ColumnElement[bool]] = [delivery.c.webhook_id == webhook_id]
    if state is not None:
        conditions.append(delivery.c.state == state)
    if events:
        kinds = [one.removesuffix("*") for one in events if one.endswith("*")]
        of_kind = (delivery.c.event_type.startswith(one, autoescape=True) for one in kinds)
        conditions.append(or_(delivery.c.event_type.in_(events), *of_kind))
    order: ColumnElement[Any] = delivery.c.id.desc()
    if edge is not None:
        place, backwards = edge
        conditions.append(delivery.c.id > place if backwards else delivery.c.id < place)
        order = delivery.c.id.asc() if backwards else order
    query = select(delivery).where(*conditions).order_by(order).limit(limit)
    return (await reader.execute(query)).mappings().all()


async def events_at(reader: Reader, places: Collection[tuple[UUID, int]]) -> Sequence[RowMapping]:
    """Return the events at these places of their streams, as far as they are kept."""
    streams, seqs = uuids(stream for stream, _ in places), numbers(seq for _, seq in places)
    asked = rows_of("asked", stream_id=streams, seq=seqs)
    query = select(event).join(asked, and_(event.c.workspace_id == asked.c.stream_id, event.c.seq == asked.c.seq))
    return (await reader.execute(query)).mappings().all()


def _due(*, by_database: bool) -> tuple[TextClause | ColumnElement[bool], ...]:
    """Return the conditions for what is to be sent now to a webhook, which a test is also to one that is disabled."""
    instant: ColumnElement[datetime] = func.now() if by_database else bindparam("at", type_=DateTime(timezone=True))
    return (
        WAITS,
        delivery.c.next_attempt_at <= instant,
        or_(delivery.c.lease_until.is_(None), delivery.c.lease_until <= func.now()),
        or_(webhook.c.enabled, delivery.c.kind == "test"),
    )


def _at(now: datetime | None, *, at_most: int) -> dict[str, Any]:
    """Return the values of a claim."""
    return {"at_most": at_most} if now is None else {"at_most": at_most, "at": now}


async def purge(session: AsyncSession, *, before: datetime) -> bool:
    """Forget a batch of deliveries that are too old, or whose webhook is; return whether there may be more."""
    deleted = select(webhook.c.id).where(webhook.c.deleted_at.is_not(None))
    old = await delete_batch(session, delivery, delivery.c.created_at < before)
    ownerless = await delete_batch(session, delivery, delivery.c.webhook_id.in_(deleted))
    return old or ownerless
