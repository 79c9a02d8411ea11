"""What a request costs of its sender's limit: one, and more where it does many things at once (E9).

What is more than the service does at once is left to its workers, who take turns between senders: so a request that
would cost more than the limit of a whole minute costs all of that minute, and is let through when nothing else was.
"""

import math
from typing import Any

import orjson

EACH = 25
MOST_THINGS = 10_000
"""How many things a request may ask for; the services refuse more, too."""
MOST = 10**9
"""More than that is not told apart: it is above every limit."""
MAX_DIGITS = 20


def cost_of(body: bytes, member: str) -> int:
    """Return 1, and 1 more for each 25 that are begun of the things that a member of the body lists, or counts.

    What can't be understood costs 1: the service, which reads bodies by the same parser, refuses it.
    """
    try:
        found = orjson.loads(body)
    except (ValueError, RecursionError):
        return 1
    return cost_for(_number(found.get(member)) if isinstance(found, dict) else 0)


def cost_for(things: int) -> int:
    """Return what so many things cost."""
    return 1 + math.ceil(things / EACH)


HIGHEST_COST = cost_for(MOST_THINGS)


def _number(value: Any) -> int:
    """Return how many things a value stands for, in any form that somebody behind us could read as a number."""
    if isinstance(value, list):
        return len(value)
    if isinstance(value, str) and len(value) <= MAX_DIGITS:
        value = _parsed(value)
    if not isinstance(value, (int, float)) or not value > 0:
        return 0
    return math.ceil(min(value, MOST))


def _parsed(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None
