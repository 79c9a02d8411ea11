"""The mail catcher: takes what the notifications service sends, and shows it."""

import asyncio
from datetime import timedelta
from types import SimpleNamespace

import httpx2
import pytest
from aiosmtpd.smtp import SMTP
from chassis.clock import utcnow
from chassis.ids import uuid7
from chassis.sealing import KeyRing
from notifications_service.account_mail.rules import token_place
from notifications_service.mailing.letterhead import Letterhead, parse_sender
from notifications_service.mailing.sender import SmtpMailer
from notifications_service.mailing.smtp import SmtpServer
from taskloom_cli.environment import Passwords, Ports, process_environments
from taskloom_cli.mail import Mailbox, page

RING = KeyRing({"k1": b"k" * 32})


@pytest.fixture
async def catcher():
    """A mailer to a mailbox, and a client of its page."""
    mailbox = Mailbox()
    server = await asyncio.get_running_loop().create_server(lambda: SMTP(mailbox), "127.0.0.1", 0)
    letterhead = Letterhead(parse_sender("Taskloom <no-reply@localhost>"), "http://api", "http://api/api/v1/auth")
    goal = SmtpServer("127.0.0.1", server.sockets[0].getsockname()[1])
    async with httpx2.AsyncClient(transport=httpx2.ASGITransport(page(mailbox)), base_url="http://mail") as client:
        yield SmtpMailer(goal, letterhead, RING), client
    server.close()
    await server.wait_closed()


async def test_a_mail_that_was_sent_is_shown_with_its_text_and_its_html(catcher):
    mailer, client = catcher
    mail_id = uuid7()
    mail = {
        "id": mail_id,
        "kind": "verify_email",
        "recipient": "ada@example.com",
        "display_name": "Zoë <Ada>",
        "timezone": "Europe/Berlin",
        "token_sealed": RING.seal(b"a-token", place=token_place(mail_id)),
        "expires_at": utcnow() + timedelta(days=1),
        "requested_at": utcnow(),
        "details": {},
    }
    await mailer.send(mail)
    (listed,) = (await client.get("/api/messages")).json()
    shown = (await client.get(f"/api/messages/{listed['id']}")).json()
    assert (listed["text"], listed["html"]) == (None, None)
    assert {**listed, "text": shown["text"], "html": shown["html"]} == shown
    assert shown["from"] == "Taskloom <no-reply@localhost>"
    assert shown["to"] == ["ada@example.com"]
    assert shown["subject"] == "Confirm your e-mail address"
    assert shown["message_id"] == shown["headers"]["message-id"] == f"<{mail_id}@localhost>"
    assert "Hello Zoë <Ada>," in shown["text"]
    assert "\nhttp://api/api/v1/auth/verify-email?token=a-token\n" in shown["text"].replace("\r\n", "\n")
    assert 'href="http://api/api/v1/auth/verify-email?token=a-token"' in shown["html"]
    assert "Zoë &lt;Ada&gt;" in shown["html"]
    assert (await client.get("/api/messages/2")).status_code == 404


@pytest.fixture
def environments(tmp_path, monkeypatch):
    for name in ("SMTP_URL", "PUBLIC_BASE_URL", "MAIL_SEALING_KEYS", "HOST"):
        monkeypatch.delenv(name, raising=False)
    (tmp_path / "secrets").mkdir()
    folder = SimpleNamespace(
        root=tmp_path, secrets=tmp_path / "secrets", files=tmp_path / "files", postgres=tmp_path / "postgres"
    )
    names = ("auth", "tasks", "notifications", "attachments")
    processes = (*names, "gateway", "mail", *(f"{name}-background" for name in names))
    ports = Ports(8080, 2, 3, 1025, 8025, dict.fromkeys(names, 4), dict.fromkeys(processes, 5))
    return process_environments(folder, ports, Passwords("s", dict.fromkeys(names, "p"), "v"))


def test_who_asks_for_mail_and_who_sends_it_share_a_key_that_nobody_else_has(environments):
    keys = {name: given["MAIL_SEALING_KEYS"] for name, given in environments.items() if "MAIL_SEALING_KEYS" in given}
    assert keys.keys() == {
        f"{name}{role}" for name in ("auth", "tasks", "notifications") for role in ("", "-background")
    }
    assert len(set(keys.values())) == 1
    assert environments["auth"]["MAIL_SEALING_KEYS"] != environments["auth"]["AUTH_ENCRYPTION_KEYS"]
    KeyRing.parse(keys["auth"])


def test_mail_leaves_for_the_catcher_and_its_links_lead_to_the_gateway(environments):
    sender = environments["notifications-background"]
    assert sender["SMTP_URL"] == f"smtp://127.0.0.1:{environments['mail']['SMTP_PORT']}"
    assert sender["PUBLIC_BASE_URL"] == "http://127.0.0.1:8080"
