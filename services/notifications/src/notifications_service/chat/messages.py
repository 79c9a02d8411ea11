"""What is posted to each kind of chat. No title can mention a whole channel, and no text is taken for markup."""

import re
from collections.abc import Mapping
from typing import Any
from uuid import UUID

from chassis.clock import utcnow
from chassis.ids import uuid7

from notifications_service.deliveries.drivers import Notice, Outgoing, Person

LONGEST = 1500
"""Characters: Discord takes 2,000, and escaping makes a text longer."""
SLACK_LONGEST = 2900
DISCORD_LONGEST = 1700
INVISIBLE = "\u200b"
NO_EMBEDS = 4
TEST = "Taskloom is connected to this chat."
MARKUP = "\\`*_~|[]()#>"


def payload_of(kind: str, message: Outgoing) -> dict[str, Any]:
    """Return the body of the request that posts a message."""
    text = text_of(message.notice)
    match kind:
        case "slack":
            return slack_payload(text, message.notice.link)
        case "discord":
            return discord_payload(text, message.notice.link)
        case "mattermost":
            return {"text": with_link(escaped_markdown(text), message.notice.link)}
        case _:
            return {"text": with_link(unmentioning(text), message.notice.link)}


def text_of(notice: Notice) -> str:
    """Return what a notice says, with how the comment begins that it is about."""
    text = f"{notice.text}: {notice.excerpt}" if notice.excerpt else notice.text
    return text if len(text) <= LONGEST else f"{text[: LONGEST - 1]}…"


def slack_payload(text: str, link: str | None) -> dict[str, Any]:
    """Return a message for Slack: the text for notifications, and as blocks what is shown."""
    shown = escaped_for_slack(text)[:SLACK_LONGEST]
    blocks: list[Mapping[str, Any]] = [{"type": "section", "text": {"type": "mrkdwn", "text": shown}}]
    if link is not None:
        blocks.append({"type": "context", "elements": [{"type": "mrkdwn", "text": f"<{link}|Open>"}]})
    return {"text": shown, "blocks": blocks, "unfurl_links": False, "unfurl_media": False}


def escaped_for_slack(text: str) -> str:
    """Escape the three characters that Slack takes for control: no `<!channel>`, `<@user>` or `<url|text>` is left."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def discord_payload(text: str, link: str | None) -> dict[str, Any]:
    """Return a message for Discord, in which nobody is mentioned whatever it says."""
    content = with_link(_shortened(escaped_markdown(text)), link)
    return {"content": content, "allowed_mentions": {"parse": []}, "flags": NO_EMBEDS}


def escaped_markdown(text: str) -> str:
    """Escape what Mattermost and Discord take for markup, such as links that say one thing and lead elsewhere."""
    escaped = "".join(f"\\{one}" if one in MARKUP else one for one in text)
    return unmentioning(escaped)


def _shortened(escaped: str) -> str:
    """Cut what escaping has made too long for Discord, and not between a character and what escapes it."""
    if len(escaped) <= DISCORD_LONGEST:
        return escaped
    return re.sub(r"(?<!\\)((?:\\\\)*)\\$", r"\1", escaped[:DISCORD_LONGEST])


def unmentioning(text: str) -> str:
    """Break what chats take for mentions, as people don't see: `@here`, `@all`, `<!channel>`."""
    return text.replace("@", f"@{INVISIBLE}").replace("<!", f"<{INVISIBLE}!").replace("<@", f"<{INVISIBLE}@")


def with_link(text: str, link: str | None) -> str:
    """Return a text with the address of what it is about."""
    return text if link is None else f"{text}\n{link}"


def test_message(connection: Mapping[Any, Any], *, user_id: UUID) -> Outgoing:
    """Return what is posted to see whether a connection works."""
    notice = Notice(id=uuid7(), kind="test", text=TEST, created_at=utcnow())
    return Outgoing(
        delivery_id=notice.id,
        channel="chat",
        attempts=1,
        notification_id=None,
        digest_id=None,
        notices=[notice],
        person=Person(user_id, ""),
        target=connection,
    )
