"""What happens around every request of a service, in pure ASGI (R38): ids, log, metrics, last-resort errors."""

import time
from collections.abc import Iterable, Sequence
from functools import lru_cache

import structlog
from prometheus_client import Counter, Histogram
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from chassis.context import HAS_WRITTEN, RequestContext, bind_request, valid_request_id
from chassis.errors import InternalError
from chassis.ids import uuid7_text
from chassis.telemetry.logs import REQUEST_LINES, bind_ids
from chassis.telemetry.tracing import new_traceparent, trace_id_of, traceparent_of_span, valid_traceparent
from chassis.web.replies import refuse

log = structlog.get_logger()

REQUESTS = Counter("taskloom_http_requests_total", "Requests answered.", ["method", "route", "status"])
SECONDS = Histogram(
    "taskloom_http_request_seconds",
    "Time to answer, in seconds.",
    ["method", "route"],
    buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.2, 0.5, 1, 2.5, 5, 10),
)
ABORTED = 499
"""What the log and the metrics say of a request whose client went away before its end; nginx's number for it."""
METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
QUIET_PATHS = frozenset({"/livez", "/readyz", "/internal/revocations"})
ASKED_METHOD = "taskloom.asked_method"
"""Where the scope has the method HEAD that is answered by GET, for endpoints whose body costs something."""
SECURITY_HEADERS = (
    (b"x-content-type-options", b"nosniff"),
    (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'"),
)
SECURITY_NAMES = frozenset(name for name, _ in SECURITY_HEADERS)
OURS = frozenset({b"x-request-id", b"server-timing"})
HAS_WRITTEN_FIELD = HAS_WRITTEN.encode()
EXCHANGE = "taskloom.exchange"
"""Where the scope of an HTTP request has its sending side, as long as it is served."""

Fields = Sequence[tuple[bytes, bytes]]


def by_name(fields: Fields) -> dict[bytes, bytes]:
    """Return the first value of each field. To look for a few among all of them costs more."""
    return dict(reversed(fields))


def context_from(fields: Fields) -> RequestContext:
    """Take over valid ids of the caller, and make the missing ones; what follows belongs to the request's span."""
    given = by_name(fields)
    request_id = valid_request_id(_text(given.get(b"x-request-id"))) or uuid7_text()
    traceparent = traceparent_of_span() or valid_traceparent(_text(given.get(b"traceparent"))) or new_traceparent()
    address, device = _text(given.get(b"x-client-address")), _text(given.get(b"user-agent"))
    return RequestContext(
        request_id, traceparent, told_address=address, told_device=device, has_written=HAS_WRITTEN_FIELD in given
    )


def _text(value: bytes | None) -> str | None:
    return None if value is None else value.decode("latin-1")


class RequestMiddleware:
    """Binds the request's ids, answers HEAD by GET, logs and counts the outcome, and turns a crash into a bare 500."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        context = context_from(scope["headers"])
        bind_request(context)
        bind_ids(request_id=context.request_id, trace_id=trace_id_of(context.traceparent))
        if scope["type"] == "websocket":
            await self._app(scope, receive, send)
            return
        await self._serve(scope, receive, send, context)

    async def _serve(self, scope: Scope, receive: Receive, send: Send, context: RequestContext) -> None:
        method = scope["method"]
        exchange = _Exchange(send, context, without_body=method == "HEAD")
        if exchange.without_body:
            scope = {**scope, "method": "GET", ASKED_METHOD: method}
        scope[EXCHANGE] = exchange
        try:
            await self._app(scope, receive, exchange.send)
        except Exception as error:  # noqa: BLE001 - whatever it is, it is told and answered
            await exchange.fail(error, scope, receive, exchange.send)
        finally:
            # A scope that knew its sending side would wait for a collection: that knows the scope.
            del scope[EXCHANGE]
            _record(scope, method, exchange)


class CrashesInEnvelope:
    """Answers crashes of the routes, before the framework's spans take them for unanswered."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        exchange: _Exchange | None = scope.get(EXCHANGE)
        try:
            await self._app(scope, receive, send)
        except Exception as error:
            if exchange is None:
                raise
            await exchange.fail(error, scope, receive, send)


class _Exchange:
    """The sending side of one request, watched."""

    def __init__(self, send: Send, context: RequestContext, *, without_body: bool) -> None:
        self._send = send
        self._context = context
        self.without_body = without_body
        self.started = time.perf_counter()
        self.status = 0

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            await self._send({**message, "headers": self._completed(message.get("headers", []))})
            # Only now, since a head that is none is not sent.
            self.status = message["status"]
            return
        if self.without_body and message["type"] == "http.response.body":
            message = {**message, "body": b""}
        await self._send(message)

    async def fail(self, error: Exception, scope: Scope, receive: Receive, send: Send) -> None:
        """Tell of a crash and answer it, unless something is sent already."""
        if isinstance(error, ClientDisconnect):
            # Nobody is there to be answered.
            self.status = self.status or ABORTED
            return
        log.error("request.crashed", path=scope["path"], exc_info=error)
        if not self.status:
            await refuse(InternalError())(scope, receive, send)

    def _completed(self, headers: Iterable[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
        # MutableHeaders goes through all of them for each that is set, which took three times as long.
        fields = list(headers)
        names = dict(fields).keys()
        if not OURS.isdisjoint(names):
            fields = [field for field in fields if field[0] not in OURS]
        fields.append((b"x-request-id", self._context.request_id.encode()))
        if SECURITY_NAMES.isdisjoint(names):
            fields += SECURITY_HEADERS
        else:
            fields += [field for field in SECURITY_HEADERS if field[0] not in names]
        fields.append((b"server-timing", b"app;dur=%.1f" % (self.elapsed() * 1000)))
        return fields

    def elapsed(self) -> float:
        return time.perf_counter() - self.started


def _record(scope: Scope, asked: str, exchange: _Exchange) -> None:
    route = getattr(scope.get("route"), "path", "unmatched")
    method = asked if asked in METHODS else "other"
    elapsed = exchange.elapsed()
    requests, seconds = _meters(method, route, exchange.status)
    requests.inc()
    seconds.observe(elapsed)
    if scope["path"] in QUIET_PATHS:
        return
    event = "request.aborted" if exchange.status == ABORTED else "request.served"
    REQUEST_LINES.write(event, method=method, route=route, status=exchange.status, ms=round(elapsed * 1000, 1))


@lru_cache(maxsize=4096)
def _meters(method: str, route: str, status: int) -> tuple[Counter, Histogram]:
    """Return what counts such requests, which is kept, since to find it costs more than to count."""
    return REQUESTS.labels(method, route, status or "aborted"), SECONDS.labels(method, route)
