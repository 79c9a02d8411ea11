"""Letting followers walk: woken when a stream goes on, and looking by themselves every second."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

import structlog
from chassis.db.engine import Database
from chassis.db.failures import TROUBLE, is_outage
from chassis.db.listening import keep_listening
from chassis.db.transactions import transaction
from chassis.waiting import first_of, until
from prometheus_client import Counter
from sqlalchemy.ext.asyncio import AsyncSession

from notifications_service.following import service
from notifications_service.following.rules import BATCH, STREAMS_TOGETHER, share_of
from notifications_service.following.service import Batch, Concerns, Follower, WorkTogether

log = structlog.get_logger()

FOLLOWED = Counter("taskloom_followed_events_total", "Events that a follower has worked on.", ["follower"])
FAILED = Counter("taskloom_follower_failures_total", "Times that an event failed in a follower.", ["follower"])
LEFT_OUT = Counter("taskloom_follower_left_out_total", "Events that a follower has given up: an alert.", ["follower"])

AT_ONCE = 4
ASKED_AT_ONCE = 500
POLL_SECONDS = 1.0


class FollowerRunner:
    """Runs followers, each at its own pace; any number of runners may share the streams."""

    def __init__(
        self, database: Database, followers: Sequence[Follower], *, poll_seconds: float = POLL_SECONDS
    ) -> None:
        gate = asyncio.Semaphore(AT_ONCE)
        self._database = database
        self._poll_seconds = poll_seconds
        self._walks = [Walk(database, one, gate) for one in followers]

    async def run(self, stop: asyncio.Event) -> None:
        """Follow until `stop` is set, and finish what is under way. Trouble with the database is waited out.

        Where there is nobody to follow it waits, too: a process ends with what it does.
        """
        await asyncio.gather(
            stop.wait(), self._listen(stop), *(walk.run(stop, self._poll_seconds) for walk in self._walks)
        )

    async def _listen(self, stop: asyncio.Event) -> None:
        """Wake the walks whenever PostgreSQL tells of a stream."""
        if self._walks:
            await keep_listening(self._database, service.CHANNEL, stop, heard=self._wake, began=self._wake)

    def _wake(self, payload: str = "") -> None:
        for walk in self._walks:
            walk.wake(payload)


@dataclass(frozen=True, slots=True)
class Left:
    """Streams of which there is more after what was done together, and those that are still to be followed alone."""

    going_on: Sequence[UUID] = ()
    alone: Sequence[UUID] = ()


class Walk:
    """One follower on its way through all streams."""

    def __init__(self, database: Database, follower: Follower, gate: asyncio.Semaphore) -> None:
        self._database = database
        self._follower = follower
        self._gate = gate
        self._woken = asyncio.Event()
        self._told: set[UUID] = set()
        self._looks_at = float("-inf")
        # Of streams in which a batch failed: how much is tried at once.
        self._sizes: dict[UUID, int] = {}
        # Where the follower has a position, and where something was for it.
        self._begun: set[UUID] = set()
        self._busy: set[UUID] = set()
        # Of which it is still to be asked whether there is something, and when.
        self._unasked: set[UUID] = set()
        self._asks_at = float("-inf")

    def wake(self, payload: str) -> None:
        """Be told of a stream, or that it is time to look at all of them."""
        try:
            self._told.add(UUID(payload.partition(" ")[0]))
        except ValueError:
            self._looks_at = float("-inf")
        self._woken.set()

    async def run(self, stop: asyncio.Event, poll_seconds: float) -> None:
        """Follow until `stop` is set."""
        while not stop.is_set():
            try:
                await self._enter()
                while not stop.is_set():
                    began = asyncio.get_running_loop().time()
                    had_news = await self._round(stop, poll_seconds)
                    await first_of(stop, self._woken, seconds=self._rest(poll_seconds))
                    if had_news:
                        await until(began + self._follower.gather_seconds, stop)
            except TROUBLE as error:
                log.warning("follower.trouble", follower=self._follower.name, reason=type(error).__name__)
                await first_of(stop, seconds=poll_seconds)

    def _rest(self, poll_seconds: float) -> float:
        """Return how long there is nothing to do unless somebody wakes us."""
        asks_in = self._asks_at - asyncio.get_running_loop().time()
        return min(poll_seconds, max(0.0, asks_in)) if self._unasked else poll_seconds

    async def _enter(self) -> None:
        async with transaction(self._database) as session:
            await service.enter(session, follower=self._follower)

    async def _round(self, stop: asyncio.Event, poll_seconds: float) -> bool:
        """Go to the end of every stream that there is something in, a batch of each in turn; False if there is none."""
        self._woken.clear()
        news = await self._news(poll_seconds)
        streams = await self._concerned(news)
        while streams and not stop.is_set():
            left = await self._follow_together(streams, stop)
            went_on = await asyncio.gather(*(self._follow(one, stop) for one in left.alone))
            going_on = [*left.going_on, *(one for one, more in zip(left.alone, went_on, strict=True) if more)]
            # A stream in which there is much must not hold up what happens in others meanwhile.
            streams = list({*going_on, *await self._concerned(await self._news(poll_seconds))}) if going_on else []
        return bool(news)

    async def _news(self, poll_seconds: float) -> list[UUID]:
        """Return the streams that we were told of, and now and then all that there is something in."""
        told, self._told = self._told, set()
        now = asyncio.get_running_loop().time()
        if now >= self._looks_at:
            async with self._database.primary.connect() as reader:
                told.update(await service.find_news(reader, follower=self._follower))
            self._looks_at = now + poll_seconds
        return list(told)

    async def _concerned(self, streams: list[UUID]) -> list[UUID]:
        """Pass over the streams in which nothing is for the follower; return the others.

        Where something was before, there will be more: that is not asked again. Others wait until it is time to ask.
        """
        concerns = self._follower.concerns
        if concerns is None:
            return streams
        left = [one for one in streams if one in self._busy]
        self._unasked.update(one for one in streams if one not in self._busy)
        now = asyncio.get_running_loop().time()
        if self._unasked and now >= self._asks_at:
            asked, self._unasked = list(self._unasked), set()
            self._asks_at = now + self._follower.ask_seconds
            for start in range(0, len(asked), ASKED_AT_ONCE):
                left += await self._ask_or_take(concerns, asked[start : start + ASKED_AT_ONCE])
        return left

    async def _ask_or_take(self, concerns: Concerns, streams: list[UUID]) -> list[UUID]:
        try:
            return await self._ask(concerns, streams)
        except TROUBLE:
            raise
        except Exception:
            # What can't be said of streams must not end the follower: it looks at each of them.
            log.exception("follower.broken", follower=self._follower.name)
            return streams

    async def _ask(self, concerns: Concerns, streams: list[UUID]) -> list[UUID]:
        new = [one for one in streams if one not in self._begun]
        async with self._gate, transaction(self._database) as session:
            if new:
                await service.begin_streams(session, follower=self._follower, stream_ids=new)
            found = await service.pass_over(session, follower=self._follower, concerns=concerns, stream_ids=streams)
        self._begun.update(new)
        self._busy.update(found)
        return list(found)

    async def _follow_together(self, streams: Sequence[UUID], stop: asyncio.Event) -> "Left":
        """Work on the next batches of streams in few transactions, as far as that goes well."""
        together = self._follower.together
        sound = [one for one in streams if one not in self._sizes]
        if together is None or len(sound) == 1:
            return Left(alone=streams)
        parts = [sound[first : first + STREAMS_TOGETHER] for first in range(0, len(sound), STREAMS_TOGETHER)]
        lefts = await asyncio.gather(*(self._try_together(together, one, stop) for one in parts))
        failing = [one for one in streams if one in self._sizes]
        return Left(
            going_on=[one for left in lefts for one in left.going_on],
            alone=[*failing, *(one for left in lefts for one in left.alone)],
        )

    async def _try_together(self, together: WorkTogether, streams: Sequence[UUID], stop: asyncio.Event) -> "Left":
        """Do so in one transaction. What it does not get, and all of it when it fails, is left to be followed alone."""
        async with self._gate:
            if stop.is_set():
                return Left()
            try:
                batches = await self._work_together(together, streams)
            except Exception as error:  # noqa: BLE001 - which stream it was, each by itself tells
                log.warning("follower.apart", follower=self._follower.name, reason=type(error).__name__)
                return Left(alone=streams)
        taken = {one.stream_id for one in batches}
        going_on = [one.stream_id for one in batches if self._went_well(one)]
        return Left(going_on=going_on, alone=[one for one in streams if one not in taken])

    async def _work_together(self, together: WorkTogether, streams: Sequence[UUID]) -> list[Batch]:
        limit = share_of(len(streams))
        async with transaction(self._database) as session:
            batches = await service.take_batches(session, follower=self._follower, stream_ids=streams, limit=limit)
            rows = [row for one in batches for row in one.rows]
            if rows:
                await together(session, rows)
            if batches:
                await service.finish_batches(session, follower=self._follower, batches=batches)
        return batches

    async def _follow(self, stream_id: UUID, stop: asyncio.Event) -> bool:
        """Work on the next batch of a stream; return whether there may be more of it."""
        async with self._gate:
            return False if stop.is_set() else await self._work_on(stream_id)

    async def _work_on(self, stream_id: UUID) -> bool:
        batch: Batch | None = None
        try:
            async with transaction(self._database) as session:
                batch = await self._take(session, stream_id)
                if batch is not None:
                    if batch.rows:
                        await self._follower.work(session, stream_id, batch.rows)
                    await service.finish_batch(session, follower=self._follower, batch=batch)
            return await self._begins(stream_id) if batch is None else self._went_well(batch)
        except Exception as error:  # noqa: BLE001 - one event that breaks our own code must not end the others
            return await self._on_failure(stream_id, batch, error)

    async def _take(self, session: AsyncSession, stream_id: UUID) -> Batch | None:
        size = self._sizes.get(stream_id, BATCH)
        return await service.take_batch(session, follower=self._follower, stream_id=stream_id, limit=size)

    async def _begins(self, stream_id: UUID) -> bool:
        """Begin a stream that is new to the follower; False when it is not."""
        async with transaction(self._database) as session:
            return await service.begin_streams(session, follower=self._follower, stream_ids=[stream_id]) == 1

    def _went_well(self, batch: Batch) -> bool:
        FOLLOWED.labels(self._follower.name).inc(len(batch.rows))
        size = self._sizes.pop(batch.stream_id, BATCH) * 2
        if size < BATCH:
            self._sizes[batch.stream_id] = size
        return batch.last < batch.until

    async def _on_failure(self, stream_id: UUID, batch: Batch | None, error: Exception) -> bool:
        """Take less at once; of a single event note that it failed. Return whether to go on at once."""
        about = {"follower": self._follower.name, "stream_id": str(stream_id), "reason": type(error).__name__}
        is_trouble = batch is None or not batch.rows or is_outage(error)
        if is_trouble:
            log.warning("follower.trouble", **about)
        if batch is not None and len(batch.rows) > 1:
            # What took too long, or waited too long for somebody, may do so for being too much at once.
            self._sizes[stream_id] = len(batch.rows) // 2
            return not is_trouble
        if batch is None or is_trouble:
            return False
        return await self._note_failure(batch, error, about)

    async def _note_failure(self, batch: Batch, error: Exception, about: dict[str, str]) -> bool:
        try:
            async with transaction(self._database) as session:
                delay = await service.note_failure(
                    session, follower=self._follower, batch=batch, reason=about["reason"]
                )
        except TROUBLE as trouble:
            log.warning("follower.trouble", **{**about, "reason": type(trouble).__name__})
            return False
        FAILED.labels(self._follower.name).inc()
        about |= {"event_id": str(batch.rows[0]["frame"].get("event_id")), "type": batch.rows[0]["type"]}
        if delay is not None:
            log.warning("follower.failed", **about, failures=batch.failures + 1, exc_info=error)
            return False
        LEFT_OUT.labels(self._follower.name).inc()
        log.error("follower.left_out", **about, exc_info=error)
        return True
