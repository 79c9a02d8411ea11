"""The transport over Valkey or Redis: a stream per queue, with a topic exchange made of one script.

Publishing runs a script that finds the bound queues and appends to the stream of each; its answer is the
confirm. Nobody bound is an error for a mandatory message, as with RabbitMQ. Consumers of a queue form a group; a
message is deleted when it is acknowledged, so a stream's length is the queue's depth. What a consumer that died had
in hand goes to the living: each one keeps a short-lived key, and entries of names without a key are taken over. What
is pending under a consumer's own name and not in its hand was lost on the way, and is delivered again too.
"""

import asyncio
import hashlib
import time
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, cast

import orjson
import redis.asyncio as redis
import structlog
from redis.exceptions import NoScriptError, RedisError, ResponseError

from chassis.broker.batching import Batches
from chassis.broker.cancellation import end_if_cancelled
from chassis.broker.dispatch import KeyedDispatcher
from chassis.broker.port import (
    AFTER_A_FAILURE,
    BrokerUnavailable,
    Handler,
    Message,
    PublishFailed,
    Queue,
    Reject,
    Retry,
    RetryPolicy,
    Unroutable,
)
from chassis.broker.scripts import BIND, BURY, DELAY, KEEP, PUBLISH, REDRIVE
from chassis.ids import uuid7

log = structlog.get_logger()

GROUP = "consumers"
MAX_LENGTH = 100_000
DELIVERY_LIMIT = 8
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


class StreamsTransport:
    """EventTransport over Redis streams. `prefix` separates installations that share one server."""

    def __init__(
        self,
        url: str,
        *,
        prefix: str = "taskloom",
        policy: RetryPolicy | None = None,
        timing: StreamTiming | None = None,
    ) -> None:
        self._redis = redis.Redis.from_url(url, socket_connect_timeout=2, socket_timeout=5, health_check_interval=10)
        self._keys = Keys(prefix)
        self._policy = policy or RetryPolicy()
        self._timing = timing or StreamTiming()

    async def declare(self, queue: Queue) -> None:
        with suppress(ResponseError):  # BUSYGROUP: the group is there already
            await self._redis.xgroup_create(self._keys.stream(queue.name), GROUP, id="0", mkstream=True)
        patterns = [form for pattern in queue.patterns for form in lua_patterns(pattern)]
        await run_script(self._redis, BIND, [self._keys.bindings()], [queue.name, orjson.dumps(patterns)])

    async def publish(self, messages: Sequence[Message]) -> list[PublishFailed | None]:
        arguments: list[Any] = [self._keys.stream(""), MAX_LENGTH]
        for message in messages:
            arguments += [message.id, message.type, message.key, message.body, int(message.mandatory)]
        try:
            reached = await run_script(self._redis, PUBLISH, [self._keys.bindings()], arguments)
        except TROUBLE as error:
            raise BrokerUnavailable(type(error).__name__) from error
        return [_outcome(message, one) for message, one in zip(messages, reached, strict=True)]

    async def consume(self, queue: Queue, handler: Handler, *, prefetch: int) -> None:
        consumer = _Consumer(
            self._redis, self._keys, queue, handler, prefetch, self._policy, self._timing, self.declare
        )
        await consumer.run()

    async def depth(self, queue: str) -> int:
        waiting = await self._redis.xlen(self._keys.stream(queue))
        return int(waiting) + int(await self._redis.zcard(self._keys.delayed(queue)))

    async def dead(self, queue: str) -> int:
        return int(await self._redis.xlen(self._keys.dead(queue)))

    async def redrive(self, queue: str) -> int:
        moved = 0
        while batch := int(
            await run_script(self._redis, REDRIVE, [self._keys.stream(queue), self._keys.dead(queue)], [])
        ):
            moved += batch
        return moved

    async def ping(self) -> None:
        await self._redis.ping()

    async def close(self) -> None:
        await self._redis.aclose()


Entry = tuple[bytes, dict[bytes, bytes]]


DRAIN_SECONDS = 15.0
RECONNECT_SECONDS = 0.5


class _Consumer:
    """One member of a queue's group."""

    def __init__(
        self,
        server: redis.Redis,
        keys: Keys,
        queue: Queue,
        handler: Handler,
        prefetch: int,
        policy: RetryPolicy,
        timing: StreamTiming,
        declare: Callable[[Queue], Awaitable[None]],
    ) -> None:
        self._redis = server
        self._keys = keys
        self._queue = queue
        self._handler = handler
        self._prefetch = prefetch
        self._policy = policy
        self._timing = timing
        self._declare = declare
        self._name = str(uuid7())
        self._in_hand: set[bytes] = set()
        self._left_behind = asyncio.Event()
        self._dispatcher = KeyedDispatcher(prefetch)
        self._ordered = queue.ordered
        self._stream = keys.stream(queue.name)
        # What is done in a batch is settled in one: a round trip each costs a quarter of what handling it does.
        self._settlements = Batches(self._acknowledge_all, self._acknowledge)

    async def run(self) -> None:
        # What is taken over waits for a free hand; staying alive must not wait for it.
        steps = ((self._keep_house, self._timing.look), (self._take_all_over, 0))
        beside = [asyncio.create_task(self._forever(step, pause=pause)) for step, pause in steps]
        try:
            await self._forever(self._read, pause=0)
        finally:
            for task in beside:
                task.cancel()
            await asyncio.gather(*beside, return_exceptions=True)
            await self._dispatcher.drain(DRAIN_SECONDS)

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
            GROUP, self._name, {self._stream: ">"}, count=self._prefetch, block=BLOCK_MS
        )
        for _, entries in cast("list[tuple[bytes, list[Entry]]]", answer or []):
            await self._dispatch_all([(entry, 1) for entry in entries])

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
            await self._redis.xgroup_delconsumer(self._stream, GROUP, name)

    async def _claim(self, name: str, *, idle: float) -> None:
        """Deliver again what was pending under a name for `idle` seconds and is not in our hand."""
        milliseconds, count = int(idle * 1000), self._prefetch + len(self._in_hand)
        rows = await self._redis.xpending_range(
            self._stream, GROUP, "-", "+", count, consumername=name, idle=milliseconds
        )
        deliveries = {row["message_id"]: int(row["times_delivered"]) for row in rows}
        wanted = [entry_id for entry_id in deliveries if entry_id not in self._in_hand]
        if wanted:
            claimed = await self._redis.xclaim(self._stream, GROUP, self._name, milliseconds, list(wanted))
            await self._dispatch_all([(entry, deliveries[entry[0]] + 1) for entry in cast("list[Entry]", claimed)])

    async def _dispatch_all(self, entries: Sequence[tuple[Entry, int]]) -> None:
        """Hand over entries, each with the number of its deliveries; all are in our hand from now on."""
        taken = [one for one in entries if one[0][0] not in self._in_hand]
        self._in_hand.update(entry_id for (entry_id, _), _ in taken)
        waiting = deque(taken)
        try:
            while waiting:
                entry, deliveries = waiting[0]
                await self._dispatch(entry, deliveries=deliveries)
                waiting.popleft()
        finally:
            self._in_hand.difference_update(entry_id for (entry_id, _), _ in waiting)

    async def _dispatch(self, entry: Entry, *, deliveries: int) -> None:
        entry_id, fields = entry
        message = Message(
            id=fields[b"id"].decode(),
            type=fields[b"type"].decode(),
            key=fields[b"key"].decode(),
            body=fields[b"body"],
            attempt=int(fields[b"attempt"]) + deliveries - 1,
        )
        if deliveries > DELIVERY_LIMIT:
            await self._bury(entry_id, message, "delivered too often")
            self._in_hand.discard(entry_id)
            return
        await self._dispatcher.submit(
            message.key if self._ordered else message.id, lambda: self._handle(entry_id, message)
        )

    async def _handle(self, entry_id: bytes, message: Message) -> None:
        """Settle one delivery; when even that fails, the entry stays pending and is delivered again."""
        try:
            await self._settle(entry_id, message)
        except TROUBLE as error:
            log.warning("broker.unsettled", queue=self._queue.name, reason=type(error).__name__)
        finally:
            self._in_hand.discard(entry_id)

    async def _settle(self, entry_id: bytes, message: Message) -> None:
        try:
            await self._handler(message)
        except Retry as reason:
            delay = self._policy.delay_after(message.attempt)
            if delay is None:
                await self._bury(entry_id, message, f"failed {message.attempt} times: {reason}")
            else:
                await self._delay(entry_id, message, delay)
        except Reject as reason:
            await self._bury(entry_id, message, str(reason))
        else:
            await self._settlements.work(entry_id)

    async def _acknowledge(self, entry_id: bytes) -> str:
        [outcome] = await self._acknowledge_all([entry_id])
        return outcome

    async def _acknowledge_all(self, entry_ids: Sequence[bytes]) -> Sequence[str]:
        settled = self._redis.pipeline()
        settled.xack(self._stream, GROUP, *entry_ids)
        settled.xdel(self._stream, *entry_ids)
        await settled.execute()
        return ["settled"] * len(entry_ids)

    async def _delay(self, entry_id: bytes, message: Message, seconds: float) -> None:
        delayed = self._keys.delayed(self._queue.name)
        due, packed = time.time() + seconds, _packed(message, attempt=message.attempt + 1)
        await run_script(self._redis, DELAY, [self._stream, delayed], [entry_id, due, packed, GROUP])

    async def _bury(self, entry_id: bytes, message: Message, reason: str) -> None:
        log.error("message.dead", queue=self._queue.name, type=message.type, message=message.id, reason=reason)
        dead = self._keys.dead(self._queue.name)
        arguments = [entry_id, message.id, message.type, message.key, message.body, reason[:500], GROUP]
        await run_script(self._redis, BURY, [self._stream, dead], arguments)


def lua_patterns(topic: str) -> list[str]:
    """Translate a topic pattern to the Lua patterns that together match the same types."""
    if topic == "#":
        return ["^.*$"]
    forms = [topic]
    if topic.endswith(".#"):
        forms.append(topic.removesuffix(".#"))
    return ["^" + _lua_words(form) + "$" for form in forms]


def _lua_words(topic: str) -> str:
    special = {"*": "[^.]+", "#": ".+"}
    return "%.".join(special.get(word, word.replace("-", "%-")) for word in topic.split("."))


def _outcome(message: Message, reached: int) -> PublishFailed | None:
    if reached > 0 or (reached == 0 and not message.mandatory):
        return None
    return {-1: PublishFailed("a queue is full"), -2: PublishFailed(AFTER_A_FAILURE)}.get(
        reached, Unroutable(message.type)
    )


def _packed(message: Message, *, attempt: int) -> bytes:
    fields = ["id", message.id, "type", message.type, "key", message.key, "body", message.body.decode()]
    return orjson.dumps([*fields, "attempt", str(attempt)])
