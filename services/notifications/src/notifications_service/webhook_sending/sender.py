"""Sending what waits: claim in one transaction, send outside of any, note the outcome in another."""

import asyncio
import random
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any

import structlog
from chassis.clock import utcnow
from chassis.cursors import CursorSigner
from chassis.db.engine import Database
from chassis.db.failures import is_outage
from chassis.db.transactions import transaction
from chassis.egress.client import Answer, Blocked, Egress, Unanswered
from chassis.sealing import KeyRing, SealError
from prometheus_client import Counter, Gauge
from sqlalchemy.ext.asyncio import AsyncSession

from notifications_service.sending.answers import retry_after
from notifications_service.sending.rounds import Begun, Rounds, Slots, note_until
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
BROKEN = "broken"
"""Why an attempt fails in which our own code did."""

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
        self._slots = Slots(AT_ONCE, self._take)
        self._rounds = Rounds(database, channel=repository.CHANNEL, poll_seconds=poll_seconds, subject="webhook")

    async def run(self, stop: asyncio.Event) -> None:
        """Send until `stop` is set, and finish what is under way. Trouble with the database is waited out."""
        try:
            await self._rounds.run(stop, [self._slots.lane])
        finally:
            await self._slots.finish()
            await self._egress.close()

    async def send_due(self) -> int:
        """Send what is due now, and wait for the outcome; return how much there was."""
        pieces, _ = await self._take(AT_ONCE)
        await asyncio.gather(*pieces)
        return len(pieces)

    async def _take(self, room: int) -> Begun:
        now = self._clock() if self._clock else None
        async with transaction(self._database) as session:
            ready = await repository.hold_ready(session, limit=room, now=now)
            claimed = await repository.claim(session, ready, limit=room, now=now) if ready else []
        messages = await self._composed(claimed) if claimed else []
        pieces = [self._deliver(delivery, message) for delivery, message in zip(claimed, messages, strict=True)]
        return pieces, bool(pieces)

    async def _composed(self, claimed: Sequence[Row]) -> list[Message]:
        """Compose messages together, or, where that fails, each by itself: one that breaks our own code fails alone."""
        try:
            async with self._database.primary.connect() as reader:
                return await compose(reader, claimed, self._signer)
        except Exception as error:
            if is_outage(error):
                raise
            if len(claimed) == 1:
                log.exception("webhook.broken", delivery_id=str(claimed[0]["id"]))
                return [Message(is_broken=True)]
        return [message for one in claimed for message in await self._composed([one])]

    async def _deliver(self, delivery: Row, message: Message) -> None:
        """Make one attempt; whatever goes wrong with it is its own affair."""
        if message.missing is not None:
            await self._note(delivery, None, message.missing)
            return
        if message.is_broken:
            outcome = self._outcome(delivery, None, BROKEN, at=self._now(), ms=0)
        else:
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
            reason = BROKEN
        ms = round((clock.time() - begun) * 1000)
        return self._outcome(delivery, answer, reason, at=at, ms=ms)

    def _outcome(self, delivery: Row, answer: Answer | None, reason: str | None, *, at: datetime, ms: int) -> Outcome:
        status = None if answer is None else answer.status
        wish = answer and asked_to_wait(answer.status, retry_after(answer.headers, now=at))
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
        """Write an outcome down, trying again while the lease lasts."""

        async def note(session: AsyncSession) -> bool:
            if outcome is None:
                return await service.note_cancelled(session, delivery=delivery, reason=reason or "cancelled")
            return await service.note(session, delivery=delivery, outcome=outcome)

        kept = await note_until(self._database, note, seconds=LEASE.total_seconds() / 2, subject="webhook")
        ATTEMPTS.labels(reason or "delivered").inc()
        about = {"delivery_id": str(delivery["id"]), "webhook_id": str(delivery["webhook_id"])}
        log.info("webhook.attempted", **about, attempts=delivery["attempts"], reason=reason, noted=kept)
