"""What a mail looks like: every kind in text and HTML, and nothing that a stranger could write into it."""

import email
import email.policy
import json
import re
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

import pytest
from chassis.clock import utcnow
from chassis.ids import uuid7
from notifications_service.account_mail.rules import LINKS
from notifications_service.mailing.composing import KINDS, Uncomposable, compose
from notifications_service.mailing.letterhead import Letterhead, parse_sender

LETTERHEAD = Letterhead(
    parse_sender("Taskloom <no-reply@tasks.example>"), "https://api.example", "https://app.example/account"
)
TOKEN = "abc/+=?&\"'<x>"
SHOWN_TOKEN = "abc%2F%2B%3D%3F%26%22%27%3Cx%3E"


def row(**changed):
    values = {
        "id": uuid7(),
        "kind": "reset_password",
        "recipient": "ada@example.com",
        "display_name": "Ada",
        "timezone": "Europe/Berlin",
        "expires_at": datetime(2026, 7, 1, 9, 10, tzinfo=UTC),
        "requested_at": datetime(2026, 11, 24, 23, 30, tzinfo=UTC),
        "details": {},
    }
    return {**values, **changed}


def composed(token=TOKEN, letterhead=LETTERHEAD, **changed):
    """Return the message, its text and its HTML."""
    wanted = row(**changed)
    content, recipient = compose(wanted, letterhead=letterhead, token=token if wanted["kind"] in LINKS else None)
    assert recipient == "ada@example.com"
    message = email.message_from_bytes(content, policy=email.policy.default)
    assert message.get_content_type() == "multipart/alternative"
    text, html = message.iter_parts()
    assert (text.get_content_type(), html.get_content_type()) == ("text/plain", "text/html")
    return message, text.get_content(), html.get_content()


def test_there_is_a_template_for_each_kind_of_the_contract_and_no_other(schema_of_kinds):
    assert len(schema_of_kinds) >= 24
    assert set(schema_of_kinds) == KINDS
    assert LINKS.keys() <= KINDS


def test_every_kind_has_a_subject_a_text_and_html(schema_of_kinds):
    subjects = set()
    for kind in schema_of_kinds:
        message, text, html = composed(kind=kind, details={"device": "Firefox"})
        subjects.add(message["subject"])
        assert 10 <= len(message["subject"]) <= 60, kind
        for shown in (text, html):
            assert "Ada" in shown, kind
            assert "25 November 2026, 00:30 (CET, Europe/Berlin)" in shown, kind
            assert "Firefox" in shown, kind
            assert ("https://" in shown) == (kind in LINKS), kind
        assert message["subject"] in html, kind
        assert not re.search(r"\n{4}|[ \t]\n", text.replace("\r\n", "\n")), kind
        assert max(len(line) for line in text.splitlines() if "://" not in line and "{" not in line) <= 78, kind
        assert "<img" not in html, kind
        assert "src=" not in html, kind
    assert len(subjects) == len(schema_of_kinds)


def test_headers_say_who_sends_that_a_machine_does_and_which_mail_it_is():
    before = utcnow().replace(microsecond=0)
    wanted = row()
    message, _, _ = composed(id=wanted["id"])
    assert message["message-id"] == f"<{wanted['id']}@tasks.example>"
    assert message["from"] == "Taskloom <no-reply@tasks.example>"
    assert message["to"] == "ada@example.com"
    assert message["auto-submitted"] == "auto-generated"
    assert before <= parsedate_to_datetime(message["date"]) <= utcnow()
    assert composed(id=wanted["id"])[0]["message-id"] == message["message-id"]


@pytest.mark.parametrize(
    ("kind", "path", "body"),
    [
        ("verify_email", "/verify-email", {"token": TOKEN}),
        ("confirm_email_change", "/verify-email", {"token": TOKEN}),
        ("reset_password", "/password/reset", {"token": TOKEN, "password": "the new password"}),
    ],
)
def test_r11_a_link_begins_with_the_setting_and_developers_learn_the_request(kind, path, body):
    _, text, html = composed(kind=kind)
    link = f"https://app.example/account{path}?token={SHOWN_TOKEN}"
    assert f"\n{link}\n" in text.replace("\r\n", "\n")
    assert html.count(f'href="{link}"') == 2
    assert f"POST https://api.example/api/v1/auth{path}" in text
    assert json.loads(re.search(r"^\{.*\}", text, re.MULTILINE)[0]) == body
    assert "until 1 July 2026, 11:10 (CEST, Europe/Berlin)" in text
    assert "<x>" not in html


def test_a_mail_with_a_link_is_not_sent_without_its_token():
    with pytest.raises(Uncomposable) as refused:
        composed(token=None)
    assert (refused.value.reason, refused.value.permanent) == ("token_missing", True)


def test_a_kind_of_a_newer_release_waits():
    with pytest.raises(Uncomposable) as refused:
        composed(kind="fax_received")
    assert (refused.value.reason, refused.value.permanent) == ("unknown_kind", False)


@pytest.mark.parametrize(
    ("name", "greeting"),
    [
        ("Ada", "Hello Ada,"),
        ("  J. R.\tO'Brien ", "Hello J. R. O'Brien,"),
        ("Zoë 李 🦊", "Hello Zoë 李 🦊,"),
        ("Ada\r\nBcc: eve@example.com", "Hello,"),
        ("Ada\r\nBcc: eve", "Hello Ada Bcc: eve,"),
        ("Ada\u2028\u0085\x0b\x00 B", "Hello Ada B,"),
        ("\u202eadA\u2066\u200f", "Hello adA,"),
        ("\u202e\u200b", "Hello,"),
        ("https://evil.example", "Hello,"),
        ("Win at evil.example now", "Hello,"),
        ("www.1", "Hello,"),
        ("eve@evil", "Hello,"),
        ("N" * 500, f"Hello {'N' * 200},"),
    ],
)
def test_a_hostile_name_is_one_line_without_a_link(name, greeting):
    message, text, _ = composed(display_name=name)
    assert text.splitlines()[0] == greeting
    assert message.keys() == [
        "Message-ID", "Date", "From", "To", "Subject", "Auto-Submitted", "MIME-Version", "Content-Type"
    ]  # fmt: skip
    assert message["subject"] == "Choose a new password"


def test_html_in_a_name_or_a_detail_is_text():
    script = "<script>alert(1)</script>&\"'"
    _, _, html = composed(kind="api_token_created", display_name=script, details={"name": script})
    assert html.count("&lt;script&gt;alert(1)&lt;/script&gt;&amp;&#34;&#39;") == 2
    assert "<script" not in html


def test_a_mail_about_a_new_password_says_how_many_other_ways_in_go_on():
    details = {"api_tokens_in_force": "2", "passkeys_in_force": "1", "identities_in_force": "3"}
    _, text, _ = composed(kind="password_changed", details=details)
    shown = [line for line in text.splitlines() if line.endswith((": 1", ": 2", ": 3"))]
    assert shown == [
        "API tokens that go on: 2",
        "Accounts elsewhere that still log in: 3",
        "Passkeys that still log in: 1",
    ]


def test_a_mail_about_a_new_passkey_promises_a_login_only_to_one_that_verifies_its_user():
    _, text, html = composed(kind="passkey_added")
    told = (
        "Your account has a new passkey. Whoever holds it can use it as a second step of a login, "
        "and where it asks for a PIN, a fingerprint or a face, log in with it alone."
    )
    assert told in " ".join(text.split())
    assert told in " ".join(html.split())


def test_details_are_one_line_each_without_links_and_instants_are_in_the_users_zone():
    details = {
        "device": "Mozilla/5.0 (X11)\r\nSee http://evil.example or eve@evil.example",
        "address": "203.0.113.9",
        "new_email": "ada@elsewhere.example",
        "deletes_at": "2026-12-24T09:00:00.000000Z",
        "name": "\u202eliam\u202c",
    }
    _, text, html = composed(kind="session_compromised", timezone="America/Sao_Paulo", details=details)
    lines = text.splitlines()
    start = lines.index("When: 24 November 2026, 20:30 (America/Sao_Paulo)")
    assert lines[start + 1 : start + 6] == [
        "Address: 203.0.113.9",
        "Deletes at: 24 December 2026, 06:00 (America/Sao_Paulo)",
        "Device: Mozilla/5.0 (X11) See http[:]//evil[.]example or eve[at]evil[.]example",
        "Name: liam",
        "New address: ada@elsewhere.example",
    ]
    assert "evil.example" not in html
    assert not [one for one in "\u202e\u202c\u200f" if one in text + html]


@pytest.mark.parametrize("key", ["name", "expires_at"])
@pytest.mark.parametrize(
    "value",
    ["2026-13-01T00:00:00Z", "0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00", "2026-01-01T00:00:00+99:99"],
)
def test_what_looks_like_an_instant_and_is_none_is_shown_as_it_is(key, value):
    _, text, _ = composed(kind="api_token_created", details={key: value})
    assert f"{key.replace('_', ' ').capitalize()}: {value}" in text.splitlines()


def test_a_name_stays_a_name_even_if_it_is_an_instant():
    _, text, _ = composed(kind="api_token_created", details={"name": "2026-12-24T09:00:00Z"})
    assert "Name: 2026-12-24T09:00:00Z" in text.splitlines()


@pytest.mark.parametrize("zone", ["", "Nowhere/Land", "../../etc/passwd", "/etc/passwd", "a\0b"])
def test_an_unknown_zone_is_utc(zone):
    _, text, _ = composed(timezone=zone)
    assert "When: 24 November 2026, 23:30 (UTC)" in text


@pytest.mark.parametrize(
    "address",
    [
        "",
        "ada",
        "@example.com",
        "ada@",
        "ada@example.com\r\nBcc: eve@example.com",
        "ada@exa mple.com",
        "ada@example.com, eve@example.com",
        "Ada <ada@example.com>",
        "a\0da@example.com",
        "ada\n@example.com",
        "ädä@example.com",
    ],
)
def test_what_is_no_address_gets_no_mail(address):
    with pytest.raises(Uncomposable) as refused:
        compose(row(recipient=address), letterhead=LETTERHEAD, token=TOKEN)
    assert (refused.value.reason, refused.value.permanent) == ("address", True)


def test_r12_a_domain_of_another_script_is_reached_by_its_ascii_form():
    content, recipient = compose(row(recipient="Ada.L@Müller.example"), letterhead=LETTERHEAD, token=TOKEN)
    assert recipient == "Ada.L@xn--mller-kva.example"
    assert b"\r\nTo: Ada.L@xn--mller-kva.example\r\n" in content


def test_all_lines_end_and_are_as_long_as_smtp_wants():
    content, _ = compose(row(details={"device": "ü" * 200}), letterhead=LETTERHEAD, token="t" * 900)
    assert content.isascii()
    assert b"\n" not in content.replace(b"\r\n", b"")
    assert max(map(len, content.split(b"\r\n"))) <= 78


@pytest.mark.parametrize(
    "sender",
    ["", "Taskloom", "a@b, c@d", "a@b\r\nBcc: c@d", "Taskloom <no-reply>", "<@b>", "x <ä@example.com>", "a@", "T <a@b"],
)
def test_a_sender_is_one_address(sender):
    with pytest.raises(ValueError, match="expected Name <name@domain>"):
        parse_sender(sender)


def test_a_sender_may_have_a_name_of_any_script_or_none():
    bare = parse_sender("a@b.example")
    assert (bare.display_name, bare.addr_spec) == ("", "a@b.example")
    message, _, _ = composed(letterhead=Letterhead(parse_sender('"Zoë, Inc." <a@b.example>'), "https://a", "https://a"))
    (sender,) = message["from"].addresses
    assert (sender.display_name, sender.addr_spec) == ("Zoë, Inc.", "a@b.example")
