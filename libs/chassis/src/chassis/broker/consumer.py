"""Consumers: claim, work, commit, then acknowledge (R48, R49)."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

import structlog
from opentelemetry.trace import SpanKind
from prometheus_client import Counter, Histogram
from pydantic import ValidationError
from sqlalchemy import Table
from sqlalchemy.ext.asyncio import AsyncSession

from chassis.broker.batching import BATCH, Batches
from chassis.broker.port import EventTransport, Message, Queue, Reject, Retry
from chassis.context import RequestContext, bind_request
from chassis.db.engine import Database
from chassis.db.transactions import transaction
from chassis.inbox.claiming import claim, claim_all
from chassis.outbox.envelope import EventEnvelope
from chassis.telemetry.tracing import (
    new_traceparent,
    request_span,
    trace_id_of,
    traceparent_of_span,
    valid_traceparent,
)

log = structlog.get_logger()

HANDLED = Counter("taskloom_messages_total", "Messages by outcome.", ["queue", "outcome"])
SECONDS = Histogram("taskloom_message_seconds", "Time to handle a message, in seconds.", ["queue"])

HANDLER_SECONDS = 20.0
PREFETCH = BATCH
"""Fewer than a batch would be none that is full: each would wait until it is time."""
AFTER_COMMIT = "after_commit"

EventHandler = Callable[[EventEnvelope, AsyncSession], Awaitable[None]]
BatchHandler = Callable[[Sequence[EventEnvelope], AsyncSession], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Consumer:
    """A handler with its queue; made by the decorator `consumer` and listed in the service's worker.

    With `handle_all`, what waits is handled in batches of up to 32, each in one transaction; one that fails is handled
    event by event. Between the beginnings of two batches that are not full are `gather_seconds` or more.
    """

    queue: Queue
    handle: EventHandler
    sources: frozenset[str] | None = None
    handle_all: BatchHandler | None = None
    gather_seconds: float = 0.0

    def takes(self, event: EventEnvelope) -> bool:
        """Tell whether an event is from a service whose events are taken; with None they are from all."""
        return self.sources is None or event.source in self.sources


def consumer(
    *, queue: str, types: Sequence[str], sources: Sequence[str] | None = None
) -> Callable[[EventHandler], Consumer]:
    """Declare a consumer: `queue` is `<service>.<subject>`, `types` are topic patterns such as `task.*.v1`.

    Where two services tell of the same event under one id, `sources` says whose telling counts. Another one is passed
    over, and does not make the id known.
    """

    def declare(handler: EventHandler) -> Consumer:
        return Consumer(Queue(queue, tuple(types)), handler, None if sources is None else frozenset(sources))

    return declare


def batch_consumer(
    *, queue: str, types: Sequence[str], sources: Sequence[str] | None = None, gather_seconds: float = 0.0
) -> Callable[[BatchHandler], Consumer]:
    """Declare a consumer that takes many events at once, those of one key among them, in whatever order they come.

    While many come, more of them come together where batches wait for `gather_seconds` after each other.
    """

    def declare(handler: BatchHandler) -> Consumer:
        async def handle(event: EventEnvelope, session: AsyncSession) -> None:
            await handler([event], session)

        taken = None if sources is None else frozenset(sources)
        return Consumer(Queue(queue, tuple(types), ordered=False), handle, taken, handler, gather_seconds)

    return declare


def after_commit(session: AsyncSession, action: Callable[[], Awaitable[None]]) -> None:
    """Run `action` once the message's transaction is committed. Best effort: it is lost with the process."""
    session.info.setdefault(AFTER_COMMIT, []).append(action)


class NotAsOne(Exception):
    """Some events are not for one transaction: the same one is there twice, or one is not for this consumer."""


class ConsumerRunner:
    """Feeds one consumer from the transport, with an inbox row and one transaction a message."""

    def __init__(self, database: Database, inbox: Table, transport: EventTransport, consumer: Consumer) -> None:
        self._database = database
        self._inbox = inbox
        self._transport = transport
        self._consumer = consumer
        self._queue = consumer.queue
        self._batches = Batches(self._work_on_all, self._work, gather_seconds=consumer.gather_seconds)

    async def run(self, stop: asyncio.Event) -> None:
        """Consume until `stop` is set or we are cancelled, then finish what is in flight."""
        await self._declare(stop)
        consuming = asyncio.create_task(self._transport.consume(self._queue, self.handle, prefetch=PREFETCH))
        stopping = asyncio.create_task(stop.wait())
        try:
            await asyncio.wait([consuming, stopping], return_when=asyncio.FIRST_COMPLETED)
        finally:
            stopping.cancel()
            consuming.cancel()
            await asyncio.wait([consuming, stopping])
        if not consuming.cancelled() and (error := consuming.exception()):
            raise error

    async def _declare(self, stop: asyncio.Event) -> None:
        while not stop.is_set():
            try:
                await self._transport.declare(self._queue)
            except Exception as error:  # noqa: BLE001 - whatever keeps the broker from answering, we wait for it
                log.warning("broker.unavailable", queue=self._queue.name, reason=type(error).__name__)
                await asyncio.sleep(1)
            else:
                return

    async def handle(self, message: Message) -> None:
        """Handle one delivery. Raises Reject for what is no event of ours, Retry for any other failure."""
        event = self._read(message)
        span = request_span(f"{self._queue.name} {event.type}", kind=SpanKind.CONSUMER, traceparent=event.traceparent)
        with SECONDS.labels(self._queue.name).time(), span:
            self._bind(event)
            try:
                work = self._work if self._consumer.handle_all is None else self._batches.work
                outcome = await asyncio.wait_for(work(event), HANDLER_SECONDS)
            except ValidationError as error:
                self._count("rejected")
                raise Reject(f"schema: {error.error_count()} errors in {error.title}") from None
            except Exception as error:
                self._count("failed")
                log.exception("message.failed", type=event.type, event_id=str(event.event_id), attempt=message.attempt)
                raise Retry(type(error).__name__) from error
            log.info("message.settled", type=event.type, event_id=str(event.event_id), outcome=outcome)
        self._count(outcome)

    async def _work(self, event: EventEnvelope) -> str:
        if not self._consumer.takes(event):
            return "passed_over"
        async with transaction(self._database) as session:
            name = self._queue.name
            if not await claim(session, self._inbox, consumer=name, event_id=event.event_id):
                return "duplicate"
            await self._consumer.handle(event, session)
            actions: list[Callable[[], Awaitable[None]]] = session.info.get(AFTER_COMMIT, [])
        for action in actions:
            await self._attempt(action)
        return "handled"

    async def _work_on_all(self, events: Sequence[EventEnvelope]) -> Sequence[str]:
        """Handle events in one transaction, each that is new once; return what became of each."""
        handle = self._consumer.handle_all
        taken = {one.event_id: one for one in events if self._consumer.takes(one)}
        if handle is None or len(taken) < len(events):
            raise NotAsOne
        async with transaction(self._database) as session:
            new = await claim_all(session, self._inbox, consumer=self._queue.name, event_ids=taken)
            if new:
                await handle([one for name, one in taken.items() if name in new], session)
            actions: list[Callable[[], Awaitable[None]]] = session.info.get(AFTER_COMMIT, [])
        for action in actions:
            await self._attempt(action)
        return ["handled" if one.event_id in new else "duplicate" for one in events]

    async def _attempt(self, action: Callable[[], Awaitable[None]]) -> None:
        try:
            await action()
        except Exception as error:  # noqa: BLE001 - best effort by contract; the effect itself is committed
            log.warning("message.after_commit_failed", queue=self._queue.name, reason=type(error).__name__)

    def _read(self, message: Message) -> EventEnvelope:
        try:
            return EventEnvelope.from_json(message.body)
        except ValueError as error:
            self._count("rejected")
            raise Reject(f"not an event: {type(error).__name__}") from None

    def _bind(self, event: EventEnvelope) -> None:
        traceparent = traceparent_of_span() or valid_traceparent(event.traceparent) or new_traceparent()
        request_id = str(event.data.get("request_id") or event.event_id)
        bind_request(RequestContext(request_id, traceparent))
        structlog.contextvars.clear_contextvars()
        structlog.contextvars.bind_contextvars(  # noqa: TID251 - cleared before the next message
            request_id=request_id, trace_id=trace_id_of(traceparent), queue=self._queue.name
        )

    def _count(self, outcome: str) -> None:
        HANDLED.labels(self._queue.name, outcome).inc()
