"""When a delivery is tried again, and what an answer means, without any I/O."""

from datetime import timedelta
from typing import Literal

State = Literal["pending", "delivered", "failed", "cancelled"]
Kind = Literal["event", "test", "replay"]

DELAYS = (
    timedelta(seconds=5),
    timedelta(minutes=5),
    timedelta(minutes=30),
    timedelta(hours=2),
    timedelta(hours=5),
    timedelta(hours=10),
    timedelta(hours=14),
    timedelta(hours=20),
    timedelta(hours=24),
)
"""After each failed attempt but the last, until the next one."""
JITTER = 0.2
LONGEST_WAIT = timedelta(hours=24)
LEASE = timedelta(seconds=60)
AT_ONCE = 4
"""Requests to one webhook."""
PATIENCE = timedelta(days=5)
"""So long a webhook may do nothing but fail."""
KEPT = timedelta(days=30)
MAX_EXCERPT = 1024
MAX_REPLAYED = 2_000
"""Events that are looked at for one request."""
TEST_EVENT = "webhook.test"

OK, GONE = range(200, 300), 410
REDIRECTS = range(300, 400)
PAUSES = frozenset({429, 503})
"""Statuses of which Retry-After says how long."""


def delay_after(attempts: int, *, chance: float, asked: timedelta | None = None) -> timedelta | None:
    """Return how long to wait after so many attempts, None when there are no more.

    `chance` in 0..1 spreads it by 20 % either way; nothing comes before what the receiver `asked` for.
    """
    if attempts > len(DELAYS):
        return None
    spread = DELAYS[attempts - 1] * (1 + JITTER * (2 * chance - 1))
    return max(spread, min(asked or spread, LONGEST_WAIT))


def asked_to_wait(status: int, told: timedelta | None) -> timedelta | None:
    """Return how long a receiver wants to be left alone, who told that with this status; None for no such wish."""
    return min(told, LONGEST_WAIT) if told is not None and status in PAUSES else None


def reason_of(status: int) -> str | None:
    """Return why an answer is a failure; None for a success."""
    if status in OK:
        return None
    if status == GONE:
        return "gone"
    return "redirect" if status in REDIRECTS else "status"


def excerpt_of(body: bytes) -> str | None:
    """Return the beginning of an answer as text that can be kept."""
    text = body[:MAX_EXCERPT].decode("utf-8", "replace").replace("\0", "\ufffd")
    return text[:MAX_EXCERPT] or None
