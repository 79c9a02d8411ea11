"""What may be asked for by somebody who must not learn whether there is an account."""

from datetime import timedelta
from enum import StrEnum


class RequestKind(StrEnum):
    """What is asked for an address."""

    REGISTER = "register"
    VERIFY = "resend"
    RESET = "forgot"
    TELL_BLOCKED = "sign_in_blocked"
    """Not asked by anybody: the address had too many failed logins in a row."""


MAX_ATTEMPTS = 5
RETRY_AFTER = timedelta(minutes=1)
STALE_AFTER = timedelta(hours=1)
"""A link that comes later than this is not expected any more."""


def is_stale(kind: RequestKind, age: timedelta) -> bool:
    """Tell whether nobody waits for it any more; who signs up does in any case."""
    return kind in (RequestKind.VERIFY, RequestKind.RESET) and age > STALE_AFTER
