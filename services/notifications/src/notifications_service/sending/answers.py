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


def retry_after(headers: Mapping[str, str], *, now: datetime | None = None) -> timedelta | None:
    """Return how long to wait from `now` as Retry-After says: seconds, or an instant (RFC 9110, section 10.2.3).

    A number beyond all measure is cut to a long one: whoever asks has a longest wait of its own.
    """
    value = headers.get("retry-after", "").strip()
    if value.isascii() and value.isdigit():
        return timedelta(seconds=int(value[:MAX_DIGITS]))
    try:
        instant: datetime = parsedate_to_datetime(value)
    except (TypeError, ValueError, OverflowError):
        return None
    return max(instant.replace(tzinfo=instant.tzinfo or UTC) - (now or utcnow()), timedelta(0))
