"""The service's end of a WebSocket: its handshake, by the library; then bytes."""

import asyncio
from collections.abc import Sequence
from contextlib import ExitStack
from typing import Protocol, cast

from websockets.client import ClientProtocol
from websockets.exceptions import InvalidStatus
from websockets.http11 import Response
from websockets.protocol import OPEN
from websockets.uri import parse_uri

from gateway.errors import UpstreamUnavailable
from gateway.exchange import Fields

OPEN_SECONDS = 5.0
MAX_HEAD = 64 * 1024
SWITCHING = b"HTTP/1.1 101"
END_OF_HEAD = b"\r\n\r\n"
REFUSAL_FIELDS = ("content-type", "cache-control", "retry-after", "www-authenticate")


class Refused(Exception):
    """The service refused the handshake with an HTTP answer, which goes to the client as it is."""

    def __init__(self, status: int, body: bytes, fields: Fields) -> None:
        super().__init__()
        self.status = status
        self.body = body
        self.fields = fields


class Receiver(Protocol):
    """What takes the bytes of a service."""

    def from_service(self, data: bytes) -> None: ...

    def service_is_gone(self) -> None: ...

    def service_is_full(self, *, full: bool) -> None: ...


class ServiceEnd(asyncio.Protocol):
    """A connection to the service, which has nothing to say until `speak_to`."""

    __slots__ = ("_came", "_handshake", "_is_lost", "_opened", "_receiver", "transport")

    def __init__(self, handshake: ClientProtocol) -> None:
        self.transport: asyncio.Transport
        self._handshake: ClientProtocol | None = handshake
        self._opened: asyncio.Future[None] | None = asyncio.get_running_loop().create_future()
        self._came = b""
        self._receiver: Receiver | None = None
        self._is_lost = False

    async def opened(self) -> None:
        """Wait for the end of the handshake. Raises Refused and UpstreamUnavailable."""
        if self._opened is not None:
            await self._opened

    def speak_to(self, receiver: Receiver) -> None:
        """Give everything that comes, and has come, to the receiver."""
        self._receiver, came, self._came = receiver, self._came, b""
        self._handshake = self._opened = None
        if came:
            receiver.from_service(came)
        if self._is_lost:
            receiver.service_is_gone()
        elif not self.transport.is_closing():
            self.transport.resume_reading()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        if self._receiver is not None:
            self._receiver.from_service(data)
            return
        self._came += data
        self._read_answer()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - how it is called
        self._is_lost = True
        if self._receiver is not None:
            self._receiver.service_is_gone()
        elif self._handshake is not None and self._opened is not None:
            self._handshake.receive_eof()
            self._settle(self._handshake, self._opened)
            self._fail("the service closed")

    def pause_writing(self) -> None:
        if self._receiver is not None:
            self._receiver.service_is_full(full=True)

    def resume_writing(self) -> None:
        if self._receiver is not None:
            self._receiver.service_is_full(full=False)

    def _read_answer(self) -> None:
        """Have the library read the answer to the handshake, and nothing of the frames that may follow it."""
        handshake = self._handshake
        if handshake is None or self._opened is None or self._opened.done():
            return
        if len(self._came) < len(SWITCHING) or self._came.startswith(SWITCHING):
            head, end, rest = self._came.partition(END_OF_HEAD)
            if end:
                handshake.receive_data(head + end)
                self._came = rest
            elif len(self._came) > MAX_HEAD:
                self._fail("a head without an end")
        else:
            handshake.receive_data(self._came)
            self._came = b""
        self._settle(handshake, self._opened)

    def _settle(self, handshake: ClientProtocol, opened: asyncio.Future[None]) -> None:
        """Say how the handshake went, once that is known."""
        if opened.done():
            return
        error = handshake.handshake_exc
        if isinstance(error, InvalidStatus):
            opened.set_exception(refusal_of(error.response))
        elif error is not None:
            opened.set_exception(UpstreamUnavailable(retry_after=2, log_detail=type(error).__name__))
        elif handshake.state is OPEN:
            # What comes waits in the kernel until somebody takes it.
            self.transport.pause_reading()
            opened.set_result(None)

    def _fail(self, reason: str) -> None:
        if self._opened is not None and not self._opened.done():
            self._opened.set_exception(UpstreamUnavailable(retry_after=2, log_detail=reason))


async def connect_upstream(url: str, headers: Sequence[tuple[str, str]]) -> ServiceEnd:
    """Open a WebSocket at the service. Raises Refused and UpstreamUnavailable."""
    uri = parse_uri(url)
    handshake = ClientProtocol(uri)
    request = handshake.connect()
    for name, value in headers:
        request.headers[name] = value
    handshake.send_request(request)
    loop = asyncio.get_running_loop()
    secure = True if uri.secure else None
    try:
        with ExitStack() as undone:
            async with asyncio.timeout(OPEN_SECONDS):
                _, end = await loop.create_connection(lambda: ServiceEnd(handshake), uri.host, uri.port, ssl=secure)
                undone.callback(end.transport.abort)
                end.transport.write(b"".join(handshake.data_to_send()))
                await end.opened()
            undone.pop_all()
    except OSError as error:  # TimeoutError is one
        raise UpstreamUnavailable(retry_after=2, log_detail=type(error).__name__) from None
    return end


def refusal_of(answer: Response) -> Refused:
    """Return an answer of the service that is no WebSocket, as it goes to the client."""
    fields = [(name, answer.headers[name]) for name in REFUSAL_FIELDS if name in answer.headers]
    encoded = [(name.encode(), value.encode("latin-1")) for name, value in fields]
    return Refused(answer.status_code, bytes(answer.body or b""), encoded)
