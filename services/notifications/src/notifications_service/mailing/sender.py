"""Sending what waits: claim in one transaction, send outside of any, note the outcome in another."""

import asyncio
import random
from dataclasses import dataclass
from typing import Protocol

import structlog
from chassis.db.engine import Database
from chassis.db.transactions import transaction
from chassis.sealing import KeyRing, SealError
from prometheus_client import Counter
from sqlalchemy import RowMapping

from notifications_service.account_mail import service
from notifications_service.account_mail.rules import LEASE, delay_after, token_place
from notifications_service.mailing.composing import KINDS, Uncomposable, compose
from notifications_service.mailing.letterhead import Letterhead
from notifications_service.mailing.smtp import SmtpServer, Undelivered
from notifications_service.sending.rounds import Lane, Note, Rounds, note_until

log = structlog.get_logger()

MAILS = Counter("taskloom_mails_total", "Mails by kind and by how an attempt to send went.", ["kind", "outcome"])

AT_ONCE = 8
POLL_SECONDS = 2.0


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
        self._rounds = Rounds(database, channel=service.CHANNEL, poll_seconds=poll_seconds, subject="mail")

    async def run(self, stop: asyncio.Event) -> None:
        """Send until `stop` is set, and finish what is under way. Trouble with the database is waited out."""
        if self._mailer is None:
            log.warning("mail.no_server", hint="mails wait until SMTP_URL is set")
        await self._rounds.run(stop, [Lane(self._send_due)])

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
        """Write an outcome down, trying again while the lease lasts."""
        kept = await note_until(self._database, note, seconds=LEASE.total_seconds() / 2, subject="mail")
        _count(mail, outcome)
        about = {"mail_id": str(mail["id"]), "kind": mail["kind"], "attempts": mail["attempts"], "outcome": outcome}
        report = {"sent": log.info, "postponed": log.warning, "failed": log.error}[outcome]
        report("mail.settled", **about, noted=kept, **fields)


def _count(mail: RowMapping, outcome: str) -> None:
    # Whatever an event calls its kind must not become a metric of its own.
    MAILS.labels(mail["kind"] if mail["kind"] in KINDS else "unknown", outcome).inc()
