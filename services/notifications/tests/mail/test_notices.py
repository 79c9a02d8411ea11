"""Mail of notifications: what it says, its headers, and what a server's answer does to the channel."""

import asyncio
import email
import email.policy
from dataclasses import replace
from datetime import UTC, datetime
from urllib.parse import parse_qs, urlsplit

import pytest
from chassis.ids import uuid7
from notifications_service.deliveries.drivers import Notice, Outgoing, Person, Postpone, Refused, Sent, TargetGone
from notifications_service.emails.rules import Unsubscription, unseal
from notifications_service.mailing.composing import Uncomposable
from notifications_service.mailing.driver import EmailDriver
from notifications_service.mailing.letterhead import Letterhead, parse_sender
from notifications_service.mailing.notices import compose_notice
from notifications_service.mailing.smtp import SmtpServer

LETTERHEAD = Letterhead(parse_sender("Taskloom <no-reply@tasks.example>"), "https://api.example", "https://app.example")
THEN = datetime(2026, 11, 26, 9, 5, tzinfo=UTC)


def notice(**changed):
    known = {"kind": "assigned", "text": "Ann assigned TL-7 Buy milk to you", "key": "TL-7", "title": "Buy milk"}
    return Notice(**{"id": uuid7(), "created_at": THEN, "task_id": uuid7(), "actor": "Ann", **known, **changed})


def outgoing(*notices, digest=False, rest=0, address="bob@example.com", **person):
    told = notices or (notice(excerpt="with <b>cream</b>", link="https://api.example/api/v1/tasks/TL-7"),)
    return Outgoing(
        delivery_id=uuid7(),
        channel="email",
        attempts=1,
        notification_id=None if digest else told[0].id,
        digest_id=uuid7() if digest else None,
        notices=told,
        person=Person(uuid7(), "Bob", address, None, **{"timezone": "Europe/Berlin", **person}),
        rest=rest,
    )


@pytest.fixture
def composed(ring_of):
    def composed(message):
        raw, recipient = compose_notice(message, letterhead=LETTERHEAD, ring=ring_of)
        assert recipient == message.person.address
        assert all(len(line) <= 998 for line in raw.split(b"\r\n"))
        return email.message_from_bytes(raw, policy=email.policy.default)

    return composed


def parts(mail):
    return [mail.get_body((kind,)).get_content().replace("\r\n", "\n") for kind in ("plain", "html")]


def link_of(mail):
    return mail["List-Unsubscribe"].removeprefix("<").removesuffix(">")


def subject_of(link, ring):
    return unseal(ring, parse_qs(urlsplit(link).query)["token"][0])


def test_k3_the_headers_of_a_notification(composed, ring_of):
    message = outgoing()
    mail = composed(message)
    assert mail["Message-ID"] == f"<{message.notification_id}.{message.person.user_id}@tasks.example>"
    assert mail["From"] == "Taskloom <no-reply@tasks.example>"
    assert mail["To"] == "bob@example.com"
    assert mail["Subject"] == "Ann assigned TL-7 Buy milk to you"
    assert mail["Auto-Submitted"] == "auto-generated"
    assert mail["References"] == f"<{message.notice.task_id}.task@tasks.example>"
    assert mail["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
    assert link_of(mail).startswith("https://api.example/api/v1/unsubscribe?token=v1.")
    assert subject_of(link_of(mail), ring_of) == Unsubscription(message.person.user_id, "assigned")
    assert composed(message)["Message-ID"] == mail["Message-ID"]


def test_k3_text_and_html_say_the_same_and_nothing_of_others_becomes_markup(composed):
    text, html = parts(composed(outgoing()))
    assert text.startswith(
        "Hello Bob,\n\nAnn assigned TL-7 Buy milk to you\n\n> with <b>cream</b>\n\nTask: TL-7 Buy milk\n"
    )
    assert "When: 26 November 2026, 10:05 (CET, Europe/Berlin)" in text
    assert "https://api.example/api/v1/tasks/TL-7" in text
    assert "with &lt;b&gt;cream&lt;/b&gt;" in html
    assert "<b>" not in html
    for body in (text, html):
        assert body.count("/api/v1/unsubscribe?token=") == 2


@pytest.mark.parametrize(
    "nasty", ["a\r\nBcc: eve@example.com", "x\u202eevil", "\x00nul\x07", "<script>alert(1)</script>"]
)
def test_k3_no_title_nor_name_writes_headers_or_markup(composed, nasty):
    mail = composed(
        replace(outgoing(notice(text=nasty, title=nasty, excerpt=nasty)), person=Person(uuid7(), nasty, "b@c.de"))
    )
    assert set(mail.keys()) == {
        *("Message-ID", "List-Unsubscribe", "List-Unsubscribe-Post", "References", "Date", "From", "To", "Subject"),
        *("Auto-Submitted", "MIME-Version", "Content-Type"),
    }
    assert "\n" not in mail["Subject"]
    assert "<script>" not in parts(mail)[1]
    assert not {"\u202e", "\x00", "\x07"} & set("".join(parts(mail)))


def test_k3_a_digest_is_grouped_by_task_and_says_how_many_more_there_are(composed, ring_of):
    milk, bread = uuid7(), uuid7()
    told = [
        notice(task_id=milk, text="Ann commented on TL-7 Buy milk", excerpt="soon"),
        notice(task_id=None, key=None, title=None, text="Ann added you to Home"),
        notice(task_id=bread, text="Ann completed TL-8 Bake bread", key="TL-8", title="Bake bread"),
        notice(task_id=milk, text="Ann changed TL-7 Buy milk"),
    ]
    message = outgoing(*told, digest=True, rest=12)
    mail = composed(message)
    assert mail["Message-ID"] == f"<{message.digest_id}.{message.person.user_id}@tasks.example>"
    assert mail["Subject"] == "16 unread notifications"
    assert mail["References"] is None
    assert subject_of(link_of(mail), ring_of).subject == "digest"
    text, html = parts(mail)
    ordered = [
        "TL-7 Buy milk",
        "commented on TL-7",
        "changed TL-7",
        "TL-8 Bake bread",
        "completed TL-8",
        "Other",
        "added you",
    ]
    places = [text.index(one) for one in ordered]
    assert places == sorted(places)
    assert "And 12 more." in text
    assert html.count("<h2") == 3
    assert "No more digests" in html


def test_k3_without_an_address_nothing_is_composed(composed):
    with pytest.raises(Uncomposable, match="no_address"):
        composed(outgoing(address=None))


@pytest.fixture
def driver_to(ring_of):
    return lambda server, seconds=5.0: EmailDriver(
        SmtpServer("127.0.0.1", server.port, seconds=seconds), LETTERHEAD, ring_of
    )


async def test_k3_the_driver_hands_it_over_and_says_what_it_is_called(mail_server, driver_to):
    message = outgoing()
    sent = await driver_to(mail_server).send(message)
    (mail,) = mail_server.messages
    assert sent == Sent(mail["Message-ID"])
    assert mail_server.recipients == ["bob@example.com"]
    assert mail["List-Unsubscribe"].startswith("<https://api.example/api/v1/unsubscribe?token=")
    assert "\n" not in mail["List-Unsubscribe"]


@pytest.mark.parametrize(
    ("answer", "at_data", "outcome", "reason"),
    [
        ("550 5.1.1 no such mailbox", False, TargetGone, "recipient_550"),
        ("450 4.2.1 later", False, Postpone, "recipient_450"),
        ("554 5.7.1 we do not relay", False, Postpone, "recipient_554"),
        ("554 5.6.0 looks like spam", True, Refused, "data_554"),
        ("451 4.3.0 later", True, Postpone, "data_451"),
    ],
)
async def test_k3_what_a_server_answers_is_of_the_address_or_of_the_mail(
    mail_server, driver_to, answer, at_data, outcome, reason
):
    async def say(_server):
        return answer

    setattr(mail_server, "on_data" if at_data else "on_recipient", say)
    with pytest.raises(outcome) as caught:
        await driver_to(mail_server).send(outgoing())
    assert (type(caught.value), caught.value.reason) == (outcome, reason)


async def test_k3_a_server_that_hangs_is_tried_later(mail_server, driver_to):
    async def hang(_server):
        await asyncio.sleep(60)
        return "250 OK"

    mail_server.on_data = hang
    with pytest.raises(Postpone):
        await driver_to(mail_server, seconds=0.3).send(outgoing())


def test_k3_what_is_recorded_has_no_link_that_works(ring_of, mail_server, driver_to):
    shown = driver_to(mail_server).render(outgoing())
    assert shown["subject"] == "Ann assigned TL-7 Buy milk to you"
    assert "unsubscribe" not in str(shown)
