"""The transport over RabbitMQ 3.10 and 4.x (R46, R47, R49, R50).

A topic exchange, and for each consumer a durable quorum queue with its delayed-retry queues and its dead letters.
Every queue argument is set, because the defaults differ between the versions. Publishing and consuming use
separate connections. A connection that fails is thrown away and made anew: nothing is replayed from memory.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Any

import aio_pika
import structlog
from aio_pika.abc import AbstractChannel, AbstractConnection, AbstractExchange, AbstractIncomingMessage, AbstractQueue
from aio_pika.exceptions import AMQPError, DeliveryError
from pamqp.exceptions import PAMQPException

from chassis.broker.batching import BATCH, gathering
from chassis.broker.cancellation import end_if_cancelled
from chassis.broker.dispatch import KeyedDispatcher
from chassis.broker.port import (
    AFTER_A_FAILURE,
    BatchHandler,
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

log = structlog.get_logger()

EXCHANGE = "taskloom.events"
CONTENT_TYPE = "application/cloudevents+json"
DELIVERY_LIMIT = 8
MAX_LENGTH = 100_000
CONSUMER_TIMEOUT_MS = 120_000
PUBLISH_SECONDS = 5.0
CONNECT_SECONDS = 5.0
WATCH_SECONDS = 5.0
RECONNECT_SECONDS = 1.0
DRAIN_SECONDS = 15.0

ATTEMPT, KEY, REASON = "x-taskloom-attempt", "x-taskloom-key", "x-taskloom-reason"
TROUBLE = (AMQPError, PAMQPException, OSError, TimeoutError, RuntimeError, asyncio.InvalidStateError)


class RabbitTransport:
    """EventTransport over RabbitMQ."""

    def __init__(self, url: str, *, policy: RetryPolicy | None = None, exchange: str = EXCHANGE) -> None:
        self._url = url
        self._policy = policy or RetryPolicy()
        self._exchange = exchange
        self._publishing: AbstractConnection | None = None
        self._channel: AbstractChannel | None = None
        self._opening = asyncio.Lock()

    async def declare(self, queue: Queue) -> None:
        connection = await self._connect()
        try:
            channel = await connection.channel()
            await self._declare_all(channel, queue)
        finally:
            await connection.close()

    async def publish(self, messages: Sequence[Message]) -> list[PublishFailed | None]:
        try:
            channel = await self._publish_channel()
            exchange = await channel.get_exchange(self._exchange, ensure=False)
        except TROUBLE as error:
            await self._drop()
            raise BrokerUnavailable(type(error).__name__) from error
        chains: dict[str, list[Message]] = {}
        for message in messages:
            chains.setdefault(message.key, []).append(message)
        outcomes: dict[str, PublishFailed | None] = {}
        sending = [_send_chain(exchange, chain, outcomes) for chain in chains.values()]
        lost = [error for error in await asyncio.gather(*sending, return_exceptions=True) if error is not None]
        if lost:
            await self._drop()
            raise BrokerUnavailable(type(lost[0]).__name__) from lost[0]
        return [outcomes[message.id] for message in messages]

    async def consume(self, queue: Queue, handler: Handler, *, prefetch: int) -> None:
        while True:
            try:
                await self._consume_once(queue, handler, prefetch)
            except TROUBLE as error:
                log.warning("broker.unavailable", queue=queue.name, reason=type(error).__name__)
            end_if_cancelled()
            await asyncio.sleep(RECONNECT_SECONDS)

    async def consume_together(self, queue: Queue, handler: BatchHandler, *, gather_seconds: float) -> None:
        each = gathering(handler, gather_seconds=gather_seconds)
        await self.consume(replace(queue, ordered=False), each, prefetch=BATCH)

    async def depth(self, queue: str) -> int:
        names = [queue, *(_retry_name(queue, delay) for delay in self._policy.delays)]
        return sum([await self._count(name) for name in names])

    async def dead(self, queue: str) -> int:
        return await self._count(_dead_name(queue))

    async def redrive(self, queue: str) -> int:
        connection = await self._connect()
        try:
            channel = await connection.channel(publisher_confirms=True, on_return_raises=True)
            source = await channel.get_queue(_dead_name(queue), ensure=True)
            moved = 0
            while (letter := await source.get(fail=False)) is not None:
                message = _incoming(letter)
                await channel.default_exchange.publish(_outgoing(message, attempt=1), queue, mandatory=True)
                await letter.ack()
                moved += 1
            return moved
        finally:
            await connection.close()

    async def ping(self) -> None:
        channel = await self._publish_channel()
        await channel.get_exchange(self._exchange, ensure=True)

    async def close(self) -> None:
        await self._drop()

    async def _connect(self) -> AbstractConnection:
        separator = "&" if "?" in self._url else "?"
        return await aio_pika.connect(f"{self._url}{separator}heartbeat=10", timeout=CONNECT_SECONDS)

    async def _publish_channel(self) -> AbstractChannel:
        async with self._opening:
            if self._channel is None or self._channel.is_closed:
                await self._drop()
                self._publishing = await self._connect()
                self._channel = await self._publishing.channel(publisher_confirms=True, on_return_raises=True)
                await self._declare_exchange(self._channel)
            return self._channel

    async def _drop(self) -> None:
        connection, self._publishing, self._channel = self._publishing, None, None
        if connection is not None:
            with suppress(*TROUBLE):
                await connection.close()

    async def _declare_exchange(self, channel: AbstractChannel) -> None:
        await channel.declare_exchange(self._exchange, aio_pika.ExchangeType.TOPIC, durable=True)

    async def _declare_all(self, channel: AbstractChannel, queue: Queue) -> AbstractQueue:
        """Declare everything of a queue; the same arguments as before change nothing."""
        await self._declare_exchange(channel)
        await channel.declare_queue(_dead_name(queue.name), durable=True, arguments=_quorum())
        for delay in self._policy.delays:
            back = {"x-dead-letter-exchange": "", "x-dead-letter-routing-key": queue.name}
            arguments = _quorum(**back, **AT_LEAST_ONCE, **{"x-message-ttl": int(delay * 1000)})
            await channel.declare_queue(_retry_name(queue.name, delay), durable=True, arguments=arguments)
        dead = {"x-dead-letter-exchange": "", "x-dead-letter-routing-key": _dead_name(queue.name)}
        main = await channel.declare_queue(
            queue.name,
            durable=True,
            arguments=_quorum(**dead, **AT_LEAST_ONCE, **{"x-delivery-limit": DELIVERY_LIMIT}),
        )
        for pattern in queue.patterns:
            await main.bind(self._exchange, pattern)
        return main

    async def _consume_once(self, queue: Queue, handler: Handler, prefetch: int) -> None:
        """Consume on one connection until it, its channel or its consumer is gone, or we are cancelled."""
        connection = await self._connect()
        dispatcher = KeyedDispatcher(prefetch)
        try:
            channel = await connection.channel(publisher_confirms=True, on_return_raises=True)
            cancelled = await _cancellation(channel)
            await channel.set_qos(prefetch_count=prefetch)
            source = await self._declare_all(channel, queue)
            settle = _Settler(channel, queue.name, handler, self._policy)
            tag = await source.consume(_dispatching(dispatcher, settle.settle, ordered=queue.ordered))
            try:
                await _watch(connection, channel, cancelled, queue.name)
            finally:
                with suppress(*TROUBLE):
                    await source.cancel(tag)
                await dispatcher.drain(DRAIN_SECONDS)
        finally:
            with suppress(*TROUBLE):
                await connection.close()

    async def _count(self, name: str) -> int:
        connection = await self._connect()
        try:
            channel = await connection.channel()
            found = await channel.declare_queue(name, passive=True)
            return int(found.declaration_result.message_count or 0)
        finally:
            await connection.close()


async def _send_chain(
    exchange: AbstractExchange, chain: Sequence[Message], outcomes: dict[str, PublishFailed | None]
) -> None:
    """Send messages of one key, each after the confirm of the one before; after a failure, none."""
    failed = False
    for message in chain:
        if failed:
            outcomes[message.id] = PublishFailed(AFTER_A_FAILURE)
            continue
        try:
            await exchange.publish(
                _outgoing(message), message.type, mandatory=message.mandatory, timeout=PUBLISH_SECONDS
            )
            outcomes[message.id] = None
        except DeliveryError as refusal:
            failed = True
            outcomes[message.id] = Unroutable(message.type) if refusal.message is not None else PublishFailed("nack")


AT_LEAST_ONCE = {"x-dead-letter-strategy": "at-least-once"}


class _Settler:
    """Runs the handler on one delivery and settles it: acknowledged only when its fate is stored elsewhere."""

    def __init__(self, channel: AbstractChannel, queue: str, handler: Handler, policy: RetryPolicy) -> None:
        self._channel = channel
        self._queue = queue
        self._handler = handler
        self._policy = policy

    async def settle(self, delivery: AbstractIncomingMessage) -> None:
        """Never raises. A delivery that could not be settled comes again, as all do when their channel is closed."""
        try:
            await self._decide(delivery, _incoming(delivery))
        except TROUBLE as error:
            log.warning("broker.unsettled", queue=self._queue, reason=type(error).__name__)
            with suppress(*TROUBLE):
                await self._channel.close()

    async def _decide(self, delivery: AbstractIncomingMessage, message: Message) -> None:
        try:
            await self._handler(message)
        except Retry as reason:
            delay = self._policy.delay_after(message.attempt)
            if delay is None:
                await self._bury(message, f"failed {message.attempt} times: {reason}")
            else:
                await self._send(_outgoing(message, attempt=message.attempt + 1), _retry_name(self._queue, delay))
        except Reject as reason:
            await self._bury(message, str(reason))
        await delivery.ack()

    async def _bury(self, message: Message, reason: str) -> None:
        log.error("message.dead", queue=self._queue, type=message.type, message=message.id, reason=reason)
        await self._send(_outgoing(message, reason=reason), _dead_name(self._queue))

    async def _send(self, message: aio_pika.Message, queue: str) -> None:
        await self._channel.default_exchange.publish(message, queue, mandatory=True, timeout=PUBLISH_SECONDS)


def _dispatching(
    dispatcher: KeyedDispatcher, settle: Callable[[AbstractIncomingMessage], Awaitable[None]], *, ordered: bool
) -> Callable[[AbstractIncomingMessage], Awaitable[None]]:
    async def take(delivery: AbstractIncomingMessage) -> None:
        key = delivery.headers.get(KEY) if ordered else delivery.message_id
        await dispatcher.submit(str(key or ""), lambda: settle(delivery))

    return take


async def _cancellation(channel: AbstractChannel) -> asyncio.Event:
    """Return what is set when the broker cancels a consumer of the channel, as it does when the queue is gone."""
    cancelled = asyncio.Event()
    underlying = await channel.get_underlay_channel()
    underlying.on_consumer_cancel_callbacks.add(lambda _frame: cancelled.set())
    return cancelled


async def _watch(
    connection: AbstractConnection, channel: AbstractChannel, cancelled: asyncio.Event, queue: str
) -> None:
    """Return when the connection, the channel or its consumer is gone. Raises when the broker does not answer in time.

    The number of the queue's consumers tells nothing of our own while other replicas consume.
    """
    ends = [asyncio.ensure_future(one) for one in (connection.closed(), channel.closed(), cancelled.wait())]
    try:
        while not (await asyncio.wait(ends, timeout=WATCH_SECONDS, return_when=asyncio.FIRST_COMPLETED))[0]:
            async with asyncio.timeout(WATCH_SECONDS), await connection.channel() as probe:
                found = await probe.declare_queue(queue, passive=True)
                if not found.declaration_result.consumer_count:
                    break
        log.warning("broker.consumer_lost", queue=queue)
    finally:
        for end in ends:
            end.cancel()


def _quorum(**more: Any) -> dict[str, Any]:
    return {
        "x-queue-type": "quorum",
        "x-overflow": "reject-publish",
        "x-max-length": MAX_LENGTH,
        "x-consumer-timeout": CONSUMER_TIMEOUT_MS,
        **more,
    }


def _outgoing(message: Message, *, attempt: int | None = None, reason: str | None = None) -> aio_pika.Message:
    headers: dict[str, Any] = {ATTEMPT: attempt or message.attempt, KEY: message.key}
    if reason is not None:
        headers[REASON] = reason[:500]
    return aio_pika.Message(
        message.body,
        message_id=message.id,
        type=message.type,
        content_type=CONTENT_TYPE,
        delivery_mode=aio_pika.DeliveryMode.PERSISTENT,
        headers=headers,
    )


def _incoming(delivery: AbstractIncomingMessage) -> Message:
    headers = delivery.headers
    redelivered = headers.get("x-delivery-count")
    attempt = headers.get(ATTEMPT)
    return Message(
        id=delivery.message_id or "",
        type=delivery.type or delivery.routing_key or "",
        key=str(headers.get(KEY) or ""),
        body=delivery.body,
        attempt=_number(attempt, 1) + _number(redelivered, 0),
    )


def _number(value: object, default: int) -> int:
    return value if isinstance(value, int) else default


def _retry_name(queue: str, delay: float) -> str:
    return f"{queue}.retry.{int(delay * 1000)}ms"


def _dead_name(queue: str) -> str:
    return f"{queue}.dead"
