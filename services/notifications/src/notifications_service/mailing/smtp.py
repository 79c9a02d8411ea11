"""A mail server: what a URL says of it, and one conversation with it."""

import asyncio
import re
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Self
from urllib.parse import parse_qsl, unquote, urlsplit

from aiosmtplib import (
    SMTP,
    SMTPDataError,
    SMTPException,
    SMTPRecipientsRefused,
    SMTPResponseException,
)
from chassis.settings import is_url

SECONDS = 15.0
GOODBYE_SECONDS = 2.0
TROUBLE = (SMTPException, OSError)
"""What a server or the way to it may do to a conversation; a timeout is an OSError, too."""
PERMANENT = 500
UNAUTHENTICATED = 530
WRONG_ADDRESS = frozenset({550, 551, 553})
"""No such mailbox, not here any more, no such name (RFC 5321, section 4.2.3)."""
ENHANCED = re.compile(r"5\.(\d{1,3})\.(\d{1,3})\b")
"""What a permanent failure is about (RFC 3463, section 3)."""
OF_ADDRESSES, OF_POLICY = "1", "7"
OF_SENDERS = frozenset({"7", "8"})
"""Among those of addresses: it is ours that is refused."""
PORTS = {"smtp": 25, "smtps": 465}
EXPECTED_URL = "expected smtp://host:port or smtps://host:port, perhaps with user:password@ and ?starttls=required"


class Undelivered(Exception):
    """The server did not take the mail; `reason` is short and has no address in it.

    A `permanent` refusal would come again, however often it is asked.
    """

    def __init__(self, reason: str, *, permanent: bool = False) -> None:
        super().__init__(reason)
        self.reason = reason
        self.permanent = permanent


@dataclass(frozen=True, slots=True)
class SmtpServer:
    """Where mail goes out. `start_tls` None means that TLS is used where the server offers it."""

    host: str
    port: int
    use_tls: bool = False
    start_tls: bool | None = None
    username: str | None = None
    password: str | None = field(default=None, repr=False)
    seconds: float = SECONDS

    @classmethod
    def parse(cls, url: str) -> Self:
        """Read `smtp://[user:password@]host[:port][?starttls=required]` or `smtps://...`. Raises ValueError.

        A user and a password on smtp:// require TLS too: a network that hides the server's offer must not get them.
        """
        if not is_url(url, tuple(PORTS)):
            raise ValueError(EXPECTED_URL)
        parts = urlsplit(url)
        options = parse_qsl(parts.query, keep_blank_values=True)
        if parts.path.strip("/") or parts.fragment:
            raise ValueError(EXPECTED_URL)
        if options not in ([], [("starttls", "required")]) or (parts.username is None) != (parts.password is None):
            raise ValueError(EXPECTED_URL)
        use_tls = parts.scheme == "smtps"
        required = not use_tls and (bool(options) or parts.username is not None)
        return cls(
            host=parts.hostname or "",
            port=parts.port or PORTS[parts.scheme],
            use_tls=use_tls,
            start_tls=False if use_tls else required or None,
            username=None if parts.username is None else unquote(parts.username),
            password=None if parts.password is None else unquote(parts.password),
        )

    async def deliver(self, message: bytes, *, sender: str, recipient: str) -> None:
        """Hand one mail over. Raises Undelivered; once the server has said yes, nothing else matters."""
        client = SMTP(
            hostname=self.host,
            port=self.port,
            use_tls=self.use_tls,
            start_tls=self.start_tls,
            username=self.username,
            password=self.password,
            local_hostname=sender.rpartition("@")[2],
            timeout=self.seconds,
        )
        try:
            async with asyncio.timeout(self.seconds):
                await client.connect()
                await client.sendmail(sender, [recipient], message)
        except TROUBLE as error:
            raise _undelivered(error) from error
        else:
            await _say_goodbye(client)
        finally:
            client.close()


async def _say_goodbye(client: SMTP) -> None:
    with suppress(*TROUBLE):
        async with asyncio.timeout(GOODBYE_SECONDS):
            await client.quit()


def _undelivered(error: Exception) -> Undelivered:
    """Tell what a failure means; what the server said is left out, since it may name the recipient.

    Only a refusal of this recipient or of this text is for good. Whatever else is refused, such as our login or that we
    relay, is to be mended here, and the mail should leave then.
    """
    if isinstance(error, SMTPRecipientsRefused):
        refusal = error.recipients[0]
        return Undelivered(f"recipient_{refusal.code}", permanent=_is_wrong_address(refusal.code, refusal.message))
    if isinstance(error, SMTPDataError):
        return Undelivered(f"data_{error.code}", permanent=error.code >= PERMANENT and error.code != UNAUTHENTICATED)
    name = type(error).__name__
    return Undelivered(f"{name}_{error.code}" if isinstance(error, SMTPResponseException) else name)


def _is_wrong_address(code: int, answer: str) -> bool:
    """Tell whether an address was refused for what it is, and not because of the sender or a policy of the server."""
    status = ENHANCED.match(answer.strip())
    subject, detail = status.groups() if status and code >= PERMANENT else ("", "")
    if subject == OF_ADDRESSES:
        return detail not in OF_SENDERS
    return code in WRONG_ADDRESS and subject != OF_POLICY
