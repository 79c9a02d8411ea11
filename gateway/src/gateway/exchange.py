"""The answering side of one request: fields that every answer carries, and what came of it."""

import time
from collections.abc import Iterable
from contextlib import suppress
from functools import lru_cache

import structlog
from chassis.context import RequestContext, bind_request, valid_request_id
from chassis.ids import uuid7_text
from chassis.telemetry.logs import REQUEST_LINES, bind_ids
from chassis.telemetry.tracing import (
    describe_span,
    new_traceparent,
    trace_id_of,
    traceparent_of_span,
    valid_traceparent,
)
from prometheus_client import Counter, Histogram
from starlette.responses import Response
from starlette.types import Message, Scope, Send

log = structlog.get_logger()

REQUESTS = Counter("taskloom_gateway_requests_total", "Requests answered.", ["method", "route", "status"])
SECONDS = Histogram("taskloom_gateway_request_seconds", "Time to answer, in seconds.", ["route"])

Fields = list[tuple[bytes, bytes]]

INTERNAL_ERROR = 1011
"""RFC 6455, section 7.4.1."""
METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
SECURITY_FIELDS: Fields = [
    (b"x-content-type-options", b"nosniff"),
    (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'"),
]
TLS_ONLY = (b"strict-transport-security", b"max-age=31536000; includeSubDomains")


def bind_context(scope: Scope, traceparent: str | None) -> RequestContext:
    """Take over valid ids of the client, make the missing ones, and bind them for logs and answers.

    `traceparent` is the client's. Where spans are exported, what follows belongs to the span that this is called in.
    """
    request_id = valid_request_id(_told(scope, b"x-request-id")) or uuid7_text()
    context = RequestContext(request_id, traceparent_of_span() or traceparent or new_traceparent())
    bind_request(context)
    bind_ids(request_id=request_id, trace_id=trace_id_of(context.traceparent))
    return context


def client_traceparent(scope: Scope) -> str | None:
    """Return the trace context that the client sent, if it is one."""
    return valid_traceparent(_told(scope, b"traceparent"))


def _told(scope: Scope, field: bytes) -> str | None:
    for name, value in scope["headers"]:
        if name == field:
            return str(value, "latin-1")
    return None


class Exchange:
    """Adds `fields` to the answer, unless the service has set them itself, and measures."""

    def __init__(self, scope: Scope, send: Send, context: RequestContext, always: Fields) -> None:
        self._send = send
        self._scope = scope
        self._without_body = scope.get("method") == "HEAD"
        self._started = time.perf_counter()
        self.fields: Fields = [*always, (b"x-request-id", context.request_id.encode())]
        self.route = "unmatched"
        self.status = 0

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            await self._send({**message, "headers": self._completed(message.get("headers", []))})
            # Only now, since a head that is none is not sent.
            self.status = message["status"]
            return
        if self._without_body and message.get("body"):
            message = {**message, "body": b""}
        await self._send(message)

    def record(self) -> None:
        """Count and log the outcome."""
        elapsed = time.perf_counter() - self._started
        method = self._scope["method"] if self._scope["method"] in METHODS else "other"
        requests, seconds = _meters(method, self.route, self.status)
        requests.inc()
        seconds.observe(elapsed)
        describe_span(f"{method} {self.route}", status=self.status)
        ms = round(elapsed * 1000, 1)
        REQUEST_LINES.write("request.served", method=method, route=self.route, status=self.status, ms=ms)

    def _completed(self, headers: Iterable[tuple[bytes, bytes]]) -> Fields:
        present = list(headers)
        # Several Vary fields are one list (RFC 9110, section 5.3): ours does not replace the service's.
        names = {name for name, _ in present if name != b"vary"}
        added = [field for field in self.fields if field[0] not in names]
        return [*present, *added]


@lru_cache(maxsize=4096)
def _meters(method: str, route: str, status: int) -> tuple[Counter, Histogram]:
    """Return what counts such requests, which is kept, since to find it costs more than to count."""
    return REQUESTS.labels(method, route, status or "aborted"), SECONDS.labels(route)


class SocketExchange(Exchange):
    """The answering side of a WebSocket handshake."""

    has_opened = False

    async def send(self, message: Message) -> None:
        self.has_opened = self.has_opened or message["type"] == "websocket.accept"
        await self._send(message)

    async def answer(self, response: Response) -> None:
        """Answer the handshake with a response of ours."""
        await self.refuse(response.status_code, bytes(response.body), response.raw_headers)

    async def fail(self, response: Response) -> None:
        """End with the response, or with a close frame where the socket is open already."""
        if not self.has_opened:
            await self.answer(response)
            return
        with suppress(RuntimeError, OSError):  # the client may be gone already
            await self._send({"type": "websocket.close", "code": INTERNAL_ERROR, "reason": "internal error"})

    async def refuse(self, status: int, body: bytes, headers: Iterable[tuple[bytes, bytes]]) -> None:
        """Answer the handshake with an HTTP response."""
        log.info("socket.refused", status=status)
        REQUESTS.labels("GET", self.route, status).inc()
        start = {"type": "websocket.http.response.start", "status": status, "headers": self._completed(headers)}
        await self._send(start)
        await self._send({"type": "websocket.http.response.body", "body": body})
