"""Consumers of the transport over Valkey or Redis: the members of a queue's group."""

import asyncio
import hashlib
import time
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, cast

import orjson
import redis.asyncio as redis
import structlog
from redis.exceptions import NoScriptError, RedisError

from chassis.broker.batching import BATCH, Batches, Pace
from chassis.broker.cancellation import end_if_cancelled
from chassis.broker.dispatch import KeyedDispatcher
from chassis.broker.port import BatchHandler, Handler, Message, Outcome, Queue, Reject, Retry, RetryPolicy
from chassis.broker.scripts import BURY, DELAY, FORGET, KEEP
from chassis.ids import uuid7
from chassis.waiting import until

log = structlog.get_logger()

GROUP = "consumers"
DELIVERY_LIMIT = 8
DELIVERED_TOO_OFTEN = "delivered too often"
BLOCK_MS = 1000
TROUBLE = (RedisError, OSError)


@dataclass(frozen=True, slots=True)
class StreamTiming:
    """Seconds: how long a silent consumer counts as alive, how often others look after the dead and the delayed.

    A reply that is not here after `lost` seconds will not come, since commands time out before.
    """

    alive: float = 3.0
    look: float = 0.5
    lost: float = 6.0


@dataclass(frozen=True, slots=True)
class Keys:
    """Names of everything that the transport keeps; the braces keep them in one slot of a cluster."""

    prefix: str

    def bindings(self) -> str:
        return f"{{{self.prefix}}}:bindings"

    def stream(self, queue: str) -> str:
        return f"{{{self.prefix}}}:queue:{queue}"

    def delayed(self, queue: str) -> str:
        return f"{{{self.prefix}}}:delayed:{queue}"

    def dead(self, queue: str) -> str:
        return f"{{{self.prefix}}}:dead:{queue}"

    def alive(self, queue: str, consumer: str) -> str:
        return f"{{{self.prefix}}}:alive:{queue}:{consumer}"


async def run_script(server: redis.Redis, source: str, keys: list[str], arguments: list[Any]) -> Any:
    """Run a script in one step of the server, which is told the source where it does not know it yet."""
    try:
        return await server.evalsha(_digest(source), len(keys), *keys, *arguments)
    except NoScriptError:
        return await server.eval(source, len(keys), *keys, *arguments)


@lru_cache
def _digest(source: str) -> str:
    return hashlib.sha1(source.encode(), usedforsecurity=False).hexdigest()


Entry = tuple[bytes, dict[bytes, bytes]]


DRAIN_SECONDS = 15.0
RECONNECT_SECONDS = 0.5


@dataclass(frozen=True, slots=True)
class Place:
    """Where a member consumes, and by which rules; `declare` makes the queue anew when the server has lost it."""

    server: redis.Redis
    keys: Keys
    queue: Queue
    policy: RetryPolicy
    timing: StreamTiming
    declare: Callable[[Queue], Awaitable[None]]


class Member(ABC):
    """One member of a queue's group: what it is delivered it has in its hand until that is settled.

    It reads `at_once` messages at a time, and has as many `jobs` under way.
    """

    def __init__(self, place: Place, *, at_once: int, jobs: int) -> None:
        self._redis = place.server
        self._keys = place.keys
        self._queue = place.queue
        self._policy = place.policy
        self._timing = place.timing
        self._declare = place.declare
        self._at_once = at_once
        self._name = str(uuid7())
        self._in_hand: set[bytes] = set()
        self._left_behind = asyncio.Event()
        self._stream = place.keys.stream(place.queue.name)
        self._dispatcher = KeyedDispatcher(jobs)

    async def run(self) -> None:
        """Consume until cancelled, and then finish what is in hand."""
        # What is taken over waits for a free hand; staying alive must not wait for it.
        taking_over = asyncio.create_task(self._forever(self._take_all_over, pause=0))
        house = asyncio.create_task(self._forever(self._keep_house, pause=self._timing.look))
        try:
            await self._forever(self._read, pause=0)
        finally:
            taking_over.cancel()
            try:
                await asyncio.gather(taking_over, return_exceptions=True)
                # What is in hand is ours until it is settled: who is not alive is taken over.
                await self._dispatcher.drain(DRAIN_SECONDS)
            finally:
                house.cancel()
                await asyncio.gather(house, return_exceptions=True)

    @abstractmethod
    async def _dispatch_new(self, entries: Sequence[tuple[Entry, int]]) -> None:
        """Have entries handled that are in our hand from now on, each with the number of its deliveries."""

    async def _forever(self, step: Callable[[], Awaitable[None]], *, pause: float) -> None:
        """Repeat a step; when the server is away or has lost our group, wait, declare again and go on."""
        while True:
            try:
                await step()
                end_if_cancelled()
                await asyncio.sleep(pause)
            except TROUBLE as error:
                log.warning("broker.unavailable", queue=self._queue.name, reason=type(error).__name__)
                end_if_cancelled()
                await asyncio.sleep(RECONNECT_SECONDS)
                with suppress(*TROUBLE):
                    await self._declare(self._queue)

    async def _read(self) -> None:
        answer = await self._redis.xreadgroup(
            GROUP, self._name, {self._stream: ">"}, count=self._at_once, block=BLOCK_MS
        )
        for _, entries in cast("list[tuple[bytes, list[Entry]]]", answer or []):
            await self._dispatch_all([(entry, 1) for entry in entries])

    async def _dispatch_all(self, entries: Sequence[tuple[Entry, int]]) -> None:
        taken = [one for one in entries if one[0][0] not in self._in_hand]
        self._in_hand.update(entry_id for (entry_id, _), _ in taken)
        await self._dispatch_new(taken)

    async def _keep_house(self) -> None:
        """Stay alive, promote what is due, and have taken over what is left behind: a command while all is well."""
        queue, timing = self._queue.name, self._timing
        keys = [self._stream, self._keys.delayed(queue), self._keys.alive(queue, self._name)]
        milliseconds = int(timing.alive * 1000), int(timing.lost * 1000)
        arguments = [time.time(), self._name, *milliseconds, GROUP, self._keys.alive(queue, "")]
        if await run_script(self._redis, KEEP, keys, arguments):
            self._left_behind.set()

    async def _take_all_over(self) -> None:
        await self._left_behind.wait()
        self._left_behind.clear()
        for consumer in await self._redis.xinfo_consumers(self._stream, GROUP):
            await self._take_over(consumer["name"].decode(), pending=int(consumer["pending"]))

    async def _take_over(self, name: str, *, pending: int) -> None:
        """Take the entries of a consumer that is not alive any more, and then its name off the group.

        Of our own name, take those that never came, or came and could not be settled.
        """
        if name == self._name:
            await self._claim(name, idle=self._timing.lost)
        elif await self._redis.exists(self._keys.alive(self._queue.name, name)):
            return
        elif pending:
            # A min-idle time lets only one of several claimers win an entry.
            await self._claim(name, idle=self._timing.alive / 2)
        else:
            # What we were told of it may be long ago: what it has got since must not go with its name.
            keys = [self._stream, self._keys.alive(self._queue.name, name)]
            await run_script(self._redis, FORGET, keys, [GROUP, name])

    async def _claim(self, name: str, *, idle: float) -> None:
        """Deliver again what was pending under a name for `idle` seconds and is not in our hand."""
        milliseconds, count = int(idle * 1000), self._at_once + len(self._in_hand)
        rows = await self._redis.xpending_range(
            self._stream, GROUP, "-", "+", count, consumername=name, idle=milliseconds
        )
        deliveries = {row["message_id"]: int(row["times_delivered"]) for row in rows}
        wanted = [entry_id for entry_id in deliveries if entry_id not in self._in_hand][: self._at_once]
        if wanted:
            claimed = await self._redis.xclaim(self._stream, GROUP, self._name, milliseconds, list(wanted))
            await self._dispatch_all([(entry, deliveries[entry[0]] + 1) for entry in cast("list[Entry]", claimed)])

    async def _settle(self, entry_id: bytes, message: Message, outcome: Retry | Reject) -> None:
        """Let a message that failed wait for its next attempt, or be dead."""
        if isinstance(outcome, Reject):
            await self._bury(entry_id, message, str(outcome))
            return
        delay = self._policy.delay_after(message.attempt)
        if delay is None:
            await self._bury(entry_id, message, f"failed {message.attempt} times: {outcome}")
        else:
            await self._delay(entry_id, message, delay)

    async def _acknowledge_all(self, entry_ids: Sequence[bytes]) -> Sequence[None]:
        settled = self._redis.pipeline()
        settled.xack(self._stream, GROUP, *entry_ids)
        settled.xdel(self._stream, *entry_ids)
        await settled.execute()
        return [None] * len(entry_ids)

    async def _delay(self, entry_id: bytes, message: Message, seconds: float) -> None:
        delayed = self._keys.delayed(self._queue.name)
        due, packed = time.time() + seconds, _packed(message, attempt=message.attempt + 1)
        await run_script(self._redis, DELAY, [self._stream, delayed], [entry_id, due, packed, GROUP])

    async def _bury(self, entry_id: bytes, message: Message, reason: str) -> None:
        log.error("message.dead", queue=self._queue.name, type=message.type, message=message.id, reason=reason)
        dead = self._keys.dead(self._queue.name)
        arguments = [entry_id, message.id, message.type, message.key, message.body, reason[:500], GROUP]
        await run_script(self._redis, BURY, [self._stream, dead], arguments)


class SingleMember(Member):
    """Hands over messages one by one: many at once, those of one key in their order where the queue is ordered."""

    def __init__(self, place: Place, handler: Handler, *, prefetch: int) -> None:
        super().__init__(place, at_once=prefetch, jobs=prefetch)
        self._handler = handler
        # What ends at the same time is settled at once: a round trip each costs a quarter of what handling it does.
        self._settlements: Batches[bytes, None] = Batches(self._acknowledge_all)

    async def _dispatch_new(self, entries: Sequence[tuple[Entry, int]]) -> None:
        waiting = deque(entries)
        try:
            while waiting:
                entry, deliveries = waiting[0]
                await self._dispatch(entry, deliveries=deliveries)
                waiting.popleft()
        finally:
            self._in_hand.difference_update(entry_id for (entry_id, _), _ in waiting)

    async def _dispatch(self, entry: Entry, *, deliveries: int) -> None:
        entry_id, message = entry[0], message_of(entry, deliveries=deliveries)
        if deliveries > DELIVERY_LIMIT:
            await self._bury(entry_id, message, DELIVERED_TOO_OFTEN)
            self._in_hand.discard(entry_id)
            return
        key = message.key if self._queue.ordered else message.id
        await self._dispatcher.submit(key, lambda: self._handle(entry_id, message))

    async def _handle(self, entry_id: bytes, message: Message) -> None:
        """Settle one delivery; when even that fails, the entry stays pending and is delivered again."""
        try:
            try:
                await self._handler(message)
            except (Retry, Reject) as outcome:
                await self._settle(entry_id, message, outcome)
            else:
                await self._settlements.work(entry_id)
        except TROUBLE as error:
            log.warning("broker.unsettled", queue=self._queue.name, reason=type(error).__name__)
        finally:
            self._in_hand.discard(entry_id)


class TogetherMember(Member):
    """Hands over what waits in batches, each when the one before is settled: three commands of the server each."""

    def __init__(self, place: Place, handler: BatchHandler, *, gather_seconds: float) -> None:
        super().__init__(place, at_once=BATCH, jobs=1)
        self._handler = handler
        self._pace = Pace(gather_seconds)

    async def _read(self) -> None:
        await until(self._pace.next_at)
        await super()._read()

    async def _dispatch_new(self, entries: Sequence[tuple[Entry, int]]) -> None:
        """Hand over entries, and wait until they are settled; they are to their end, also when this is cancelled."""
        try:
            under_way = await self._dispatcher.submit("", lambda: self._handle_all(entries))
        except asyncio.CancelledError:
            self._in_hand.difference_update(entry_id for (entry_id, _), _ in entries)
            raise
        await asyncio.wait([under_way])

    async def _handle_all(self, entries: Sequence[tuple[Entry, int]]) -> None:
        """Settle a batch; what that fails for stays pending and is delivered again."""
        try:
            await self._settle_all([(entry[0], message_of(entry, deliveries=count), count) for entry, count in entries])
        except TROUBLE as error:
            log.warning("broker.unsettled", queue=self._queue.name, reason=type(error).__name__)
        finally:
            self._in_hand.difference_update(entry_id for (entry_id, _), _ in entries)

    async def _settle_all(self, batch: Sequence[tuple[bytes, Message, int]]) -> None:
        for entry_id, message, deliveries in batch:
            if deliveries > DELIVERY_LIMIT:
                await self._bury(entry_id, message, DELIVERED_TOO_OFTEN)
        wanted = [(entry_id, message) for entry_id, message, deliveries in batch if deliveries <= DELIVERY_LIMIT]
        outcomes = await self._handle_together([message for _, message in wanted])
        settled = [entry_id for (entry_id, _), outcome in zip(wanted, outcomes, strict=True) if outcome is None]
        if settled:
            await self._acknowledge_all(settled)
        for (entry_id, message), outcome in zip(wanted, outcomes, strict=True):
            if outcome is not None:
                await self._settle(entry_id, message, outcome)

    async def _handle_together(self, messages: Sequence[Message]) -> Sequence[Outcome]:
        if not messages:
            return []
        self._pace.begin()
        try:
            return await self._handler(messages)
        finally:
            self._pace.end(is_full=len(messages) >= BATCH)


def message_of(entry: Entry, *, deliveries: int) -> Message:
    """Read an entry of a stream that was delivered so often."""
    fields = entry[1]
    return Message(
        id=fields[b"id"].decode(),
        type=fields[b"type"].decode(),
        key=fields[b"key"].decode(),
        body=fields[b"body"],
        attempt=int(fields[b"attempt"]) + deliveries - 1,
    )


def _packed(message: Message, *, attempt: int) -> bytes:
    fields = ["id", message.id, "type", message.type, "key", message.key, "body", message.body.decode()]
    return orjson.dumps([*fields, "attempt", str(attempt)])
