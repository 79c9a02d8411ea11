"""Consumers: claim, work, commit, then acknowledge (R48, R49)."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass
from uuid import UUID

import structlog
from opentelemetry.trace import SpanKind
from prometheus_client import Counter, Histogram
from pydantic import ValidationError
from sqlalchemy import Table
from sqlalchemy.ext.asyncio import AsyncSession

from chassis.broker.port import EventTransport, Message, Outcome, Queue, Reject, Retry
from chassis.context import RequestContext, bind_request
from chassis.db.engine import Database
from chassis.db.transactions import transaction
from chassis.inbox.claiming import claim, claim_all
from chassis.outbox.envelope import EventEnvelope
from chassis.telemetry.logs import REQUEST_LINES
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
PREFETCH = 32
AFTER_COMMIT = "after_commit"

EventHandler = Callable[[EventEnvelope, AsyncSession], Awaitable[None]]
BatchHandler = Callable[[Sequence[EventEnvelope], AsyncSession], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Consumer:
    """A handler with its queue; made by the decorator `consumer` and listed in the service's worker.

    With `handle_all`, what waits is handled in batches, each in one transaction; one that fails is handled event by
    event. Between the beginnings of two batches that are not full are `gather_seconds` or more.
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


class ConsumerRunner:
    """Feeds one consumer from the transport, with an inbox row a message, and one transaction a message or a batch."""

    def __init__(
        self,
        database: Database,
        inbox: Table,
        transport: EventTransport,
        consumer: Consumer,
        *,
        handler_seconds: float = HANDLER_SECONDS,
    ) -> None:
        self._database = database
        self._inbox = inbox
        self._transport = transport
        self._consumer = consumer
        self._queue = consumer.queue
        self._handler_seconds = handler_seconds
        self._seconds = SECONDS.labels(self._queue.name)

    async def run(self, stop: asyncio.Event) -> None:
        """Consume until `stop` is set or we are cancelled, then finish what is in flight."""
        await self._declare(stop)
        consuming = asyncio.create_task(self._consume())
        stopping = asyncio.create_task(stop.wait())
        try:
            await asyncio.wait([consuming, stopping], return_when=asyncio.FIRST_COMPLETED)
        finally:
            stopping.cancel()
            consuming.cancel()
            await asyncio.wait([consuming, stopping])
        if not consuming.cancelled() and (error := consuming.exception()):
            raise error

    async def _consume(self) -> None:
        if self._consumer.handle_all is None:
            await self._transport.consume(self._queue, self.handle, prefetch=PREFETCH)
        else:
            gather_seconds = self._consumer.gather_seconds
            await self._transport.consume_together(self._queue, self.handle_together, gather_seconds=gather_seconds)

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
        await self._handle(message, seconds=self._handler_seconds)

    async def handle_together(self, messages: Sequence[Message]) -> Sequence[Outcome]:
        """Handle deliveries in one transaction, or each by itself when that fails; return what is to become of each.

        All of it takes no longer than one delivery may, half of that together: what then is left each has a share of,
        so that one that hangs fails by itself.
        """
        until = time.monotonic() + self._handler_seconds
        if len(messages) > 1 and await self._handle_as_one(messages, seconds=self._handler_seconds / 2):
            return [None] * len(messages)
        outcomes: list[Outcome] = []
        for left, message in zip(range(len(messages), 0, -1), messages, strict=True):
            outcomes.append(await self._outcome_of(message, seconds=(until - time.monotonic()) / left))
        return outcomes

    async def _outcome_of(self, message: Message, *, seconds: float) -> Outcome:
        try:
            await self._handle(message, seconds=seconds)
        except (Retry, Reject) as outcome:
            return outcome
        return None

    async def _handle(self, message: Message, *, seconds: float) -> None:
        event = self._read(message)
        with self._seconds.time(), self._span(event):
            self._bind(event)
            try:
                outcome = await asyncio.wait_for(self._work(event), seconds)
            except ValidationError as error:
                self._count("rejected")
                raise Reject(f"schema: {error.error_count()} errors in {error.title}") from None
            except Exception as error:
                self._count("failed")
                log.exception("message.failed", type=event.type, event_id=str(event.event_id), attempt=message.attempt)
                raise Retry(type(error).__name__) from error
            log.info("message.settled", type=event.type, event_id=str(event.event_id), outcome=outcome)
        self._count(outcome)

    async def _handle_as_one(self, messages: Sequence[Message], *, seconds: float) -> bool:
        """Handle deliveries in one transaction; False when that failed: which of them it was, each by itself tells."""
        began = time.perf_counter()
        structlog.contextvars.clear_contextvars()
        try:
            events = [EventEnvelope.from_json(one.body) for one in messages]
            with ExitStack() as spans:
                for event in events:
                    spans.enter_context(self._span(event))
                outcomes = await asyncio.wait_for(self._work_on_all(events), seconds)
        except Exception as error:  # noqa: BLE001 - which of them it was, each by itself tells
            log.warning("messages.apart", queue=self._queue.name, count=len(messages), reason=type(error).__name__)
            return False
        REQUEST_LINES.write_all("message.settled", map(self._line, events, outcomes))
        took = time.perf_counter() - began
        for outcome in outcomes:
            self._seconds.observe(took)
            self._count(outcome)
        return True

    def _line(self, event: EventEnvelope, outcome: str) -> Mapping[str, str]:
        traceparent = valid_traceparent(event.traceparent) or new_traceparent()
        ids = {"request_id": _request_id_of(event), "trace_id": trace_id_of(traceparent), "queue": self._queue.name}
        return {"type": event.type, "event_id": str(event.event_id), "outcome": outcome, **ids}

    def _span(self, event: EventEnvelope) -> AbstractContextManager[object]:
        name = f"{self._queue.name} {event.type}"
        return request_span(name, kind=SpanKind.CONSUMER, traceparent=event.traceparent)

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
        wanted = {one.event_id: one for one in events if self._consumer.takes(one)}
        new: frozenset[UUID] = frozenset()
        if wanted:
            async with transaction(self._database) as session:
                new = await claim_all(session, self._inbox, consumer=self._queue.name, event_ids=wanted)
                if new and self._consumer.handle_all is not None:
                    await self._consumer.handle_all([one for name, one in wanted.items() if name in new], session)
                actions: list[Callable[[], Awaitable[None]]] = session.info.get(AFTER_COMMIT, [])
            for action in actions:
                await self._attempt(action)
        return self._outcomes(events, new)

    def _outcomes(self, events: Sequence[EventEnvelope], new: Collection[UUID]) -> Sequence[str]:
        """Tell what became of events; one that came twice is handled once."""
        left, outcomes = set(new), []
        for one in events:
            if not self._consumer.takes(one):
                outcomes.append("passed_over")
            elif one.event_id in left:
                left.remove(one.event_id)
                outcomes.append("handled")
            else:
                outcomes.append("duplicate")
        return outcomes

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
        request_id = _request_id_of(event)
        bind_request(RequestContext(request_id, traceparent))
        structlog.contextvars.clear_contextvars()
        structlog.contextvars.bind_contextvars(  # noqa: TID251 - cleared before the next message
            request_id=request_id, trace_id=trace_id_of(traceparent), queue=self._queue.name
        )

    def _count(self, outcome: str) -> None:
        HANDLED.labels(self._queue.name, outcome).inc()


def _request_id_of(event: EventEnvelope) -> str:
    return str(event.data.get("request_id") or event.event_id)
