"""HTTP/1.1 to a service over kept connections: what forwarding needs, at a third of what a general client costs.

A connection has one request at a time. There are no redirects, cookies, compressions or second tries here. ADR 20 has
the reasons and the numbers.
"""

import asyncio
import ssl
from contextlib import suppress
from urllib.parse import urlsplit

from gateway.patience import Patience
from gateway.upstream_connection import Connection, NotConnected, Question, Reply

CONNECT_SECONDS = 1.0
WITHOUT_BODY = frozenset({"GET", "HEAD", "OPTIONS"})
"""Methods that need not say that they have none."""


class ServiceClient:
    """The connections to one service."""

    def __init__(self, base: str) -> None:
        url = urlsplit(base)
        self._tls = ssl.create_default_context() if url.scheme == "https" else None
        self._address = url.hostname or "", url.port or (443 if self._tls else 80)
        self._prefix = url.path
        self._host = f"host: {url.netloc.rpartition('@')[2]}"
        self._idle: list[Connection] = []
        self._is_closed = False

    @property
    def idle(self) -> int:
        """How many connections wait for a request."""
        return len(self._idle)

    async def ask(self, question: Question) -> Reply:
        """Send a request, and return its answer once its head has come; it has to be released.

        Raises ServiceTrouble, TimeoutError, and what the request's body raises.
        """
        connection = self._kept() or await self._connect()
        reply = connection.begin(question)
        try:
            tells_length = _tells_length(question)
            head = self._head(question, tells_length=tells_length)
            if isinstance(question.body, bytes):
                connection.send(head + question.body)
            else:
                connection.send_pieces(head, question.body, chunked=not tells_length)
            await reply.head()
        except BaseException:
            connection.close()
            raise
        return reply

    def release(self, reply: Reply) -> None:
        """Keep the connection of an answer that is complete, and end that of any other."""
        connection = reply.connection
        if connection.finish() and not self._is_closed:
            self._idle.append(connection)
        else:
            connection.close()

    def close(self) -> None:
        """Close what is idle, and keep nothing more."""
        self._is_closed = True
        while self._idle:
            self._idle.pop().close()

    def _kept(self) -> Connection | None:
        """Return the connection that was used last; the others are older."""
        while self._idle:
            connection = self._idle.pop()
            if connection.is_usable():
                return connection
            connection.close()
        return None

    async def _connect(self) -> Connection:
        loop = asyncio.get_running_loop()
        opening = loop.create_connection(lambda: Connection(loop, self._forget), *self._address, ssl=self._tls)
        try:
            # In a burst of requests the loop is busy with those that came before: no service is slow by that.
            async with Patience(CONNECT_SECONDS):
                _, connection = await opening
        except OSError as error:  # a TimeoutError is one
            raise NotConnected(type(error).__name__) from None
        return connection

    def _forget(self, connection: Connection) -> None:
        """Take note that a connection has ended."""
        with suppress(ValueError):
            self._idle.remove(connection)

    def _head(self, question: Question, *, tells_length: bool) -> bytes:
        lines = [f"{question.method} {self._prefix}{question.target} HTTP/1.1", self._host]
        lines += [f"{name}: {value}" for name, value in question.fields]
        if not tells_length:
            lines += _framing(question)
        head = "\r\n".join(lines)
        if head.count("\n") != len(lines) - 1 or head.count("\r") != len(lines) - 1:
            raise ValueError("a field that would begin another one")
        return f"{head}\r\n\r\n".encode("latin-1")


def _tells_length(question: Question) -> bool:
    return "content-length" in {name for name, _ in question.fields}


def _framing(question: Question) -> list[str]:
    """Return the field that says where a body ends whose length the client has not told."""
    if not isinstance(question.body, bytes):
        return ["transfer-encoding: chunked"]
    if question.body or question.method not in WITHOUT_BODY:
        return [f"content-length: {len(question.body)}"]
    return []
