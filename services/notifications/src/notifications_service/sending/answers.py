"""What the answers of other services mean for what is to be sent."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime

from chassis.clock import utcnow

TOO_EARLY = frozenset({408, 425, 429})
SERVER_ERRORS = 500
MAX_DIGITS = 9


def may_be_repeated(status: int) -> bool:
    """Tell whether the same request may be taken later."""
    return status in TOO_EARLY or status >= SERVER_ERRORS


def retry_after(headers: Mapping[str, str]) -> timedelta | None:
    """Return how long to wait as Retry-After says it, in seconds or as an instant (RFC 9110, section 10.2.3)."""
    value = headers.get("retry-after", "").strip()
    if value.isascii() and value.isdigit() and len(value) <= MAX_DIGITS:
        return timedelta(seconds=int(value))
    try:
        instant: datetime = parsedate_to_datetime(value)
    except (TypeError, ValueError, OverflowError):
        return None
    return max(instant.replace(tzinfo=instant.tzinfo or UTC) - utcnow(), timedelta(0))
