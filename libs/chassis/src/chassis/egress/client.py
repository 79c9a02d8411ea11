"""Requests to URLs that users choose (R62): every address is looked at, and then that address is connected to."""

import asyncio
import ssl
from collections.abc import Iterable, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any, NoReturn

import httpcore2
from httpcore2 import AsyncHTTPConnection, AsyncNetworkBackend, AsyncNetworkStream

from chassis.egress.addresses import Address
from chassis.egress.resolving import DnsResolver, Resolver, Unresolved
from chassis.egress.rules import EgressRules, Target, UrlNotAllowed

CONNECT_SECONDS = 5.0
TOTAL_SECONDS = 15.0
CHECK_SECONDS = 2.0
MAX_BODY = 64 * 1024
MAX_RECEIVED = 2 * MAX_BODY
"""Bytes of a whole answer, its headers and the framing of its body included."""
MAX_ADDRESSES = 4
"""How many of a name's addresses are tried, one after the other."""


class Blocked(Exception):
    """The URL leads, or leads now, where requests may not go: nothing was sent."""


class Unanswered(Exception):
    """No answer came: `reason` is one of dns, connect, tls, timeout, protocol."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back: header names in lower case, and no more than the first 64 KiB of the body, as it was sent."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class Egress:
    """Sends single requests, each over a connection of its own, without proxies, redirects and cookies."""

    def __init__(
        self,
        rules: EgressRules,
        *,
        resolver: Resolver | None = None,
        tls: ssl.SSLContext | None = None,
        connect_seconds: float = CONNECT_SECONDS,
        total_seconds: float = TOTAL_SECONDS,
    ) -> None:
        self._rules = rules
        self._resolve = resolver or DnsResolver()
        self._tls = tls or ssl.create_default_context()
        self._connect_seconds = connect_seconds
        self._total_seconds = total_seconds

    async def check(self, url: str) -> None:
        """Refuse a URL that requests may not go to, by what it says and by what DNS says of it now.

        A name that nobody knows at the moment passes: it is asked for again at every request. Raises UrlNotAllowed.
        """
        target = self._rules.target(url)
        try:
            async with asyncio.timeout(CHECK_SECONDS):
                await self._addresses(target)
        except (Unresolved, TimeoutError):
            return

    async def fetch(
        self, method: str, url: str, *, headers: Mapping[str, str] | None = None, body: bytes = b""
    ) -> Answer:
        """Send one request and return what comes back, whatever its status. Raises Blocked or Unanswered."""
        try:
            async with asyncio.timeout(self._total_seconds):
                target = self._rules.target(url)
                request = _request(method, target, headers or {}, body, self._connect_seconds)
                backend = _Pinned(await self._located(target), self._connect_seconds)
                return await self._exchange(request, backend)
        except UrlNotAllowed as error:
            raise Blocked(error.message) from None
        except (TimeoutError, httpcore2.TimeoutException):
            raise Unanswered("timeout") from None
        except httpcore2.ConnectError as error:
            raise Unanswered("tls" if isinstance(error.__cause__, ssl.SSLError) else "connect") from None
        except (httpcore2.NetworkError, httpcore2.ProtocolError, OSError):
            raise Unanswered("protocol") from None

    async def close(self) -> None:
        """Close what is kept open between requests."""
        if isinstance(self._resolve, DnsResolver):
            await self._resolve.close()

    async def _located(self, target: Target) -> Sequence[Address]:
        try:
            async with asyncio.timeout(self._connect_seconds):
                return await self._addresses(target)
        except Unresolved:
            raise Unanswered("dns") from None

    async def _addresses(self, target: Target) -> Sequence[Address]:
        """Return where the host is: all of it is allowed, or nothing. Raises UrlNotAllowed, Unresolved."""
        if target.address is not None:
            return [target.address]
        # Without a final dot, names would be looked for in the domains of this machine's network, too.
        name = target.host if self._rules.networks else f"{target.host}."
        addresses = await self._resolve(name)
        if not addresses:
            raise Unresolved("dns_empty")
        self._rules.check(addresses)
        return addresses

    async def _exchange(self, request: httpcore2.Request, backend: "_Pinned") -> Answer:
        connection = AsyncHTTPConnection(request.url.origin, ssl_context=self._tls, network_backend=backend)
        try:
            response = await connection.handle_async_request(request)
            body = bytearray()
            async with aclosing(response.aiter_stream()) as chunks:
                async for chunk in chunks:
                    body += chunk
                    if len(body) >= MAX_BODY:
                        break
            return Answer(response.status, _headers(response.headers), bytes(body[:MAX_BODY]))
        finally:
            await backend.close()


def _request(
    method: str, target: Target, headers: Mapping[str, str], body: bytes, connect_seconds: float
) -> httpcore2.Request:
    url = httpcore2.URL(
        scheme=target.scheme.encode(), host=target.host.encode(), port=target.port, target=target.path.encode()
    )
    fixed = {"host": target.host_header, "accept-encoding": "identity", "connection": "close"}
    length = {"content-length": str(len(body))} if body or method == "POST" else {}
    sent = [(name.encode(), value.encode()) for name, value in {**headers, **fixed, **length}.items()]
    extensions: dict[str, Any] = {"timeout": {"connect": connect_seconds}}
    return httpcore2.Request(method, url, headers=sent, content=body, extensions=extensions)


def _headers(raw: Sequence[tuple[bytes, bytes]]) -> dict[str, str]:
    return {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in raw}


class _Pinned(AsyncNetworkBackend):
    """Connects to one of the given addresses, whatever the name that is asked for."""

    def __init__(self, addresses: Sequence[Address], seconds: float) -> None:
        self._addresses = addresses[:MAX_ADDRESSES]
        self._seconds = seconds
        self._network = httpcore2.AnyIOBackend()
        self._stream: AsyncNetworkStream | None = None

    async def connect_tcp(
        self,
        host: str,  # noqa: ARG002 - the name has its addresses already
        port: int,
        timeout: float | None = None,  # noqa: ASYNC109 - the interface is httpcore's
        local_address: str | None = None,
        socket_options: Iterable[httpcore2.SOCKET_OPTION] | None = None,
    ) -> AsyncNetworkStream:
        """Connect to the first address that answers. Raises ConnectError, ConnectTimeout."""
        each = (timeout or self._seconds) / len(self._addresses)
        failure: Exception = httpcore2.ConnectError("no address")
        for address in self._addresses:
            try:
                self._stream = await self._network.connect_tcp(str(address), port, each, local_address, socket_options)
                return _Metered(self._stream)
            except (httpcore2.ConnectError, httpcore2.ConnectTimeout) as error:
                failure = error
        raise failure

    async def close(self) -> None:
        """End the connection at once, whatever the other side still has to say."""
        if self._stream is not None:
            await self._stream.aclose()


class _Metered(AsyncNetworkStream):
    """A connection that is given up once more has come than any answer needs."""

    def __init__(self, stream: AsyncNetworkStream) -> None:
        self._stream = stream
        self._received = 0

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:  # noqa: ASYNC109 - httpcore's
        data = await self._stream.read(max_bytes, timeout)
        self._received += len(data)
        if self._received > MAX_RECEIVED:
            _give_up()
        return data

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:  # noqa: ASYNC109 - httpcore's
        await self._stream.write(buffer, timeout)

    async def aclose(self) -> None:
        await self._stream.aclose()

    async def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,  # noqa: ASYNC109 - httpcore's
    ) -> AsyncNetworkStream:
        return _Metered(await self._stream.start_tls(ssl_context, server_hostname, timeout))

    def get_extra_info(self, info: str) -> Any:
        return self._stream.get_extra_info(info)


def _give_up() -> NoReturn:
    raise httpcore2.RemoteProtocolError("the answer is too long")
