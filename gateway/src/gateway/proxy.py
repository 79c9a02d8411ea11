"""Forwarding: streams both ways, with limits on size and time (R16, R20, R25)."""

import asyncio
import random
from collections.abc import AsyncIterator, Mapping
from contextlib import suppress
from dataclasses import dataclass

import aiohttp
from chassis.errors import AppError, MalformedRequest, PayloadTooLarge
from starlette.types import Receive, Scope, Send
from yarl import URL

from gateway.breaker import Breaker
from gateway.errors import BodyTimeout, UpstreamFailed, UpstreamTimeout, UpstreamUnavailable
from gateway.routes import Route

CONNECT_SECONDS = 1.0
TRY_SECONDS = 10.0
UPLOAD_SECONDS = 300.0
IDLE_SECONDS = 30.0
BODY_GRACE_SECONDS = 5.0
MIN_BYTES_PER_SECOND = 1024
SMALL_BODY = 64 * 1024
DRAIN_SECONDS = 10.0
DRAIN_BYTES = 64 * 1024 * 1024

RETRIED_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
BODILESS = frozenset({"GET", "HEAD", "OPTIONS"})
DROPPED = frozenset(
    {
        "connection",
        "keep-alive",
        "proxy-authenticate",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
        "server",
        "date",
        "x-request-id",
    }
)


@dataclass(frozen=True, slots=True)
class Forwarding:
    """A request as it goes on: the route that it takes and the fields that it carries."""

    route: Route
    headers: list[tuple[str, str]]
    max_body: int


class Proxy:
    """Forwards requests to the services."""

    def __init__(self, session: aiohttp.ClientSession, upstreams: Mapping[str, str]) -> None:
        self._session = session
        self._bases = {name: url.rstrip("/") for name, url in upstreams.items()}
        self._breakers = {name: Breaker() for name in upstreams}

    async def forward(self, scope: Scope, receive: Receive, send: Send, forwarding: Forwarding) -> int:
        """Forward and answer; return the status. Raises the refusals of gateway.errors before an answer began."""
        body = RequestBody(scope, receive, forwarding.max_body)
        try:
            return await self._forward(scope, send, forwarding, body)
        except PayloadTooLarge:
            # A client that is still sending would not see the answer on a connection that is reset.
            await body.drain()
            raise

    async def _forward(self, scope: Scope, send: Send, forwarding: Forwarding, body: "RequestBody") -> int:
        body.check_declared_length()
        url = self._url(scope, forwarding.route)
        breaker = self._breakers[forwarding.route.upstream]
        attempts = 2 if _may_retry(scope["method"], forwarding.headers, body) else 1
        for attempt in range(attempts):
            breaker.enter()
            ok = False
            try:
                async with self._open(scope["method"], url, forwarding, body) as response:
                    ok = response.status not in (502, 503)
                    if ok or attempt + 1 == attempts:
                        await _answer(response, send)
                        return response.status
            except (aiohttp.ClientError, TimeoutError, BodyRefused) as error:
                # The client library wraps what its body raised, so the body is asked first.
                ok = body.refusal is not None
                refusal = body.refusal or _refusal_of(error)
                if ok or attempt + 1 == attempts or not isinstance(error, aiohttp.ClientConnectionError):
                    raise refusal from None
            finally:
                breaker.leave(ok=ok)
            await asyncio.sleep(random.uniform(0.05, 0.15))
        raise UpstreamUnavailable(retry_after=2)

    def _url(self, scope: Scope, route: Route) -> URL:
        """Build the upstream address; the path was checked by gateway.edge and needs no quoting again."""
        raw: bytes = scope.get("raw_path") or scope["path"].encode()
        query = scope["query_string"].decode("latin-1")
        return URL(f"{self._bases[route.upstream]}{raw.decode('ascii')}{'?' + query if query else ''}", encoded=True)

    def _open(
        self, method: str, url: URL, forwarding: Forwarding, body: "RequestBody"
    ) -> "aiohttp.client._RequestContextManager":
        total = UPLOAD_SECONDS if forwarding.route.upload or forwarding.route.upstream == "attachments" else TRY_SECONDS
        return self._session.request(
            method,
            url,
            headers=forwarding.headers,
            data=None if body.is_empty else body.chunks(),
            allow_redirects=False,
            timeout=aiohttp.ClientTimeout(total=total, sock_connect=CONNECT_SECONDS, sock_read=IDLE_SECONDS),
        )


class BodyRefused(Exception):
    """Ends the body's stream within the client that reads it; why, `RequestBody.refusal` says."""


class RequestBody:
    """The client's body, counted and timed while it streams through."""

    def __init__(self, scope: Scope, receive: Receive, limit: int) -> None:
        self._receive = receive
        self._limit = limit
        names = {name: value for name, value in scope["headers"] if name in (b"content-length", b"transfer-encoding")}
        self._declared = _declared_length(names.get(b"content-length"))
        self.is_empty = not self._declared and b"transfer-encoding" not in names
        self.refusal: AppError | None = None
        self._more = True

    def check_declared_length(self) -> None:
        """Raise PayloadTooLarge for a body that says itself that it is too large."""
        if self._declared is not None and self._declared > self._limit:
            raise PayloadTooLarge(headers={"connection": "close"})

    async def drain(self) -> None:
        """Read and forget what the client still sends, for a few seconds and some megabytes at most."""
        drained = 0
        with suppress(TimeoutError):
            async with asyncio.timeout(DRAIN_SECONDS):
                while self._more and drained < DRAIN_BYTES:
                    message = await self._receive()
                    drained += len(message.get("body", b""))
                    self._more = bool(message.get("more_body")) and message["type"] == "http.request"

    async def chunks(self) -> AsyncIterator[bytes]:
        """Yield the body. Raises BodyRefused when it is too large, too slow, or its sender went away."""
        loop = asyncio.get_running_loop()
        started, received = loop.time(), 0
        while self._more:
            deadline = started + BODY_GRACE_SECONDS + received / MIN_BYTES_PER_SECOND
            try:
                message = await asyncio.wait_for(self._receive(), max(0.01, deadline - loop.time()))
            except TimeoutError:
                raise self._refused(BodyTimeout(headers={"connection": "close"})) from None
            if message["type"] == "http.disconnect":
                raise self._refused(MalformedRequest("The client went away."))
            chunk, self._more = message.get("body", b""), bool(message.get("more_body", False))
            received += len(chunk)
            if received > self._limit:
                raise self._refused(PayloadTooLarge(headers={"connection": "close"}))
            if chunk:
                yield chunk

    def _refused(self, error: AppError) -> BodyRefused:
        self.refusal = error
        return BodyRefused()


def _refusal_of(error: Exception) -> AppError:
    """Return what a failure of the exchange with a service means to the client."""
    if isinstance(error, TimeoutError):
        return UpstreamTimeout(log_detail=type(error).__name__)
    if isinstance(error, aiohttp.ClientConnectionError):
        return UpstreamUnavailable(retry_after=2, log_detail=type(error).__name__)
    return UpstreamFailed(log_detail=type(error).__name__)


async def _answer(response: aiohttp.ClientResponse, send: Send) -> None:
    headers = [
        (name.lower(), value) for name, value in response.raw_headers if name.decode("latin-1").lower() not in DROPPED
    ]
    start = {"type": "http.response.start", "status": response.status, "headers": headers}
    length = response.content_length
    if length is not None and length <= SMALL_BODY:
        body = await response.read()
        await send(start)
        await send({"type": "http.response.body", "body": body})
        return
    await send(start)
    async for chunk in response.content.iter_any():
        await send({"type": "http.response.body", "body": chunk, "more_body": True})
    await send({"type": "http.response.body", "body": b""})


def _declared_length(value: bytes | None) -> int | None:
    if value is None:
        return None
    if not value.isdigit():
        raise MalformedRequest("Content-Length is a number of bytes.")
    return int(value)


def _may_retry(method: str, headers: list[tuple[str, str]], body: RequestBody) -> bool:
    safe = method in RETRIED_METHODS or any(name == "idempotency-key" for name, _ in headers)
    return safe and body.is_empty
