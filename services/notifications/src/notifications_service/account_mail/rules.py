"""When a mail is tried again, and what of it is shown where."""

from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

WAITING, SENT, FAILED, EXPIRED = "waiting", "sent", "failed", "expired"

LEASE = timedelta(seconds=60)
"""How long a claimed mail is its claimer's: longer than sending takes at most, with the note of how it went."""

FIRST_DELAYS = (5, 30, 120, 600, 1800)
LATER_DELAY = 3600
LAST_ATTEMPT = 29
"""After all delays before it a day has gone by."""

SPREAD = 0.2


@dataclass(frozen=True, slots=True)
class Link:
    """What a mail's token is for: the path of its page, and what is sent there beside the token.

    Where pages of accounts are, and those of invitations, are two things. `look` is where the API tells of the link,
    for a mail that leads to no page.
    """

    path: str
    label: str
    more: tuple[tuple[str, str], ...] = ()
    of_invitation: bool = False
    look: str | None = None


NEW_PASSWORD = Link("/password/reset", "Choose a new password", (("password", "the new password"),))
LINKS = {
    "verify_email": Link("/verify-email", "Confirm this address"),
    "confirm_email_change": Link("/verify-email", "Confirm the new address"),
    "reset_password": NEW_PASSWORD,
    "reset_password_forced": NEW_PASSWORD,
    "workspace_invitation": Link("/accept", "Accept the invitation", of_invitation=True, look="/link"),
}


FAREWELL = "account_deleted"
"""The mail that outlives its account: nothing of it is kept beyond its sending."""


def token_place(mail_id: UUID) -> str:
    """Return where a mail's token belongs; it is sealed for this place and opens for no other mail."""
    return f"account_mail|token|{mail_id}"


def delay_after(attempts: int, *, chance: float) -> timedelta | None:
    """Return how long to wait after so many failures, None when it is time to give up.

    `chance` from 0 to 1 spreads the delay by a fifth to either side, so that what failed at once does not come back
    at once.
    """
    if attempts >= LAST_ATTEMPT:
        return None
    seconds = FIRST_DELAYS[attempts - 1] if attempts <= len(FIRST_DELAYS) else LATER_DELAY
    return timedelta(seconds=seconds * (1 - SPREAD + 2 * SPREAD * chance))
