"""Mail of notifications: from what is to be told to a message, with headers that nobody else can write into."""

from collections.abc import Mapping, Sequence
from email.message import EmailMessage
from email.policy import SMTP
from typing import Any
from urllib.parse import quote
from zoneinfo import ZoneInfo

from chassis.clock import utcnow
from chassis.sealing import KeyRing
from jinja2 import Environment, PackageLoader, StrictUndefined

from notifications_service.deliveries.drivers import Notice, Outgoing
from notifications_service.emails.rules import Subject, Unsubscription, seal
from notifications_service.kinds import KINDS
from notifications_service.mailing.composing import Uncomposable, deliverable, shown, shown_name, shown_time
from notifications_service.mailing.letterhead import Letterhead
from notifications_service.people.rules import zone_of

UNSUBSCRIBE = "/api/v1/unsubscribe"
LESS_OF_DIGESTS, LESS_OF_KIND = "No more digests", "No more mail like this"
Values = dict[str, Any]


def _environment(*, autoescape: bool) -> Environment:
    return Environment(
        loader=PackageLoader("notifications_service.mailing", "notice_templates"),
        autoescape=autoescape,  # noqa: S701 - off for plain text alone
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


TEXT, HTML = _environment(autoescape=False), _environment(autoescape=True)


def compose_notice(message: Outgoing, *, letterhead: Letterhead, ring: KeyRing) -> tuple[bytes, str]:
    """Return the mail of a notification or a digest, and the address that it goes to. Raises Uncomposable.

    The id is the same on each try, so that who gets it twice sees that.
    """
    if message.person.address is None:
        raise Uncomposable("no_address")
    recipient = deliverable(message.person.address)
    values = values_of(message, letterhead=letterhead, ring=ring)
    template = "notice" if message.digest_id is None else "digest"
    mail = EmailMessage(policy=SMTP)
    mail["Date"] = utcnow()
    mail["From"] = letterhead.sender
    # The name of the recipient is not in a header: everybody gives their own.
    mail["To"] = recipient
    mail["Subject"] = values["subject"]
    mail["Auto-Submitted"] = "auto-generated"
    mail.set_content(TEXT.get_template(f"{template}.txt").render(values), cte="quoted-printable")
    html = HTML.get_template(f"{template}.html").render(values)
    mail.add_alternative(html, subtype="html", cte="quoted-printable")
    return _own_headers(message, letterhead, values["one_click"]) + mail.as_bytes(), recipient.addr_spec


def message_id(message: Outgoing, letterhead: Letterhead) -> str:
    """Return the id by which a receiver knows a mail that it gets twice: of a notification, or a digest, and a user."""
    return f"<{message.notification_id or message.digest_id}.{message.person.user_id}@{letterhead.sender.domain}>"


def values_of(message: Outgoing, *, letterhead: Letterhead, ring: KeyRing) -> Values:
    """Return all that a template shows."""
    zone = zone_of(message.person.timezone)
    digest = message.digest_id is not None
    less = link_to(letterhead, ring, message, "digest" if digest else _kind_of(message.notice))
    notices = [_shown_notice(one, zone) for one in message.notices]
    return {
        "name": shown_name(message.person.name),
        "subject": _digest_subject(message) if digest else notices[0]["text"],
        "notice": notices[0],
        "groups": _by_task(message.notices, notices),
        "rest": message.rest,
        "less": less,
        "less_label": LESS_OF_DIGESTS if digest else LESS_OF_KIND,
        "nothing_more": link_to(letterhead, ring, message, "*"),
        "one_click": less,
    }


def link_to(letterhead: Letterhead, ring: KeyRing, message: Outgoing, subject: Subject) -> str:
    """Return the link that turns off mail of a subject for whoever the message is for."""
    token = seal(ring, Unsubscription(message.person.user_id, subject))
    return f"{letterhead.api_url}{UNSUBSCRIBE}?token={quote(token, safe='')}"


def _own_headers(message: Outgoing, letterhead: Letterhead, one_click: str) -> bytes:
    """Return the headers that must stay on one line as they are, which the library would break or encode."""
    lines = [
        f"Message-ID: {message_id(message, letterhead)}",
        f"List-Unsubscribe: <{one_click}>",
        "List-Unsubscribe-Post: List-Unsubscribe=One-Click",
    ]
    if message.digest_id is None and message.notice.task_id is not None:
        # Mail programs show what is about one task together.
        lines.append(f"References: <{message.notice.task_id}.task@{letterhead.sender.domain}>")
    return "".join(f"{line}\r\n" for line in lines).encode("ascii")


def _kind_of(notice: Notice) -> Subject:
    return next((kind for kind in KINDS if kind == notice.kind), "*")


def _digest_subject(message: Outgoing) -> str:
    count = len(message.notices) + message.rest
    return f"{count} unread notification{'' if count == 1 else 's'}"


def _shown_notice(notice: Notice, zone: ZoneInfo) -> Values:
    task = " ".join(one for one in (notice.key, notice.title) if one)
    return {
        "text": shown(notice.text),
        "excerpt": None if notice.excerpt is None else shown(notice.excerpt),
        "task": shown(task) or None,
        "when": shown_time(notice.created_at, zone),
        "link": notice.link,
    }


def _by_task(notices: Sequence[Notice], shown_notices: Sequence[Values]) -> list[Values]:
    """Return what is told by task, in the order of the first of each; what is about none comes last."""
    groups: dict[Any, Values] = {}
    for notice, one in zip(notices, shown_notices, strict=True):
        empty: Mapping[str, Any] = {"title": one["task"], "link": one["link"], "notices": []}
        groups.setdefault(notice.task_id, dict(empty))["notices"].append(one)
    return [group for task_id, group in groups.items() if task_id is not None] + [
        {**group, "title": None, "link": None} for task_id, group in groups.items() if task_id is None
    ]
