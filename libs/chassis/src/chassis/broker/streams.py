"""The transport over Valkey or Redis: a stream per queue, with a topic exchange made of one script.

Publishing runs a script that finds the bound queues and appends to the stream of each; its answer is the
confirm. Nobody bound is an error for a mandatory message, as with RabbitMQ. Consumers of a queue form a group; a
message is deleted when it is acknowledged, so a stream's length is the queue's depth. What a consumer that died had
in hand goes to the living: each one keeps a short-lived key, and entries of names without a key are taken over. What
is pending under a consumer's own name and not in its hand was lost on the way, and is delivered again too.
"""

from collections.abc import Sequence
from contextlib import suppress
from typing import Any

import orjson
import redis.asyncio as redis
from redis.exceptions import ResponseError

from chassis.broker.port import (
    AFTER_A_FAILURE,
    BatchHandler,
    BrokerUnavailable,
    Handler,
    Message,
    PublishFailed,
    Queue,
    RetryPolicy,
    Unroutable,
)
from chassis.broker.scripts import BIND, PUBLISH, REDRIVE
from chassis.broker.stream_members import (
    GROUP,
    TROUBLE,
    Keys,
    Place,
    SingleMember,
    StreamTiming,
    TogetherMember,
    run_script,
)

MAX_LENGTH = 100_000


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
        await SingleMember(self._place(queue), handler, prefetch=prefetch).run()

    async def consume_together(self, queue: Queue, handler: BatchHandler, *, gather_seconds: float) -> None:
        await TogetherMember(self._place(queue), handler, gather_seconds=gather_seconds).run()

    def _place(self, queue: Queue) -> Place:
        return Place(self._redis, self._keys, queue, self._policy, self._timing, self.declare)

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
