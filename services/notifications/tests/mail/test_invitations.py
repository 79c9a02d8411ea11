"""N3: the mail of an invitation, from the event to the mail server, and nothing of strangers' names becomes a link."""

import re

import pytest
from chassis.broker.consumer import ConsumerRunner
from chassis.broker.port import Message
from chassis.broker.streams import StreamsTransport
from chassis.clock import utcnow
from chassis.db.base import table_of
from chassis.ids import uuid7
from notifications_service.account_mail.consumers import ACCOUNT_MAIL, on_account_mail
from notifications_service.account_mail.rules import token_place
from notifications_service.db import Inbox
from notifications_service.mailing.composing import compose
from notifications_service.mailing.letterhead import Letterhead, parse_sender
from testkit.waiting import eventually

SENDER = parse_sender("Taskloom <no-reply@tasks.example>")


@pytest.fixture
def take(database, valkey_url):
    runner = ConsumerRunner(database, table_of(Inbox), StreamsTransport(valkey_url, prefix="unused"), on_account_mail)

    async def take(event):
        await runner.handle(Message(str(event.event_id), event.type, str(event.stream_id), event.to_json()))

    return take


def as_row(event, **changed):
    resource = event.data["resource"]
    now = utcnow()
    row = {**resource, "recipient": resource["to"], "requested_at": now, "expires_at": now}
    return {**row, **changed}


def parts_of(message):
    return [part.get_content() for part in message.iter_parts()]


async def test_n3_an_invitation_leaves_with_a_link_and_who_invites_to_what(
    invitation_mail, take, post, mail_server, sending, ring_of
):
    mail_id, to = uuid7(), f"{uuid7().hex}@example.com"
    resource = invitation_mail.data["resource"]
    sealed = ring_of.seal(b"a-token+of/a link", place=token_place(mail_id))
    resource |= {
        "id": str(mail_id),
        "user_id": str(uuid7()),
        "to": to,
        "token_sealed": sealed,
        "expires_at": "2099-01-01T00:00:00Z",
        "details": {"workspace": "<Team> https://evil.example", "invited_by": "Ada www.evil.example", "role": "guest"},
    }
    event = invitation_mail.model_copy(update={"event_id": uuid7()})
    assert event.type in ACCOUNT_MAIL.patterns
    await take(event)
    async with sending(mail_server):

        async def come():
            return mail_server.to(to)

        (message,) = await eventually(come)
    text, html = parts_of(message)
    assert message["subject"] == "You are invited to a workspace"
    assert "evil.example" not in str(message["subject"])
    link = "https://api.example/api/v1/invitations/link?token=a-token%2Bof%2Fa%20link"
    assert f"\n{link}\n" in text.replace("\r\n", "\n")
    assert html.count(f'href="{link}"') == 2
    request = ("POST https://api.example/api/v1/invitations/accept", "Authorization: Bearer …", "Content-Type: ")
    assert "\n".join(request) in text.replace("\r\n", "\n")
    assert '{"token": "a-token+of/a link"}' in text
    for shown in (text, html):
        assert re.findall(r"https?://[^/\s\"<]+", shown.replace("https://api.example", "")) == []
        assert "evil.example" not in shown
        assert "evil[.]example" in shown
        assert "guest" in shown
    assert "<Team>" not in html
    assert (await post.row(mail_id))["token_sealed"] is None


async def test_n3_who_has_gone_invites_nobody_any_more(invitation_mail, take, post, deletion_of):
    inviter, mail_id = uuid7(), uuid7()
    invitation_mail.data["resource"] |= {"id": str(mail_id), "user_id": str(inviter)}
    await take(invitation_mail.model_copy(update={"event_id": uuid7()}))
    assert await post.state(mail_id) == "waiting"
    await take(deletion_of(inviter))
    with pytest.raises(Exception, match="No row"):
        await post.row(mail_id)


@pytest.mark.parametrize(
    ("pages", "begin"),
    [
        (None, "https://api.example/api/v1/invitations/link?token=t"),
        ("https://app.example/join", "https://app.example/join/accept?token=t"),
    ],
)
def test_n3_links_begin_with_the_setting(invitation_mail, pages, begin):
    letterhead = Letterhead(SENDER, "https://api.example", "https://app.example/account", pages)
    content, _ = compose(as_row(invitation_mail), letterhead=letterhead, token="t")
    assert begin in content.decode().replace("=\r\n", "").replace("=3D", "=")
