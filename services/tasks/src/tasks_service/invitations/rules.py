"""What an invitation can be, and how often one may be mailed, without any I/O."""

import secrets
from datetime import timedelta
from uuid import UUID

from chassis.text import printable

PENDING, ACCEPTED, DECLINED, REVOKED = "pending", "accepted", "declined", "revoked"

TOKEN_BYTES = 32
MOST_OPEN = 100
"""So many addresses may be asked into a workspace at a time."""
MAILS_PER_HOUR = 50
"""So many mails may one person bring on, whatever the workspaces."""
MAILS_EACH = 5
"""So many mails may an invitation have until it expires."""
MAILS_TO_ADDRESS = 10
"""So many mails of invitations an address gets in a day, from whomever. What is more is not sent, and nobody told."""
PAUSE = timedelta(minutes=1)
"""Within this time of a mail there is no second one."""
HOUR, DAY = timedelta(hours=1), timedelta(days=1)
KEPT = timedelta(days=30)
"""For so long after its expiry an invitation is kept, whatever became of it."""
MAX_NAME = 100
SOMEBODY = "Somebody"


def new_token() -> str:
    """Return a token of 256 random bits."""
    return secrets.token_urlsafe(TOKEN_BYTES)


def name_in_mail(name: str | None) -> str:
    """Return somebody's text as a mail to a stranger shows it: short, on one line, without control characters."""
    return " ".join(printable(name or "").split())[:MAX_NAME] or SOMEBODY


def token_place(mail_id: UUID) -> str:
    """Return where a mail's token belongs: sealed for this place, it opens for no other mail."""
    return f"account_mail|token|{mail_id}"
