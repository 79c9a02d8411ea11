"""Use cases of followers: each walks every stream in order, a batch and its own position in one transaction."""

from collections import defaultdict
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Literal
from uuid import UUID

from chassis.clock import utcnow
from sqlalchemy import RowMapping
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncSession

from notifications_service.following import repository
from notifications_service.following.rules import delay_after

CHANNEL = "notifications_stream"
"""Where PostgreSQL tells that a stream can be read further: its id and how far, or nothing for any."""

Work = Callable[[AsyncSession, UUID, Sequence[RowMapping]], Awaitable[None]]
"""What is made of the next events of a stream, which are rows of `stream_event`, in the transaction of their batch."""
WorkTogether = Callable[[AsyncSession, Sequence[RowMapping]], Awaitable[None]]
"""The same of the next events of several streams, those of a stream in its order."""


Parts = Mapping[UUID, tuple[int, int]]
"""By stream, the number after which, and that up to which there is something to follow."""
Concerns = Callable[[AsyncSession, Parts], Awaitable[set[UUID]]]
"""Tells in which of some streams there is something to work on."""


@dataclass(frozen=True, slots=True)
class Follower:
    """Somebody who goes through every stream, from the day that it is there or from the first event that is kept.

    The name is the one of its positions, so it stays. What does not concern it is passed over in many streams at once:
    most that happens is in the streams of users, and nobody's affair but theirs. With `together` streams that go on at
    the same time share a transaction, and each has its own again when that fails.

    Its rounds begin `gather_seconds` after each other at the earliest. The first one after a rest begins at once, and
    where much goes on, more of it is done in a round. Streams in which there was nothing for it yet wait longer: what
    concerns it is asked `ask_seconds` after the last time at the earliest.
    """

    name: str
    work: Work
    begins: Literal["head", "start"] = "head"
    concerns: Concerns | None = None
    together: WorkTogether | None = None
    gather_seconds: float = 0.0
    ask_seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class Batch:
    """Events to work on, after which position of their stream, how far the stream goes, and earlier failures."""

    stream_id: UUID
    after: int
    until: int
    failures: int
    rows: Sequence[RowMapping]

    @property
    def last(self) -> int:
        """Where it ends; what is not kept any more is passed over."""
        return int(self.rows[-1]["seq"]) if self.rows else self.until


async def enter(session: AsyncSession, *, follower: Follower) -> None:
    """Let a follower begin where it is to begin; nothing for one that began before."""
    if follower.begins == "head":
        await repository.enter(session, follower.name)


async def find_news(reader: AsyncConnection, *, follower: Follower) -> Sequence[UUID]:
    """Return the streams in which there is something for a follower now."""
    return await repository.behind(reader, follower.name)


async def begin_streams(session: AsyncSession, *, follower: Follower, stream_ids: Sequence[UUID]) -> int:
    """Give a follower its place at the beginning of streams where it has none yet; return how many these were."""
    return await repository.begin_streams(session, follower.name, stream_ids)


async def pass_over(
    session: AsyncSession, *, follower: Follower, concerns: Concerns, stream_ids: Sequence[UUID]
) -> set[UUID]:
    """Go to the end of those streams in which nothing is for a follower; return the others, as far as they are free."""
    places = await repository.lock_positions(session, follower.name, stream_ids)
    parts = {row["stream_id"]: (row["seq"], row["contiguous_seq"]) for row in places}
    concerned = await concerns(session, parts) if parts else set()
    rest = {stream_id: until for stream_id, (_, until) in parts.items() if stream_id not in concerned}
    if rest:
        await repository.move_all(session, follower.name, rest)
    return concerned


async def take_batch(session: AsyncSession, *, follower: Follower, stream_id: UUID, limit: int) -> Batch | None:
    """Return what comes next in a stream; nobody else gets it until the end of the transaction.

    None where there is nothing, or somebody else is at it. An event that failed before comes alone.
    """
    places = await repository.lock_positions(session, follower.name, [stream_id])
    if not places:
        return None
    after, until, failures = places[0]["seq"], places[0]["contiguous_seq"], places[0]["failures"]
    rows = await repository.events_of_all(session, {stream_id: (after, until)}, limit=1 if failures else limit)
    return Batch(stream_id, after, until, failures, rows)


async def finish_batch(session: AsyncSession, *, follower: Follower, batch: Batch) -> None:
    """Note that a batch was worked on."""
    await finish_batches(session, follower=follower, batches=[batch])


async def take_batches(
    session: AsyncSession, *, follower: Follower, stream_ids: Sequence[UUID], limit: int
) -> list[Batch]:
    """Return what comes next in several streams, as take_batch does, at most `limit` events of each.

    Streams in which an event failed are left out: it comes alone.
    """
    places = await repository.lock_positions(session, follower.name, stream_ids)
    parts = {row["stream_id"]: (row["seq"], row["contiguous_seq"]) for row in places if not row["failures"]}
    if not parts:
        return []
    rows: defaultdict[UUID, list[RowMapping]] = defaultdict(list)
    for row in await repository.events_of_all(session, parts, limit=limit):
        rows[row["workspace_id"]].append(row)
    return [Batch(one, after, until, 0, rows[one]) for one, (after, until) in parts.items()]


async def finish_batches(session: AsyncSession, *, follower: Follower, batches: Sequence[Batch]) -> None:
    """Note that batches were worked on."""
    await repository.move_all(session, follower.name, {one.stream_id: one.last for one in batches})


async def note_failure(session: AsyncSession, *, follower: Follower, batch: Batch, reason: str) -> timedelta | None:
    """Note that the one event of a batch failed; return after what time it is tried again.

    None when it has failed too often: it is left out, and those after it come next.
    """
    row, failures = batch.rows[0], batch.failures + 1
    delay = delay_after(failures)
    retry = {"failures": failures, "retry_at": None if delay is None else utcnow() + delay}
    left = {"seq": row["seq"], "failures": 0, "retry_at": None}
    values = left if delay is None else retry
    noted = await repository.note_failure(session, follower.name, batch.stream_id, at=batch.after, values=values)
    if noted and delay is None:
        about = {"follower": follower.name, "stream_id": batch.stream_id, "seq": row["seq"]}
        await repository.add_left_out(
            session, {**about, "event_type": row["type"], "reason": reason, "failed_at": utcnow()}
        )
    return delay
