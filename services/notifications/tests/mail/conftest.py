"""A mail server that does as it is told, and everything on the way of a mail from an event to it."""

import asyncio
import email
import email.policy
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from email.message import EmailMessage
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from aiosmtpd.smtp import SMTP, Envelope, Session
from chassis.clock import utcnow
from chassis.db.engine import Database
from chassis.db.transactions import transaction
from chassis.ids import uuid7
from chassis.outbox.envelope import EventEnvelope
from chassis.sealing import KeyRing
from notifications_service.account_mail.rules import token_place
from notifications_service.account_mail.schemas import AccountMail
from notifications_service.account_mail.service import keep_mail
from notifications_service.mailing.letterhead import Letterhead, parse_sender
from notifications_service.mailing.sender import MailSender, SmtpMailer
from notifications_service.mailing.smtp import SmtpServer
from sqlalchemy import text

INVITATIONS = Path(__file__).parents[4] / "contracts" / "events" / "tasks" / "invitation_mail.requested.v1"
CONTRACT = Path(__file__).parents[4] / "contracts" / "events" / "auth" / "account_mail.requested.v1"
RING = KeyRing({"m1": b"k" * 32})
TOKEN = "a-token+of/a link"
LETTERHEAD = Letterhead(
    parse_sender("Taskloom <no-reply@tasks.example>"), "https://api.example", "https://app.example/#"
)

Answer = Callable[[SMTP], Awaitable[str]]


async def yes(_server: SMTP) -> str:
    return "250 OK"


@dataclass
class MailServer:
    """A real SMTP server; `on_recipient` and `on_data` are what it answers, or does instead."""

    port: int = 0
    on_recipient: Answer = yes
    on_data: Answer = yes
    on_quit: Answer | None = None
    messages: list[EmailMessage] = field(default_factory=list)
    recipients: list[str] = field(default_factory=list)

    def to(self, address: str) -> list[EmailMessage]:
        return [one for one in self.messages if str(one["to"]) == address]

    async def handle_RCPT(  # noqa: N802 - aiosmtpd's name and signature
        self, server: SMTP, _session: Session, envelope: Envelope, address: str, _options: list[str]
    ) -> str:
        answer = await self.on_recipient(server)
        self.recipients.append(address)
        envelope.rcpt_tos.append(address)
        return answer

    async def handle_DATA(self, server: SMTP, _session: Session, envelope: Envelope) -> str:  # noqa: N802 - same
        answer = await self.on_data(server)
        if answer.startswith("250"):
            content = bytes(envelope.original_content or b"")
            self.messages.append(email.message_from_bytes(content, policy=email.policy.default))
        return answer

    async def handle_QUIT(self, server: SMTP, _session: Session, _envelope: Envelope) -> str:  # noqa: N802 - same
        return await self.on_quit(server) if self.on_quit else "221 Bye"


Serve = Callable[..., AbstractAsyncContextManager[MailServer]]


@pytest.fixture(scope="session")
def serve_mail() -> Serve:
    """Starts a mail server; `options` are aiosmtpd's, `tls` makes it speak TLS from the start."""

    @asynccontextmanager
    async def serve(*, tls: Any = None, **options: Any) -> AsyncIterator[MailServer]:
        found = MailServer()

        talks: list[SMTP] = []

        def converse() -> SMTP:
            talks.append(SMTP(found, hostname="mail.example", **options))
            return talks[-1]

        server = await asyncio.get_running_loop().create_server(converse, "127.0.0.1", 0, ssl=tls)
        found.port = server.sockets[0].getsockname()[1]
        yield found
        server.close()
        for talk in talks:
            if talk.transport is not None:
                talk.transport.abort()
        await server.wait_closed()

    return serve


@pytest.fixture
async def mail_server(serve_mail: Serve) -> AsyncIterator[MailServer]:
    async with serve_mail() as found:
        yield found


def mail(**changed: Any) -> AccountMail:
    """A mail with a link, as a request for it says."""
    mail_id = uuid7()
    values: dict[str, Any] = {
        "id": mail_id,
        "user_id": uuid7(),
        "kind": "reset_password",
        "to": f"{mail_id.hex}@example.com",
        "display_name": "Ada",
        "locale": None,
        "timezone": "Europe/Berlin",
        "token_sealed": RING.seal(TOKEN.encode(), place=token_place(mail_id)),
        "expires_at": utcnow() + timedelta(minutes=10),
        "details": {"device": "Firefox on Linux"},
        "requested_at": utcnow(),
    }
    return AccountMail(**{**values, **changed})


def requested(one: AccountMail) -> EventEnvelope:
    """The event that asks for a mail."""
    resource = json.loads(one.model_dump_json())
    data = {"entity_type": "account_mail", "entity_id": str(one.id), "version": 1, "actor": None, "changes": []}
    return EventEnvelope(
        event_id=uuid7(),
        type="account_mail.requested.v1",
        source="/taskloom/auth",
        subject=one.id,
        occurred_at=utcnow(),
        stream_id=one.id,
        sequence=1,
        data={**data, "audience": [str(one.user_id)], "request_id": "request-of-mail", "resource": resource},
    )


@dataclass
class Post:
    """The table of mails, seen from outside."""

    database: Database
    new: Callable[..., AccountMail] = mail
    event: Callable[[AccountMail], EventEnvelope] = requested

    async def put(self, **changed: Any) -> AccountMail:
        """Note down a mail, as the consumer does."""
        one = mail(**changed)
        async with transaction(self.database) as session:
            await keep_mail(session, mail=one)
        return one

    async def row(self, mail_id: UUID) -> dict[str, Any]:
        query = text("SELECT * FROM notifications.mail_delivery WHERE id = :id").bindparams(id=mail_id)
        async with self.database.writer.connect() as connection:
            return dict((await connection.execute(query)).mappings().one())

    async def state(self, mail_id: UUID) -> str:
        return str((await self.row(mail_id))["state"])

    async def alter(self, mail_id: UUID, assignments: str) -> None:
        statement = f"UPDATE notifications.mail_delivery SET {assignments} WHERE id = :id"  # noqa: S608 - of tests
        async with self.database.writer.begin() as connection:
            await connection.execute(text(statement), {"id": mail_id})

    async def waits_about(self, mail_id: UUID, seconds: float) -> bool:
        """Tell whether a mail waits for its next attempt as long as it should: a fifth more or less."""
        row = await self.row(mail_id)
        wait = (row["next_attempt_at"] - utcnow()).total_seconds()
        return bool(row["state"] == "waiting" and seconds * 0.8 - 3 <= wait <= seconds * 1.2)


@pytest.fixture
async def post(database: Database) -> Post:
    async with database.writer.begin() as connection:
        await connection.execute(text("TRUNCATE notifications.mail_delivery"))
    return Post(database)


Sending = Callable[..., AbstractAsyncContextManager[None]]


@pytest.fixture
def sending(database: Database) -> Sending:
    """Runs senders of mail to a server, and lets them finish at the end."""

    @asynccontextmanager
    async def sending(
        server: MailServer | None, *, senders: int = 1, on: Database = database, poll: float = 0.1, **options: Any
    ) -> AsyncIterator[None]:
        stop = asyncio.Event()
        goal = None if server is None else SmtpServer("127.0.0.1", server.port, seconds=options.get("seconds", 5.0))
        mailer = None if goal is None else SmtpMailer(goal, LETTERHEAD, options.get("ring", RING))
        found = [MailSender(on, mailer, poll_seconds=poll) for _ in range(senders)]
        running = [asyncio.create_task(one.run(stop)) for one in found]
        yield
        stop.set()
        await asyncio.gather(*running)

    return sending


@pytest.fixture(scope="session")
def schema_of_kinds() -> list[str]:
    """The kinds of mail that the producers' contracts name."""
    schema = json.loads(CONTRACT.with_name(f"{CONTRACT.name}.schema.json").read_bytes())
    invitations = json.loads(INVITATIONS.with_name(f"{INVITATIONS.name}.schema.json").read_bytes())
    resource = invitations["properties"]["data"]["properties"]["resource"]
    return [*schema["$defs"]["MailKind"]["enum"], resource["properties"]["kind"]["const"]]


@pytest.fixture
def invitation_mail() -> EventEnvelope:
    """The example of a request for an invitation's mail."""
    return EventEnvelope.from_json(INVITATIONS.with_name(f"{INVITATIONS.name}.example.json").read_bytes())


@pytest.fixture(scope="session")
def ring_of() -> KeyRing:
    """The keys that the sender opens tokens with."""
    return RING


@pytest.fixture(scope="session")
def contract_path() -> Path:
    """The contract of the event, without the ends of its two files."""
    return CONTRACT


@pytest.fixture(scope="session")
def deletion_of() -> Callable[[UUID], EventEnvelope]:
    """The event that an account is gone."""

    def deletion_of(user_id: UUID) -> EventEnvelope:
        data = {"entity_type": "user", "entity_id": str(user_id), "version": 9, "actor": None, "changes": []}
        return EventEnvelope(
            event_id=uuid7(),
            type="user.deleted.v1",
            source="/taskloom/auth",
            subject=user_id,
            occurred_at=utcnow(),
            stream_id=user_id,
            sequence=9,
            data={**data, "audience": [str(user_id)], "request_id": "request-of-end", "resource": {"id": str(user_id)}},
        )

    return deletion_of
