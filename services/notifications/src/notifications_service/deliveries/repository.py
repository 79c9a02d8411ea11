"""All SQL on deliveries. Leases go by the database's clock, which all replicas have in common."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from functools import cache
from typing import Any, cast
from uuid import UUID

from chassis.db.arrays import given_uuids, rows_for
from chassis.db.base import table_of
from chassis.db.purging import delete_batch
from chassis.db.telling import say_after_commit
from sqlalchemy import (
    CTE,
    BindParameter,
    CursorResult,
    Integer,
    RowMapping,
    Select,
    Text,
    Update,
    and_,
    any_,
    bindparam,
    exists,
    func,
    or_,
    select,
    text,
    tuple_,
    update,
)
from sqlalchemy.dialects.postgresql import distinct_on, insert
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncSession
from sqlalchemy.sql.dml import ReturningUpdate

from notifications_service.chat.models import ChatConnection
from notifications_service.deliveries.models import Delivery
from notifications_service.deliveries.rules import (
    EXPIRED,
    LEASE,
    NEW,
    REPLACED,
    SENT,
    SKIPPED,
    SPACING,
    TARGET_GONE,
    TOO_LATE,
)
from notifications_service.devices.models import Device

chat_connection = table_of(ChatConnection)
delivery = table_of(Delivery)
device = table_of(Device)
other = delivery.alias("other")

MOST_SHOWN = 100
EXPIRED_AT_ONCE = 1_000
CHANNEL = "notifications_delivery"
"""Where senders are told that there is something to send."""

# Literals, since a plan for any state could not use the indexes of what waits.
WAITS = text("delivery.state = 'new' AND (delivery.lease_until IS NULL OR delivery.lease_until <= now())")
OTHER_WAITS = text("other.state = 'new'")
IS_DUE = delivery.c.due_at <= func.now()
OF_CHANNEL: BindParameter[str] = bindparam("of_channel", type_=delivery.c.channel.type)
CHOSEN = given_uuids("chosen")
# Mail, which has no target, never replaces other mail.
SAME_SUBJECT = and_(
    other.c.target_id == delivery.c.target_id,
    other.c.collapse_key == delivery.c.collapse_key,
    other.c.channel == delivery.c.channel,
)


async def add(session: AsyncSession, rows: Sequence[Mapping[str, Any]]) -> int:
    """Add deliveries, and tell the senders after the commit; those that are there already are the same ones."""
    if not rows:
        return 0
    # As arrays, since a statement takes 32,767 values, and a task may have many who watch it.
    columns = [delivery.c[name] for name in rows[0]]
    given = select(*rows_for("new", columns, rows).c)
    statement = insert(delivery).from_select([one.name for one in columns], given).on_conflict_do_nothing()
    added = cast("CursorResult[Any]", await session.execute(statement)).rowcount
    if added:
        say_after_commit(session, CHANNEL)
    return added


async def hold_channel(session: AsyncSession, channel: str) -> bool:
    """Let nobody else claim deliveries of a channel until the transaction ends; return whether there are any to claim.

    What is one message to one target is so only if claims come one after the other. Of what comes in while we wait for
    the others the senders are told.
    """
    held = await session.execute(_holding(), {"of_channel": channel, "name": f"delivery:{channel}"})
    return bool(held.one().is_any)


@cache
def _holding() -> Select[Any]:
    lock = func.pg_advisory_xact_lock(func.hashtextextended(bindparam("name", type_=Text()), 0))
    return select(lock, exists().where(WAITS, delivery.c.channel == OF_CHANNEL, IS_DUE).label("is_any"))


async def expire(session: AsyncSession, channel: str) -> bool:
    """Give up what has waited for too long for anybody to send it; return whether there may be more."""
    result = await session.execute(_expiring(), {"of_channel": channel})
    return cast("CursorResult[Any]", result).rowcount == EXPIRED_AT_ONCE


@cache
def _expiring() -> Update:
    old = (
        select(delivery.c.id)
        .where(WAITS, delivery.c.channel == OF_CHANNEL, delivery.c.due_at < func.now() - TOO_LATE)
        .limit(EXPIRED_AT_ONCE)
    )
    chosen = _chosen(old, "old")
    final = {"state": SKIPPED, "reason": EXPIRED, "settled_at": func.now(), "lease_until": None}
    return update(delivery).where(delivery.c.id == chosen.c.id).values(final)


async def space(session: AsyncSession, channel: str) -> None:
    """Put off what would follow too closely upon a message of the same collapse key to the same target."""
    await session.execute(_spacing(), {"of_channel": channel})


@cache
def _spacing() -> Update:
    # From what was sent just now, which is little, rather than from all that waits.
    recent = (
        select(other.c.target_id, other.c.collapse_key, func.max(other.c.settled_at).label("sent_at"))
        .where(other.c.state == SENT, other.c.settled_at > func.now() - SPACING, other.c.channel == OF_CHANNEL)
        .where(other.c.collapse_key.is_not(None), other.c.target_id.is_not(None))
        .group_by(other.c.target_id, other.c.collapse_key)
        .cte("recent")
    )
    earliest = recent.c.sent_at + func.make_interval(0, 0, 0, 0, 0, 0, delivery.c.spacing_seconds)
    return (
        update(delivery)
        .where(WAITS, delivery.c.channel == OF_CHANNEL, IS_DUE, delivery.c.spacing_seconds > 0)
        .where(delivery.c.target_id == recent.c.target_id, delivery.c.collapse_key == recent.c.collapse_key)
        .where(earliest > func.now())
        .values(due_at=earliest)
    )


async def choose(session: AsyncSession, channel: str, *, limit: int) -> Sequence[UUID]:
    """Lock deliveries of a channel whose time has come, of each target the first.

    Nothing is chosen for a target that asked to be left alone, neither what is planned for it meanwhile.
    """
    result = await session.execute(_choosing(), {"of_channel": channel, "at_most": limit})
    found: Sequence[UUID] = result.scalars().all()
    return found


@cache
def _choosing() -> Select[Any]:
    is_earlier = tuple_(other.c.due_at, other.c.id) < tuple_(delivery.c.due_at, delivery.c.id)
    under_way = or_(other.c.lease_until > func.now(), other.c.paused_until > func.now())
    is_behind = exists().where(
        other.c.target_id == delivery.c.target_id, OTHER_WAITS, other.c.id != delivery.c.id, or_(is_earlier, under_way)
    )
    # What came in after `space` has looked is put off by the next claim.
    since_it_was_sent = func.now() - other.c.settled_at
    spacing = func.make_interval(0, 0, 0, 0, 0, 0, delivery.c.spacing_seconds)
    is_too_soon = exists().where(SAME_SUBJECT, other.c.state == SENT, since_it_was_sent < spacing)
    is_next = ~is_behind & ~and_(delivery.c.spacing_seconds > 0, is_too_soon)
    oldest = select(delivery.c.id).where(WAITS, delivery.c.channel == OF_CHANNEL, IS_DUE, is_next)
    query = oldest.order_by(delivery.c.due_at, delivery.c.id).limit(bindparam("at_most", type_=Integer))
    return query.with_for_update(of=delivery, skip_locked=True)


async def replace(session: AsyncSession, chosen: Sequence[UUID]) -> None:
    """Give up what a later message of the same collapse key to the same target makes needless.

    That is looked for among the chosen ones and what waits with them: however much waits elsewhere costs nothing.
    """
    await session.execute(_replacing(), {"chosen": chosen})


@cache
def _replacing() -> Update:
    first = delivery.alias("first")
    same = (first.c.target_id == delivery.c.target_id, first.c.collapse_key == delivery.c.collapse_key)
    is_told = or_(other.c.state == SENT, and_(OTHER_WAITS, other.c.due_at <= func.now()))
    needless = (
        select(delivery.c.id)
        .join(first, and_(*same, first.c.channel == delivery.c.channel))
        .where(first.c.id == any_(CHOSEN), WAITS, IS_DUE)
        .where(exists().where(SAME_SUBJECT, other.c.id > delivery.c.id, is_told))
    )
    found = _chosen(needless, "needless")
    final = {"state": SKIPPED, "reason": REPLACED, "settled_at": func.now(), "lease_until": None}
    return update(delivery).where(delivery.c.id == found.c.id).values(final)


async def take(session: AsyncSession, chosen: Sequence[UUID]) -> Sequence[RowMapping]:
    """Lease those of the chosen deliveries that are still to be sent; nobody else takes them meanwhile."""
    taken: Sequence[RowMapping] = (await session.execute(_taking(), {"chosen": chosen})).mappings().all()
    return taken


@cache
def _taking() -> ReturningUpdate[Any]:
    taken = {
        "claim": delivery.c.claim + 1,
        "attempts": delivery.c.attempts + 1,
        "lease_until": func.now() + LEASE,
    }
    statement = update(delivery).where(delivery.c.id == any_(CHOSEN), delivery.c.state == NEW).values(taken)
    return statement.returning(*delivery.c)


async def previous_of(session: AsyncSession, ids: Sequence[UUID]) -> dict[UUID, str]:
    """Return what services call the last message of the same collapse key, by delivery, where that is young."""
    query = (
        select(delivery.c.id, other.c.provider_id)
        .ext(distinct_on(delivery.c.id))
        .join(other, and_(SAME_SUBJECT, other.c.state == SENT, other.c.settled_at > func.now() - SPACING))
        .where(delivery.c.id.in_(ids), delivery.c.spacing_seconds == 0, other.c.provider_id.is_not(None))
        .order_by(delivery.c.id, other.c.settled_at.desc())
    )
    return {row.id: row.provider_id for row in (await session.execute(query)).all()}


async def settle(session: AsyncSession, *, delivery_id: UUID, claim: int, values: Mapping[str, Any]) -> bool:
    """Note how a claimed delivery went; False when it is somebody else's meanwhile."""
    mine = (delivery.c.id == delivery_id, delivery.c.claim == claim, delivery.c.state == NEW)
    statement = update(delivery).where(*mine).values(**values, lease_until=None)
    return cast("CursorResult[Any]", await session.execute(statement)).rowcount == 1


async def pause_target(session: AsyncSession, *, target_id: UUID, until: datetime) -> None:
    """Send nothing to a target before an instant."""
    waiting = (delivery.c.target_id == target_id, WAITS, delivery.c.due_at < until)
    await session.execute(update(delivery).where(*waiting).values(due_at=until))


async def skip_target(session: AsyncSession, *, target_id: UUID) -> None:
    """Give up all that waits for a target."""
    statement = update(delivery).where(delivery.c.target_id == target_id, delivery.c.state == NEW)
    values = {"state": SKIPPED, "reason": TARGET_GONE, "settled_at": func.now(), "lease_until": None}
    await session.execute(statement.values(values))


async def of_notification(reader: AsyncConnection, notification_id: UUID) -> Sequence[RowMapping]:
    """Return how a notification went on each channel, with what its targets are called, as far as they are there."""
    name = func.coalesce(device.c.name, chat_connection.c.name).label("target_name")
    query = (
        select(*delivery.c, name)
        .outerjoin(device, device.c.id == delivery.c.target_id)
        .outerjoin(chat_connection, chat_connection.c.id == delivery.c.target_id)
        .where(delivery.c.notification_id == notification_id)
        .order_by(delivery.c.id)
        .limit(MOST_SHOWN)
    )
    return (await reader.execute(query)).mappings().all()


async def purge(session: AsyncSession, *, older_than: timedelta) -> bool:
    """Forget deliveries that were settled so long ago, a thousand at a time."""
    return await delete_batch(session, delivery, delivery.c.settled_at < func.now() - older_than)


def _chosen(query: Any, name: str) -> CTE:
    """Lock the rows of a query, leaving out what others hold; as a CTE, since a subquery might run again and again."""
    return cast("CTE", query.with_for_update(of=delivery, skip_locked=True).cte(name))
