"""How an answer goes out: its head written in one pass, and a short body with it in one packet.

uvicorn looks through each field by two regular expressions and writes head and body apart, which cost a request a
system call and 10 us more. What comes after the head of a longer answer is uvicorn's, and so is all that is wrong.
"""

from typing import Any

from starlette.responses import Response
from starlette.types import Message, Receive, Scope, Send
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol, RequestResponseCycle

BODY_FOLLOWS = "taskloom.body_follows"
"""In the start of an answer whose body is there as a whole and is sent next, without a wait between."""
IN_VALUES = bytes([0x09, *range(0x20, 0x7F), *range(0x80, 0x100)])
IN_NAMES = b"!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyz"
WITHOUT_BODY = frozenset({204, 304})
END: Message = {"type": "http.response.body", "body": b""}

Fields = list[tuple[bytes, bytes]]


class Whole(Response):
    """An answer whose body is there as a whole, and goes out with its head."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send it."""
        if scope["type"] != "http":
            await super().__call__(scope, receive, send)
            return
        head = {"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers}
        await send({**head, BODY_FOLLOWS: True})
        await send({"type": "http.response.body", "body": self.body})
        if self.background is not None:
            await self.background()


class ServiceProtocol(HttpToolsProtocol):
    """One HTTP connection of a service: uvicorn's, with answers written by us."""

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: Any) -> None:
        writer = AnswerWriter(cycle)
        super()._start_asgi_task(cycle, lambda scope, receive, _: app(scope, receive, writer.send))


class AnswerWriter:
    """Sends one answer in the place of `cycle.send`, and notes in the cycle what that would have noted."""

    __slots__ = ("_cycle", "_held")

    def __init__(self, cycle: RequestResponseCycle) -> None:
        self._cycle = cycle
        self._held = b""
        """The head, as long as it waits for the body."""

    async def send(self, message: Message) -> None:
        cycle = self._cycle
        if message["type"] != "http.response.start" or cycle.response_started or cycle.flow.write_paused:
            await cycle.send(self._with_held(message))  # type: ignore[arg-type] # the same, typed more closely
            return
        if cycle.disconnected:
            return
        head = self._head(message["status"], [*cycle.default_headers, *message["headers"]])
        cycle.response_started = True
        cycle.waiting_for_100_continue = False
        if BODY_FOLLOWS in message:
            self._held = head
        else:
            cycle.transport.write(head)

    def _with_held(self, message: Message) -> Message:
        """Write the head that waits, with the body where it is as long as was said; return what is left to send."""
        cycle, head, self._held = self._cycle, self._held, b""
        if not head or cycle.disconnected:
            return message
        body = message.get("body", b"")
        if cycle.chunked_encoding or cycle.scope["method"] == "HEAD" or len(body) != cycle.expected_content_length:
            cycle.transport.write(head)
            return message
        cycle.transport.write(head + body)
        cycle.expected_content_length = 0
        return END

    def _head(self, status: int, fields: Fields) -> bytes:
        # Before anything is noted: after a field that is none the answer is uvicorn's bare 500.
        lines = _lines(fields)
        says_close = self._note_framing(fields)
        cycle = self._cycle
        if not cycle.keep_alive and not says_close:
            lines += b"\r\nconnection: close"
        if cycle.chunked_encoding is None and cycle.scope["method"] != "HEAD" and status not in WITHOUT_BODY:
            cycle.chunked_encoding = True
            lines += b"\r\ntransfer-encoding: chunked"
        return b"%b%b\r\n\r\n" % (STATUS_LINE[status], lines)

    def _note_framing(self, fields: Fields) -> bool:
        """Note where the body ends, and whether the connection does; tell whether the fields say the latter."""
        cycle, says_close = self._cycle, False
        for name, value in fields:
            if name == b"content-length" and cycle.chunked_encoding is None:
                cycle.expected_content_length = int(value)
                cycle.chunked_encoding = False
            elif name == b"transfer-encoding" and value.lower() == b"chunked":
                cycle.expected_content_length = 0
                cycle.chunked_encoding = True
            elif name == b"connection" and b"close" in [option.strip() for option in value.lower().split(b",")]:
                cycle.keep_alive = False
                says_close = True
        return says_close


def _lines(fields: Fields) -> bytes:
    """Return the fields as lines. Raises RuntimeError for one with a byte that would begin another, or the body."""
    lines = b"\r\n".join(map(b": ".join, fields))
    ends = lines.translate(None, IN_VALUES)
    if len(ends) != 2 * (len(fields) - 1) or b"".join([name for name, _ in fields]).translate(None, IN_NAMES):
        raise RuntimeError("an answer with a field that is none")
    return lines
