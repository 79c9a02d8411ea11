"""All SQL on where followers are."""

from collections.abc import Collection, Mapping, Sequence
from typing import Any, cast
from uuid import UUID

from chassis.db.arrays import given_numbers, given_uuids, rows_of
from chassis.db.base import table_of
from sqlalchemy import (
    ColumnElement,
    CursorResult,
    Integer,
    RowMapping,
    Select,
    Update,
    and_,
    any_,
    bindparam,
    func,
    literal,
    or_,
    select,
    true,
    update,
)
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncSession

from notifications_service.following.models import FollowerFailure, FollowerPosition
from notifications_service.live.models import StreamEvent, StreamHead

event = table_of(StreamEvent)
head = table_of(StreamHead)
position = table_of(FollowerPosition)
failure = table_of(FollowerFailure)

ENTERED = UUID(int=0)
"""Stands for all streams: a follower with a position in it began before, and streams that came later are new to it."""
MAY_BE_TRIED = or_(position.c.retry_at.is_(None), position.c.retry_at <= func.now())

BEHIND = (
    select(head.c.workspace_id)
    .outerjoin(
        position, and_(position.c.follower == bindparam("of_follower"), position.c.stream_id == head.c.workspace_id)
    )
    .where(head.c.contiguous_seq > func.coalesce(position.c.seq, 0), MAY_BE_TRIED)
)
LOCK_POSITIONS = (
    select(position, head.c.contiguous_seq)
    .join(head, head.c.workspace_id == position.c.stream_id)
    .where(
        position.c.follower == bindparam("of_follower"),
        position.c.stream_id == any_(given_uuids("of_streams")),
        position.c.seq < head.c.contiguous_seq,
        MAY_BE_TRIED,
    )
    .with_for_update(of=position, skip_locked=True)
)


def _move_all() -> Update:
    moved = rows_of("moved", stream_id=given_uuids("of_streams"), seq=given_numbers("to_seqs"))
    mine = (position.c.follower == bindparam("of_follower"), position.c.stream_id == moved.c.stream_id)
    return update(position).where(*mine).values(seq=moved.c.seq, failures=0, retry_at=None)


def _events_of_all() -> Select[Any]:
    bounds = {"after": given_numbers("after_seqs"), "until": given_numbers("until_seqs")}
    part = rows_of("part", id=given_uuids("of_streams"), **bounds)
    following = (
        select(event)
        .where(event.c.workspace_id == part.c.id, event.c.seq > part.c.after, event.c.seq <= part.c.until)
        .order_by(event.c.seq)
        .limit(bindparam("of_each", type_=Integer()))
        .lateral("following")
    )
    query = select(following).select_from(part.join(following, true()))
    return query.order_by(following.c.workspace_id, following.c.seq)


# Made once: making them anew takes longer than what they do.
MOVE_ALL = _move_all()
EVENTS_OF_ALL = _events_of_all()


async def enter(session: AsyncSession, follower: str) -> None:
    """Put a follower that begins now at the head of every stream; nothing for one that began before."""
    begun = insert(position).values(follower=follower, stream_id=ENTERED, seq=0, failures=0)
    if cast("CursorResult[Any]", await session.execute(begun.on_conflict_do_nothing())).rowcount == 0:
        return
    at_head = select(literal(follower), head.c.workspace_id, head.c.contiguous_seq, literal(0))
    columns = ["follower", "stream_id", "seq", "failures"]
    await session.execute(insert(position).from_select(columns, at_head).on_conflict_do_nothing())


async def behind(reader: AsyncConnection, follower: str) -> Sequence[UUID]:
    """Return the streams in which there is something for a follower now."""
    found: Sequence[UUID] = (await reader.execute(BEHIND, {"of_follower": follower})).scalars().all()
    return found


async def begin_streams(session: AsyncSession, follower: str, stream_ids: Collection[UUID]) -> int:
    """Put a follower before the first event of streams where it has no position; return how many these were."""
    rows = [{"follower": follower, "stream_id": one, "seq": 0, "failures": 0} for one in sorted(stream_ids)]
    statement = insert(position).values(rows).on_conflict_do_nothing()
    return cast("CursorResult[Any]", await session.execute(statement)).rowcount


async def lock_positions(session: AsyncSession, follower: str, stream_ids: Collection[UUID]) -> Sequence[RowMapping]:
    """Return where a follower is in streams and how far it can go, for itself alone until the end of the transaction.

    Streams are left out in which there is nothing to do, somebody else does it, or there is no position yet.
    """
    wanted = {"of_follower": follower, "of_streams": list(stream_ids)}
    return (await session.execute(LOCK_POSITIONS, wanted)).mappings().all()


async def move_all(session: AsyncSession, follower: str, to: Mapping[UUID, int]) -> None:
    """Note that a follower has come further in streams; needs the locks of its positions."""
    wanted = {"of_follower": follower, "of_streams": list(to), "to_seqs": list(to.values())}
    await session.execute(MOVE_ALL, wanted)


async def events_of_all(
    session: AsyncSession, parts: Mapping[UUID, tuple[int, int]], *, limit: int
) -> Sequence[RowMapping]:
    """Return the next events of streams, at most `limit` of each, those of a stream in order."""
    after, until = ([part[at] for part in parts.values()] for at in (0, 1))
    wanted = {"of_streams": list(parts), "after_seqs": after, "until_seqs": until, "of_each": limit}
    rows: Sequence[RowMapping] = (await session.execute(EVENTS_OF_ALL, wanted)).mappings().all()
    return rows


async def note_failure(
    session: AsyncSession, follower: str, stream_id: UUID, *, at: int, values: Mapping[str, Any]
) -> bool:
    """Note how the event after `at` failed; False when the follower is not there any more."""
    noted = _position(follower, stream_id).where(position.c.seq == at).values(**values)
    return cast("CursorResult[Any]", await session.execute(noted)).rowcount == 1


async def add_left_out(session: AsyncSession, values: Mapping[str, Any]) -> None:
    """Keep which event a follower left out."""
    await session.execute(insert(failure).values(**values).on_conflict_do_nothing())


def _of(follower: str, stream_id: UUID) -> tuple[ColumnElement[bool], ColumnElement[bool]]:
    return position.c.follower == follower, position.c.stream_id == stream_id


def _position(follower: str, stream_id: UUID) -> Update:
    return update(position).where(*_of(follower, stream_id))
