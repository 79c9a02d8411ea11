"""The page for people about events: made here, with nothing to fetch and no script."""

from collections.abc import Sequence
from itertools import groupby
from typing import Any

import orjson
from jinja2 import Environment, PackageLoader, StrictUndefined

from gateway.published import Document

TEMPLATES = Environment(
    loader=PackageLoader("gateway", "templates"),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)
CHANNELS = {
    "history": "the history of a task, or the audit log of a workspace",
    "feed": "GET /api/v1/changes",
    "websocket": "/api/v1/ws",
    "sse": "/api/v1/stream",
    "webhook": "webhooks",
    "notification": "may also become a notification",
}
"""Where an event can be told, with what people know it as."""


def event_page(entries: Sequence[Document]) -> str:
    """Return the page about all events, by what they are about."""
    nouns = [(noun, list(events)) for noun, events in groupby(entries, key=lambda entry: entry["noun"])]
    return TEMPLATES.get_template("events.html").render(nouns=nouns, channels=CHANNELS, pretty=_pretty)


def _pretty(value: Any) -> str:
    return orjson.dumps(value, option=orjson.OPT_INDENT_2).decode()
