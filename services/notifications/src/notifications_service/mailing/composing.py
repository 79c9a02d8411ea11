"""From a row to a message: text and HTML of one template, and headers that nobody else can write into."""

import json
import re
from contextlib import suppress
from datetime import datetime
from email.errors import MessageError
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP
from typing import Any
from urllib.parse import quote
from uuid import UUID
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import idna
from chassis.clock import utcnow
from jinja2 import Environment, PackageLoader, StrictUndefined
from sqlalchemy import RowMapping

from notifications_service.account_mail.rules import LINKS
from notifications_service.cards.rules import one_line
from notifications_service.mailing.letterhead import Letterhead

LONGEST_SHOWN = 200
LABELS = {
    "new_email": "New address",
    "old_email": "Old address",
    "api_tokens_in_force": "API tokens that go on",
    "api_tokens_removed": "API tokens from before, ended",
    "identities_removed": "Accounts elsewhere from before, removed",
    "passkeys_removed": "Passkeys from before, removed",
    "second_factors_removed": "Second factors from before, removed",
    "identities_in_force": "Accounts elsewhere that still log in",
    "passkeys_in_force": "Passkeys that still log in",
}
ACCOUNTS, INVITATIONS = "/api/v1/auth", "/api/v1/invitations"
LINK_LIKE = re.compile(r"://|@|www\.|\w\.[^\W\d_]", re.IGNORECASE)
INSTANT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)")


def _environment(*, autoescape: bool) -> Environment:
    return Environment(
        loader=PackageLoader("notifications_service.mailing"),
        autoescape=autoescape,  # noqa: S701 - off for plain text alone
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


TEXT, HTML = _environment(autoescape=False), _environment(autoescape=True)
KINDS = frozenset(name.removesuffix(".jinja") for name in TEXT.list_templates(["jinja"]))


class Uncomposable(Exception):
    """No message can be made of this row. A `permanent` fault is in the row itself."""

    def __init__(self, reason: str, *, permanent: bool = False) -> None:
        super().__init__(reason)
        self.reason = reason
        self.permanent = permanent


def compose(mail: RowMapping, *, letterhead: Letterhead, token: str | None) -> tuple[bytes, str]:
    """Return the message of a mail, and the address that it goes to. Raises Uncomposable."""
    if mail["kind"] not in KINDS:
        raise Uncomposable("unknown_kind")
    recipient = deliverable(mail["recipient"])
    message = EmailMessage(policy=SMTP)
    message["Message-ID"] = message_id(mail["id"], letterhead)
    message["Date"] = utcnow()
    message["From"] = letterhead.sender
    # The name of the recipient is not in a header: everybody gives their own.
    message["To"] = recipient
    values = _values(mail, letterhead, token)
    template = TEXT.get_template(f"{mail['kind']}.jinja")
    message["Subject"] = "".join(template.blocks["subject"](template.new_context(values)))
    message["Auto-Submitted"] = "auto-generated"
    message.set_content(template.render(values, layout="layout.txt"), cte="quoted-printable")
    html = HTML.get_template(f"{mail['kind']}.jinja").render(values, layout="layout.html")
    message.add_alternative(html, subtype="html", cte="quoted-printable")
    return message.as_bytes(), recipient.addr_spec


def message_id(mail_id: UUID, letterhead: Letterhead) -> str:
    """Return the id by which a receiver knows a mail that it gets twice."""
    return f"<{mail_id}@{letterhead.sender.domain}>"


def shown(text: str) -> str:
    """Return somebody's text as one_line has it, and no more than a mail has room for."""
    return one_line(text)[:LONGEST_SHOWN]


def shown_name(name: str) -> str | None:
    """Return a name to greet by; None when mail programs would make a link of it."""
    tidy = shown(name)
    return None if not tidy or LINK_LIKE.search(tidy) else tidy


def shown_detail(key: str, value: str, zone: ZoneInfo) -> str:
    """Return a detail as it is shown; only an address is left such that it could become a link."""
    # Names are given by anybody, and may look like an instant without being one.
    if key.endswith("_at") and INSTANT.fullmatch(value):
        with suppress(ValueError, OverflowError):
            return shown_time(datetime.fromisoformat(value), zone)
    tidy = shown(value)
    if key.endswith("email"):
        return tidy
    return re.sub(r"(?<=\w)\.(?=[^\W\d_])", "[.]", tidy).replace("://", "[:]//").replace("@", "[at]")


def shown_time(moment: datetime, zone: ZoneInfo) -> str:
    """Return an instant in a zone, with its name."""
    local = moment.astimezone(zone)
    abbreviation = local.tzname() or ""
    place = zone.key if abbreviation == zone.key or not abbreviation.isalpha() else f"{abbreviation}, {zone.key}"
    return f"{local.day} {local:%B %Y, %H:%M} ({place})"


def _values(mail: RowMapping, letterhead: Letterhead, token: str | None) -> dict[str, Any]:
    zone = _zone(mail["timezone"])
    details = [
        (LABELS.get(key, key.replace("_", " ").capitalize()), shown_detail(key, value, zone))
        for key, value in sorted(mail["details"].items())
    ]
    return {
        "name": shown_name(mail["display_name"]),
        "requested_at": shown_time(mail["requested_at"], zone),
        "expires_at": None if mail["expires_at"] is None else shown_time(mail["expires_at"], zone),
        "details": details,
        **_link(mail["kind"], letterhead, token),
    }


def _link(kind: str, letterhead: Letterhead, token: str | None) -> dict[str, Any]:
    """Return where a link leads, and how its token is used without a page."""
    link = LINKS.get(kind)
    if link is None:
        return {"link": None, "label": None, "api_url": None, "api_body": None, "as_somebody": False}
    if token is None:
        raise Uncomposable("token_missing", permanent=True)
    api = f"{letterhead.api_url}{INVITATIONS if link.of_invitation else ACCOUNTS}"
    pages = letterhead.invitations_url if link.of_invitation else letterhead.links_url
    page = f"{api}{link.look or link.path}" if pages is None else f"{pages}{link.path}"
    return {
        "link": f"{page}?token={quote(token, safe='')}",
        "label": link.label,
        "api_url": f"{api}{link.path}",
        "api_body": json.dumps({"token": token, **dict(link.more)}),
        "as_somebody": link.of_invitation,
    }


def deliverable(address: str) -> Address:
    """Return an address in ASCII, as every server takes it. Raises Uncomposable."""
    local, _, domain = address.rpartition("@")
    try:
        return Address(addr_spec=f"{local}@{idna.encode(domain, uts46=True).decode()}")
    except (ValueError, IndexError, MessageError):
        raise Uncomposable("address", permanent=True) from None


def _zone(name: str) -> ZoneInfo:
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return ZoneInfo("UTC")
