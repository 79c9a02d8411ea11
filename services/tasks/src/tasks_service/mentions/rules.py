"""Mentions in text: `@[user:<id>]`."""

import re
from uuid import UUID

MAX_MENTIONS = 50
TOKEN = re.compile(r"@\[user:([0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12})\]")


def found_in(text: str) -> list[UUID]:
    """Return the users that a text mentions, each once, in the order of their first mention."""
    return list(dict.fromkeys(UUID(found) for found in TOKEN.findall(text)))
