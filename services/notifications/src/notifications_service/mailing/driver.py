"""Mail as a channel of deliveries."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from chassis.sealing import KeyRing
from sqlalchemy.ext.asyncio import AsyncSession

from notifications_service.deliveries.drivers import Outgoing, Postpone, Refused, Sent, TargetGone
from notifications_service.emails.service import give_up_address
from notifications_service.mailing.composing import Uncomposable
from notifications_service.mailing.letterhead import Letterhead
from notifications_service.mailing.notices import compose_notice, message_id, values_of
from notifications_service.mailing.smtp import SmtpServer, Undelivered

OF_ADDRESS = "recipient_"


@dataclass(frozen=True, slots=True)
class EmailDriver:
    """Hands mail of notifications to a server.

    Between the server's yes and the note of it a process may die; then the mail is sent again, with the same
    Message-ID, by which mail programs and many servers show it once.
    """

    server: SmtpServer
    letterhead: Letterhead
    ring: KeyRing

    def render(self, message: Outgoing) -> Mapping[str, Any]:
        """Return what would be sent; its links are left out, since they work."""
        values = values_of(message, letterhead=self.letterhead, ring=self.ring)
        shown = {name: values[name] for name in ("subject", "notice", "groups", "rest")}
        return {"message_id": message_id(message, self.letterhead), "to": message.person.address, **shown}

    async def send(self, message: Outgoing) -> Sent:
        """Send a mail. Raises Postpone, Refused or TargetGone."""
        try:
            mail, recipient = compose_notice(message, letterhead=self.letterhead, ring=self.ring)
            await self.server.deliver(mail, sender=self.letterhead.sender.addr_spec, recipient=recipient)
        except Uncomposable as error:
            raise (Refused if error.permanent else Postpone)(error.reason) from None
        except Undelivered as error:
            raise _as_outcome(error) from error
        return Sent(message_id(message, self.letterhead))

    async def drop_target(self, session: AsyncSession, message: Outgoing, reason: str) -> None:
        """Send no more mail to the address, and say so in the inbox."""
        if message.person.address is not None:
            await give_up_address(
                session, user_id=message.person.user_id, address=message.person.address, reason=reason
            )


def _as_outcome(error: Undelivered) -> Postpone | Refused | TargetGone:
    """Tell what a refusal means here: one of the address for good is of the address, any other of this mail."""
    if not error.permanent:
        return Postpone(error.reason)
    return TargetGone(error.reason) if error.reason.startswith(OF_ADDRESS) else Refused(error.reason)
