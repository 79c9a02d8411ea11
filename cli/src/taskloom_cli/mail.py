"""A mail catcher: takes every mail, delivers none, shows them all."""

import asyncio
import email
import email.policy
import html
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from email.message import EmailMessage
from typing import Any

from aiosmtpd.smtp import SMTP, Envelope
from chassis.clock import rfc3339, utcnow
from chassis.process import run_process
from chassis.roles import run_role
from chassis.settings import ProcessSettings, SettingsGroup, load_settings
from chassis.web.health import Health
from pydantic import Field
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import Route

KEPT = 500
MAX_BYTES = 5 * 1024 * 1024


class MailSettings(SettingsGroup):
    """Where mail comes in."""

    smtp_port: int = Field(
        ge=0, le=65535, validation_alias="SMTP_PORT", description="Port that takes mail.", examples=["1025"]
    )


@dataclass(frozen=True)
class Settings:
    """All groups of the mail catcher."""

    process: ProcessSettings
    mail: MailSettings


class Mailbox:
    """The last 500 mails, in memory."""

    def __init__(self) -> None:
        self._mails: deque[dict[str, Any]] = deque(maxlen=KEPT)
        self._count = 0

    async def handle_DATA(self, _server: SMTP, _session: object, envelope: Envelope) -> str:  # noqa: N802 - aiosmtpd's name
        message = email.message_from_bytes(bytes(envelope.original_content or b""), policy=email.policy.default)
        self._count += 1
        self._mails.appendleft(_summary(self._count, message, envelope.rcpt_tos))
        return "250 kept"

    def all(self) -> list[dict[str, Any]]:
        return list(self._mails)

    def find(self, number: int) -> dict[str, Any] | None:
        return next((mail for mail in self._mails if mail["id"] == number), None)


def load() -> Settings:
    """Read the settings. Raises SettingsError with everything that is wrong."""
    return load_settings(Settings)


def main(_arguments: Sequence[str]) -> int:
    """Run the catcher: SMTP on SMTP_PORT, the page on PORT."""
    return run_role("mail", {"api": catch_mail}, ["api"])


def catch_mail(_arguments: Sequence[str]) -> int:
    """Take mail until told to stop."""
    mailbox = Mailbox()
    settings = load()

    async def take_mail(stop: asyncio.Event) -> None:
        loop = asyncio.get_running_loop()
        server = await loop.create_server(
            lambda: SMTP(mailbox, data_size_limit=MAX_BYTES), settings.process.host, settings.mail.smtp_port
        )
        await stop.wait()
        server.close()

    return run_process(service="mail", settings=settings.process, health=Health(), app=page(mailbox), work=[take_mail])


def page(mailbox: Mailbox) -> Starlette:
    """Return the app that shows the mails."""

    async def index(_request: Request) -> Response:
        rows = "".join(
            f"<tr><td>{mail['received_at']}</td><td>{html.escape(', '.join(mail['to']))}</td>"
            f"<td><a href='/api/messages/{mail['id']}'>{html.escape(mail['subject'])}</a></td></tr>"
            for mail in mailbox.all()
        )
        return HTMLResponse(f"<!doctype html><title>Mail</title><h1>Mail</h1><table>{rows or 'No mail yet.'}</table>")

    async def messages(_request: Request) -> Response:
        return JSONResponse([{**mail, "text": None, "html": None} for mail in mailbox.all()])

    async def message(request: Request) -> Response:
        mail = mailbox.find(int(request.path_params["number"]))
        return JSONResponse(mail, 200 if mail else 404)

    return Starlette(
        routes=[
            Route("/", index),
            Route("/api/messages", messages),
            Route("/api/messages/{number:int}", message),
        ]
    )


def _summary(number: int, message: EmailMessage, recipients: Sequence[str]) -> dict[str, Any]:
    return {
        "id": number,
        "received_at": rfc3339(utcnow()),
        "from": str(message["from"] or ""),
        "to": list(recipients),
        "subject": str(message["subject"] or ""),
        "message_id": str(message["message-id"] or ""),
        "headers": {name.lower(): str(value) for name, value in message.items()},
        "text": _body(message, "plain"),
        "html": _body(message, "html"),
    }


def _body(message: EmailMessage, kind: str) -> str | None:
    part = message.get_body((kind,))
    return None if part is None else str(part.get_content())
