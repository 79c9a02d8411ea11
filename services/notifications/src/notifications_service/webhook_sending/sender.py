"""Sending what waits: claim in one transaction, send outside of any, note the outcome in another."""

import asyncio
import random
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from datetime import datetime
from typing import Any

import asyncpg
import structlog
from chassis.clock import utcnow
from chassis.cursors import CursorSigner
from chassis.db.engine import Database
from chassis.db.transactions import transaction
from chassis.egress.client import Answer, Blocked, Egress, Unanswered
from chassis.sealing import KeyRing, SealError
from prometheus_client import Counter, Gauge
from sqlalchemy.exc import SQLAlchemyError

from notifications_service.webhook_deliveries import repository, service
from notifications_service.webhook_deliveries.rules import (
    LEASE,
    asked_to_wait,
    delay_after,
    excerpt_of,
    reason_of,
)
from notifications_service.webhook_deliveries.service import Outcome
from notifications_service.webhook_sending.messages import Message, compose, headers_of

log = structlog.get_logger()

ATTEMPTS = Counter("taskloom_webhook_attempts_total", "Attempts at webhook deliveries, by how they went.", ["outcome"])
UNDER_WAY = Gauge("taskloom_webhook_requests", "Requests to webhooks that are under way.")

AT_ONCE = 64
POLL_SECONDS = 1.0
PAUSE_SECONDS = 1.0
TROUBLE = (SQLAlchemyError, OSError, asyncpg.PostgresError, asyncpg.InterfaceError)

Row = Mapping[Any, Any]


class WebhookSender:
    """Sends what is due, up to 64 requests at once, of which up to 4 to one webhook; senders may share the work."""

    def __init__(
        self,
        database: Database,
        egress: Egress,
        *,
        ring: KeyRing,
        signer: CursorSigner,
        clock: Callable[[], datetime] | None = None,
        poll_seconds: float = POLL_SECONDS,
    ) -> None:
        self._database = database
        self._egress = egress
        self._ring = ring
        self._signer = signer
        self._clock = clock
        self._poll_seconds = poll_seconds
        self._woken = asyncio.Event()
        self._sending: set[asyncio.Task[None]] = set()

    async def run(self, stop: asyncio.Event) -> None:
        """Send until `stop` is set, and finish what is under way. Trouble with the database is waited out."""
        while not stop.is_set():
            try:
                async with self._listening():
                    while not stop.is_set():
                        self._woken.clear()
                        if not await self._begin_due():
                            await self._wait(stop)
            except TROUBLE as error:
                log.warning("webhook.trouble", reason=type(error).__name__)
                with suppress(TimeoutError):
                    await asyncio.wait_for(stop.wait(), PAUSE_SECONDS)
        if self._sending:
            await asyncio.wait(self._sending)
        await self._egress.close()

    async def send_due(self) -> int:
        """Send what is due now, and wait for the outcome; return how much there was."""
        count = await self._begin_due()
        if self._sending:
            await asyncio.wait(self._sending)
        return count

    async def _wait(self, stop: asyncio.Event) -> None:
        """Wait until woken, until a request is done, or for a poll."""
        waiters = [asyncio.create_task(one.wait()) for one in (stop, self._woken)]
        await asyncio.wait([*waiters, *self._sending], timeout=self._poll_seconds, return_when=asyncio.FIRST_COMPLETED)
        for waiter in waiters:
            waiter.cancel()

    @asynccontextmanager
    async def _listening(self) -> AsyncIterator[None]:
        """Be woken when a delivery comes in."""
        async with self._database.primary.connect() as connection:
            driver = (await connection.get_raw_connection()).driver_connection
            await driver.add_listener(repository.CHANNEL, self._on_notify)  # type: ignore[union-attr] # asyncpg
            try:
                yield
            finally:
                # It would go on listening in the pool.
                with suppress(*TROUBLE):
                    await asyncio.shield(connection.invalidate())

    def _on_notify(self, *_: object) -> None:
        self._woken.set()

    async def _begin_due(self) -> int:
        """Begin to send what is due, as far as there is room; return how much that was."""
        room = AT_ONCE - len(self._sending)
        if room <= 0:
            return 0
        now = self._clock() if self._clock else None
        async with transaction(self._database) as session:
            ready = await repository.hold_ready(session, limit=room, now=now)
            claimed = await repository.claim(session, ready, limit=room, now=now) if ready else []
        if not claimed:
            return 0
        async with self._database.primary.connect() as reader:
            messages = await compose(reader, claimed, self._signer)
        for delivery, message in zip(claimed, messages, strict=True):
            task = asyncio.create_task(self._deliver(delivery, message))
            self._sending.add(task)
            task.add_done_callback(self._sending.discard)
        return len(claimed)

    async def _deliver(self, delivery: Row, message: Message) -> None:
        """Make one attempt; whatever goes wrong with it is its own affair."""
        if message.missing is not None:
            await self._note(delivery, None, message.missing)
            return
        with UNDER_WAY.track_inprogress():
            outcome = await self._attempt(delivery, message.body)
        await self._note(delivery, outcome, outcome.reason)

    async def _attempt(self, delivery: Row, body: bytes) -> Outcome:
        clock, at = asyncio.get_running_loop(), self._now()
        begun = clock.time()
        answer: Answer | None = None
        try:
            headers = headers_of(delivery, body, ring=self._ring, now=at)
            answer = await self._egress.fetch("POST", delivery["webhook_url"], headers=headers, body=body)
            reason = reason_of(answer.status)
        except Blocked:
            reason = "blocked"
        except Unanswered as error:
            reason = error.reason
        except SealError:
            # The right key may be put back; until then it waits like any other that can't leave.
            reason = "sealed"
        except Exception:
            log.exception("webhook.broken", delivery_id=str(delivery["id"]))
            reason = "broken"
        ms = round((clock.time() - begun) * 1000)
        return self._outcome(delivery, answer, reason, at=at, ms=ms)

    def _outcome(self, delivery: Row, answer: Answer | None, reason: str | None, *, at: datetime, ms: int) -> Outcome:
        status = None if answer is None else answer.status
        wish = answer and asked_to_wait(answer.status, answer.headers.get("retry-after"), now=at)
        tries = delivery["attempts"] - delivery["attempts_before"]
        is_last = reason is None or delivery["kind"] == "test"
        return Outcome(
            number=delivery["attempts"],
            at=at,
            ms=ms,
            status=status,
            reason=reason,
            excerpt=None if answer is None else excerpt_of(answer.body),
            delay=None if is_last else delay_after(tries, chance=random.random(), asked=wish or None),
        )

    def _now(self) -> datetime:
        return (self._clock or utcnow)()

    async def _note(self, delivery: Row, outcome: Outcome | None, reason: str | None) -> None:
        """Write an outcome down, trying again while the lease lasts: one that is lost is a request made twice."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + LEASE.total_seconds() / 2
        kept = await self._note_once(delivery, outcome, reason)
        while kept is None and loop.time() < deadline:
            await asyncio.sleep(PAUSE_SECONDS)
            kept = await self._note_once(delivery, outcome, reason)
        ATTEMPTS.labels(reason or "delivered").inc()
        about = {"delivery_id": str(delivery["id"]), "webhook_id": str(delivery["webhook_id"])}
        log.info("webhook.attempted", **about, attempts=delivery["attempts"], reason=reason, noted=bool(kept))

    async def _note_once(self, delivery: Row, outcome: Outcome | None, reason: str | None) -> bool | None:
        try:
            async with transaction(self._database) as session:
                if outcome is None:
                    return await service.note_cancelled(session, delivery=delivery, reason=reason or "cancelled")
                return await service.note(session, delivery=delivery, outcome=outcome)
        except TROUBLE as error:
            log.warning("webhook.trouble", reason=type(error).__name__)
            return None
