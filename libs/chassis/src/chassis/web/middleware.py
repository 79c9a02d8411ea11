"""What happens around every request of a service, in pure ASGI (R38): ids, log, metrics, last-resort errors."""

import time
from collections.abc import Iterable
from functools import lru_cache

import structlog
from prometheus_client import Counter, Histogram
from starlette.datastructures import Headers
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from chassis.context import RequestContext, bind_request, valid_request_id
from chassis.errors import InternalError
from chassis.ids import uuid7
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
OURS = frozenset({b"x-request-id", b"server-timing"})


def context_from(headers: Headers) -> RequestContext:
    """Take over valid ids of the caller, and make the missing ones; what follows belongs to the request's span."""
    request_id = valid_request_id(headers.get("x-request-id")) or str(uuid7())
    traceparent = traceparent_of_span() or valid_traceparent(headers.get("traceparent")) or new_traceparent()
    return RequestContext(
        request_id, traceparent, told_address=headers.get("x-client-address"), told_device=headers.get("user-agent")
    )


class RequestMiddleware:
    """Binds the request's ids, answers HEAD by GET, logs and counts the outcome, and turns a crash into a bare 500."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        context = context_from(Headers(scope=scope))
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
        try:
            await self._app(scope, receive, exchange.send)
        except ClientDisconnect:
            # Nobody is there to be answered.
            exchange.status = exchange.status or ABORTED
        except Exception:
            log.exception("request.crashed", path=scope["path"])
            if not exchange.status:
                await refuse(InternalError())(scope, receive, exchange.send)
        finally:
            _record(scope, method, exchange)


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
            self.status = message["status"]
            message = {**message, "headers": self._completed(message.get("headers", []))}
        elif self.without_body and message["type"] == "http.response.body":
            message = {**message, "body": b""}
        await self._send(message)

    def _completed(self, headers: Iterable[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
        # MutableHeaders goes through all of them for each that is set, which took three times as long.
        kept = [field for field in headers if field[0] not in OURS]
        names = {name for name, _ in kept}
        return [
            *kept,
            (b"x-request-id", self._context.request_id.encode()),
            *(field for field in SECURITY_HEADERS if field[0] not in names),
            (b"server-timing", f"app;dur={self.elapsed() * 1000:.1f}".encode()),
        ]

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
