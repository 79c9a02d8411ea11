"""What a request costs of its sender's limit: one, and more where it does many things at once (E9)."""

import math
from typing import Any

import orjson

EACH = 25
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
    things = _number(found.get(member)) if isinstance(found, dict) else 0
    return 1 + math.ceil(things / EACH)


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
