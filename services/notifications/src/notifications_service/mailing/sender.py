"""Sending what waits: claim in one transaction, send outside of any, note the outcome in another."""

import asyncio
import random
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Protocol

import asyncpg
import structlog
from chassis.db.engine import Database
from chassis.db.transactions import transaction
from chassis.sealing import KeyRing, SealError
from prometheus_client import Counter
from sqlalchemy import RowMapping
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncSession

from notifications_service.account_mail import service
from notifications_service.account_mail.rules import LEASE, delay_after, token_place
from notifications_service.mailing.composing import KINDS, Uncomposable, compose
from notifications_service.mailing.letterhead import Letterhead
from notifications_service.mailing.smtp import SmtpServer, Undelivered

log = structlog.get_logger()

MAILS = Counter("taskloom_mails_total", "Mails by kind and by how an attempt to send went.", ["kind", "outcome"])

AT_ONCE = 8
POLL_SECONDS = 2.0
PAUSE_SECONDS = 1.0
TROUBLE = (SQLAlchemyError, OSError, asyncpg.PostgresError, asyncpg.InterfaceError)

Note = Callable[[AsyncSession], Awaitable[bool]]


class NoMailServer(Exception):
    """No mail server is set, so mails wait."""


class Mailer(Protocol):
    """What sends one mail. Raises Undelivered or Uncomposable."""

    async def send(self, mail: RowMapping) -> None: ...


@dataclass(frozen=True, slots=True)
class SmtpMailer:
    """Opens the token of a mail, composes it and hands it to a server."""

    server: SmtpServer
    letterhead: Letterhead
    ring: KeyRing

    async def send(self, mail: RowMapping) -> None:
        """Send a mail. Raises Undelivered or Uncomposable."""
        message, recipient = compose(mail, letterhead=self.letterhead, token=self._token(mail))
        await self.server.deliver(message, sender=self.letterhead.sender.addr_spec, recipient=recipient)

    def _token(self, mail: RowMapping) -> str | None:
        sealed = mail["token_sealed"]
        try:
            return None if sealed is None else self.ring.open(sealed, place=token_place(mail["id"])).decode()
        except SealError:
            # The right key may be put back; until then the mail waits like any other that can't leave.
            raise Uncomposable("sealed") from None


async def refuse_without_server() -> None:
    """Be the check that says so where no mail server is set. Raises NoMailServer."""
    raise NoMailServer


class MailSender:
    """Sends mails whose time has come, several at once; any number of senders may share the work.

    Without a mailer mails wait, and only what is of no use any more is given up.
    """

    def __init__(self, database: Database, mailer: Mailer | None, *, poll_seconds: float = POLL_SECONDS) -> None:
        self._database = database
        self._mailer = mailer
        self._poll_seconds = poll_seconds
        self._woken = asyncio.Event()

    async def run(self, stop: asyncio.Event) -> None:
        """Send until `stop` is set, and finish what is under way. Trouble with the database is waited out."""
        if self._mailer is None:
            log.warning("mail.no_server", hint="mails wait until SMTP_URL is set")
        while not stop.is_set():
            try:
                async with self._listening():
                    while not stop.is_set():
                        await self._round(stop)
            except TROUBLE as error:
                log.warning("mail.trouble", reason=type(error).__name__)
                await _wait([stop], PAUSE_SECONDS)

    async def _round(self, stop: asyncio.Event) -> None:
        """Send everything that is due, then sleep until woken or polled."""
        self._woken.clear()
        while await self._send_due() and not stop.is_set():
            pass
        await _wait([stop, self._woken], self._poll_seconds)

    @asynccontextmanager
    async def _listening(self) -> AsyncIterator[None]:
        """Be woken when a mail comes in."""
        async with self._database.primary.connect() as connection:
            driver = (await connection.get_raw_connection()).driver_connection
            await driver.add_listener(service.CHANNEL, self._on_notify)  # type: ignore[union-attr] # asyncpg
            try:
                yield
            finally:
                # It would go on listening in the pool.
                with suppress(*TROUBLE):
                    await asyncio.shield(connection.invalidate())

    def _on_notify(self, *_: object) -> None:
        self._woken.set()

    async def _send_due(self) -> bool:
        """Send one batch; return whether there may be more."""
        mailer = self._mailer
        async with transaction(self._database) as session:
            expired = await service.expire_mails(session)
            claimed = [] if mailer is None else await service.claim_mails(session, limit=AT_ONCE)
        for mail in expired:
            _count(mail, "expired")
            log.warning("mail.expired", mail_id=str(mail["id"]), kind=mail["kind"])
        if mailer is not None:
            await asyncio.gather(*(self._send(mailer, mail) for mail in claimed))
        return bool(claimed)

    async def _send(self, mailer: Mailer, mail: RowMapping) -> None:
        try:
            await mailer.send(mail)
        except (Undelivered, Uncomposable) as error:
            await self._note_failure(mail, error.reason, permanent=error.permanent)
        except Exception:
            # One mail that breaks our own code must not keep the others from leaving.
            log.exception("mail.broken", mail_id=str(mail["id"]), kind=mail["kind"])
            await self._note_failure(mail, "broken", permanent=False)
        else:
            mine = {"mail_id": mail["id"], "claim": mail["claim"]}
            await self._note(mail, "sent", lambda session: service.note_sent(session, **mine))

    async def _note_failure(self, mail: RowMapping, reason: str, *, permanent: bool) -> None:
        mine = {"mail_id": mail["id"], "claim": mail["claim"], "reason": reason}
        delay = None if permanent else delay_after(mail["attempts"], chance=random.random())
        if delay is None:
            await self._note(mail, "failed", lambda session: service.note_failed(session, **mine), reason=reason)
        else:
            postponed = {**mine, "delay": delay}
            await self._note(
                mail, "postponed", lambda session: service.note_postponed(session, **postponed), reason=reason
            )

    async def _note(self, mail: RowMapping, outcome: str, note: Note, **fields: str) -> None:
        """Write an outcome down, trying again while the lease lasts: an outcome that is lost is a mail sent twice."""
        deadline = asyncio.get_running_loop().time() + LEASE.total_seconds() / 2
        kept = await self._attempt(note)
        while kept is None and asyncio.get_running_loop().time() < deadline:
            await asyncio.sleep(PAUSE_SECONDS)
            kept = await self._attempt(note)
        _count(mail, outcome)
        about = {"mail_id": str(mail["id"]), "kind": mail["kind"], "attempts": mail["attempts"], "outcome": outcome}
        report = {"sent": log.info, "postponed": log.warning, "failed": log.error}[outcome]
        report("mail.settled", **about, noted=bool(kept), **fields)

    async def _attempt(self, note: Note) -> bool | None:
        """Return whether an outcome was noted, as False where the claim was lost; None when the database is away."""
        try:
            async with transaction(self._database) as session:
                return await note(session)
        except TROUBLE as error:
            log.warning("mail.trouble", reason=type(error).__name__)
            return None


def _count(mail: RowMapping, outcome: str) -> None:
    # Whatever an event calls its kind must not become a metric of its own.
    MAILS.labels(mail["kind"] if mail["kind"] in KINDS else "unknown", outcome).inc()


async def _wait(events: Sequence[asyncio.Event], seconds: float) -> None:
    """Wait until one of the events is set, or for so long."""
    waiters = [asyncio.create_task(event.wait()) for event in events]
    await asyncio.wait(waiters, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
    for waiter in waiters:
        waiter.cancel()
