"""When a mail is tried again, and what of it is shown where."""

from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

from notifications_service.sending.schedules import A_DAY

WAITING, SENT, FAILED, EXPIRED = "waiting", "sent", "failed", "expired"

LEASE = timedelta(seconds=60)
"""How long a claimed mail is its claimer's: longer than sending takes at most, with the note of how it went."""

LAST_ATTEMPT = A_DAY.last_attempt
"""After all delays before it a day has gone by."""


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
    """Return how long to wait after so many failures, None when it is time to give up; see Schedule.after."""
    return A_DAY.after(attempts, chance=chance)
