"""What comes before a request: uvicorn's protocol with limits on heads, times and connections (R16, R17).

Refusals are answered by the app itself, so that they carry the envelope and the fields of every other answer.
"""

import asyncio
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, cast

from chassis.errors import AppError, MalformedRequest
from chassis.web.answers import AnswerWriter
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle
from websockets.exceptions import HeaderLineTooLong, RequestLineTooLong, TooManyHeaders
from websockets.http11 import Request
from websockets.server import ServerProtocol

from gateway.edge import MAX_HEAD
from gateway.errors import HeaderFieldsTooLarge, HeadTimeout, TargetTooLong, TooManyConnections

REFUSAL = "taskloom.refusal"
GONE = "taskloom.gone"
STOPPING = "taskloom.stopping"
"""In the scope of an answer without an end: what ends it when this process does."""
LINGER_SECONDS = 2.0
SWITCHING_PROTOCOLS = 101
HTTP_VERSIONS = frozenset({"1.0", "1.1"})


@dataclass
class Connections:
    """The open connections of this process, and how many there may be."""

    per_address: int
    total: int
    key_of: Callable[[str], str | None]
    """What an address counts as; None for those that are never too many (proxies in front)."""
    head_seconds: float
    blocked_seconds: float
    open: int = 0
    by_key: Counter[str] = field(default_factory=Counter)

    def enter(self, address: str) -> str | None:
        """Count a connection and return its key."""
        key = self.key_of(address)
        self.open += 1
        if key is not None:
            self.by_key[key] += 1
        return key

    def leave(self, key: str | None) -> None:
        """Give a place back."""
        self.open -= 1
        if key is not None:
            self.by_key[key] -= 1
            if not self.by_key[key]:
                del self.by_key[key]

    def too_many(self, key: str | None, *, times: int = 1) -> bool:
        """Tell whether there are more connections than `times` the limit."""
        return self.open > self.total * times or (key is not None and self.by_key[key] > self.per_address * times)


class UnacceptableHead(Exception):
    """Ends parsing; the base class answers it as it answers whatever can't be parsed."""


class EdgeProtocol(HttpToolsProtocol):
    """One HTTP connection.

    Work is done once a connection or once a request, and never once a field: `_unparsed` counts the bytes since
    the parser last had something whole, whatever they are (a head, a chunk's extension, trailers).
    """

    def __init__(self, *args: Any, limits: Connections, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._limits = limits
        self._key: str | None = None
        self._unparsed = 0
        self._refused = False
        self._deadline: asyncio.TimerHandle | None = None
        self._blocked: asyncio.TimerHandle | None = None
        self._draining: asyncio.TimerHandle | None = None
        self._serving: asyncio.Task[None] | None = None
        self._served: RequestResponseCycle | None = None
        """What `_serving` answers; `cycle` is the newest that was parsed, which may be waiting behind it."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override] # narrower, as in uvicorn
        super().connection_made(transport)
        self._key = self._limits.enter(self.client[0] if self.client else "")
        if self._limits.too_many(self._key, times=2):
            transport.abort()
        elif self._limits.too_many(self._key):
            self._refuse(TooManyConnections(retry_after=5))
        else:
            self._deadline = self.loop.call_later(self._limits.head_seconds, self._head_is_late)

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self._limits.leave(self._key)
        for timer in (self._deadline, self._blocked, self._draining):
            if timer is not None:
                timer.cancel()
        if self._is_answering():
            self._cancel()

    def data_received(self, data: bytes) -> None:
        if self._refused:
            return
        self._unparsed += len(data)
        super().data_received(data)
        if self._unparsed > MAX_HEAD:
            self._refuse(HeaderFieldsTooLarge())
        elif self._unparsed and self._deadline is None:
            self._deadline = self.loop.call_later(self._limits.head_seconds, self._head_is_late)
        elif self._deadline is not None and not self._unparsed:
            self._deadline.cancel()
            self._deadline = None

    def on_headers_complete(self) -> None:
        self._unparsed = 0
        if not self.url.startswith(b"/") or b"#" in self.url:
            raise UnacceptableHead
        version = self.parser.get_http_version()
        if version != "1.1" and (version not in HTTP_VERSIONS or self.parser.should_keep_alive()):
            raise UnacceptableHead
        super().on_headers_complete()
        if not self.parser.should_upgrade():
            # The parser gives trailers as fields too; they are no part of the head that the app is reading.
            self.headers = []

    def on_body(self, body: bytes) -> None:
        self._unparsed = 0
        super().on_body(body)

    def on_message_complete(self) -> None:
        self._unparsed = 0
        super().on_message_complete()
        if self._draining is not None:
            self._draining.cancel()
            self._draining = None
            # The base class sees no end of a body that it no longer wants, and would let the connection idle on.
            self.timeout_keep_alive_task = self.loop.call_later(
                self.timeout_keep_alive, self.timeout_keep_alive_handler
            )

    def on_response_complete(self) -> None:
        super().on_response_complete()
        if self.cycle.response_complete and self.cycle.more_body and not self.transport.is_closing():
            # Answered before the body had come: what is left of it may take a while, and no longer.
            self._draining = self.loop.call_later(self._limits.head_seconds, self.transport.close)

    def shutdown(self) -> None:
        super().shutdown()
        if self._served is not None:
            stop = cast("dict[str, Any]", self._served.scope).get(STOPPING)
            if stop is not None:
                stop()

    def pause_writing(self) -> None:
        super().pause_writing()
        self._blocked = self.loop.call_later(self._limits.blocked_seconds, self.transport.abort)

    def resume_writing(self) -> None:
        super().resume_writing()
        if self._blocked is not None:
            self._blocked.cancel()
            self._blocked = None

    def handle_websocket_upgrade(self) -> None:
        refusal = _refusal_of(self.scope["method"], self.url, self.headers)
        if self._is_answering():
            refusal = MalformedRequest("A connection that is answering becomes no WebSocket.")
        if refusal is not None:
            self._refuse(refusal)
            return
        super().handle_websocket_upgrade()
        self._limits.leave(self._key)
        if self._deadline is not None:
            self._deadline.cancel()

    def send_400_response(self, msg: str) -> None:
        self._refuse(MalformedRequest(log_detail=msg))

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: Any) -> None:
        self._served = cycle
        writer = AnswerWriter(cycle)
        self._serving = self.loop.create_task(
            cycle.run_asgi(lambda scope, receive, _: app(scope, receive, writer.send))
        )
        self._serving.add_done_callback(self.tasks.discard)
        self.tasks.add(self._serving)

    def _head_is_late(self) -> None:
        self._deadline = None
        if self._unparsed:
            self._refuse(HeadTimeout())
        else:
            self.transport.close()

    def _is_answering(self) -> bool:
        return self._served is not None and not self._served.response_complete

    def _cancel(self) -> None:
        """End the work on what is being answered, whose client is not there to read it."""
        if self._served is not None and self._serving is not None and not self._serving.done():
            self._served.scope[GONE] = True  # type: ignore[literal-required] # a key of ours
            self._serving.cancel()

    def _refuse(self, error: AppError) -> None:
        """Answer instead of a request that can't be read, and close."""
        self._refused = True
        self._unparsed = 0
        served = self._served
        if served is None or served.response_complete:
            self._answer(error)
        elif not served.more_body:
            # An earlier request of the connection is being answered: that answer is the last one.
            served.keep_alive = False
            self.pipeline.clear()
        elif served.response_started:
            self.transport.close()
        else:
            served.disconnected = True
            self._cancel()
            self._answer(error)

    def _answer(self, error: AppError) -> None:
        self._unset_keepalive_if_required()
        error.headers["connection"] = "close"
        self.on_message_begin()
        stand_in = {"method": "GET", "path": "/", "raw_path": b"/", "query_string": b"", REFUSAL: error}
        cast("dict[str, Any]", self.scope).update(stand_in)
        self.cycle = RequestResponseCycle(
            scope=self.scope,
            transport=LingeringTransport(self.transport, self.loop),  # type: ignore[arg-type] # has all that is called
            flow=self.flow,
            logger=self.logger,
            access_logger=self.access_logger,
            access_log=self.access_log,
            default_headers=self.server_state.default_headers,
            message_event=asyncio.Event(),
            expect_100_continue=False,
            keep_alive=False,
            on_response=lambda: None,
        )
        self._start_asgi_task(self.cycle, self.app)


class LingeringTransport:
    """Closes in two steps, since a client that is still sending would not see an answer before a reset."""

    def __init__(self, transport: asyncio.Transport, loop: asyncio.AbstractEventLoop) -> None:
        self._transport = transport
        self._loop = loop
        self.write = transport.write
        self.is_closing = transport.is_closing

    def close(self) -> None:
        """End our side now, and the connection soon."""
        if self._transport.can_write_eof() and not self._transport.is_closing():
            self._transport.write_eof()
            self._loop.call_later(LINGER_SECONDS, self._transport.close)
        else:
            self._transport.close()


def _refusal_of(method: str, url: bytes, headers: Sequence[tuple[bytes, bytes]]) -> AppError | None:
    """Return why the WebSocket library would refuse a handshake.

    It would do so without the envelope, and of a request that it can't read not at all, and keep the connection.
    """
    library = ServerProtocol()
    fields = b"".join(b"%b: %b\r\n" % field for field in headers)
    library.receive_data(b"%b %b HTTP/1.1\r\n%b\r\n" % (method.encode(), url, fields))
    for request in library.events_received():
        if isinstance(request, Request) and library.accept(request).status_code == SWITCHING_PROTOCOLS:
            return None
    if isinstance(library.handshake_exc, RequestLineTooLong):
        return TargetTooLong()
    if isinstance(library.handshake_exc, HeaderLineTooLong | TooManyHeaders):
        return HeaderFieldsTooLarge()
    return MalformedRequest("This is no WebSocket handshake (RFC 6455, section 4.2.1).")
