"""The gateway: checks, counts, and passes on."""

import asyncio
from contextlib import AsyncExitStack
from functools import partial
from typing import NamedTuple
from urllib.parse import parse_qs

import structlog
from chassis.context import HAS_WRITTEN, RequestContext
from chassis.errors import AppError, ErrorKind, InternalError, RateLimited
from chassis.process import Protocols
from chassis.telemetry.tracing import request_span
from chassis.web.health import Health
from chassis.web.replies import refuse
from chassis.web.status import STATUS_OF_KIND
from starlette.types import Receive, Scope, Send
from uvicorn.protocols.utils import ClientDisconnected

from gateway.api import STATUS_PATH, status_answer
from gateway.assembly import Parts, open_parts
from gateway.callers import Caller
from gateway.cors import Cors, OriginNotAllowed
from gateway.cost import HIGHEST_COST, cost_of
from gateway.edge import Edge, Head, limit_key
from gateway.errors import AuthStateUnavailable, CostAboveLimit, InvalidToken, RouteNotFound
from gateway.exchange import (
    SECURITY_FIELDS,
    TLS_ONLY,
    Exchange,
    Fields,
    SocketExchange,
    bind_context,
    client_traceparent,
)
from gateway.http_protocol import GONE, REFUSAL, Connections, EdgeProtocol
from gateway.proxy import AnswerBrokenOff, Forwarding, total_seconds
from gateway.rate_limit import Decision, Quota
from gateway.request_body import RequestBody, replayed
from gateway.routes import WITH_REPLICAS, Route, RoutingTable
from gateway.settings import Settings
from gateway.socket_protocol import EdgeSocket
from gateway.upstream_socket import Refused

log = structlog.get_logger()

HEALTH_PATHS = frozenset({"/livez", "/readyz"})
CLIENT_GONE = 499
"""Never sent: for the log and the metrics."""


class Admitted(NamedTuple):
    """A request that goes on: whose it is, what gives its body from then on, and whether its user has just written."""

    caller: Caller | None
    receive: Receive
    has_written: bool = False


class Gateway:
    """The ASGI app. Its parts are made when the server starts, on the loop that they will run on."""

    def __init__(self, settings: Settings, health: Health) -> None:
        self._settings = settings
        self._health = health
        health.required = {**health.required, "auth_state": self._knows_auth_state}
        self._edge = Edge(settings.edge)
        self._table = RoutingTable()
        self._cors = Cors(settings.edge.cors_allow_origins)
        over_tls = settings.edge.public_base_url.startswith("https://")
        self._always: Fields = [*SECURITY_FIELDS, TLS_ONLY] if over_tls else list(SECURITY_FIELDS)
        self._stack = AsyncExitStack()
        self._stop = asyncio.Event()
        self._parts: Parts | None = None

    @property
    def parts(self) -> Parts:
        if self._parts is None:
            raise RuntimeError("the gateway has not been started")
        return self._parts

    async def _knows_auth_state(self) -> None:
        """Raise AuthStateUnavailable until keys and marks were known once: before that every user is refused (R64)."""
        if not (self.parts.keys.are_known and self.parts.revocations.are_known):
            raise AuthStateUnavailable

    def protocols(self) -> Protocols:
        """Return what speaks to the clients of this gateway, with its limits (R16)."""
        limits = Connections(
            per_address=self._settings.gateway.max_connections_per_address,
            total=self._settings.gateway.max_connections,
            head_seconds=self._settings.gateway.head_seconds,
            blocked_seconds=self._settings.gateway.blocked_seconds,
            key_of=self._edge.connection_key,
        )
        return Protocols(http=partial(EdgeProtocol, limits=limits), websocket=partial(EdgeSocket, limits=limits))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._live(receive, send)
        elif scope["type"] == "http":
            await self._serve(scope, receive, send)
        elif scope["type"] == "websocket":
            await self._serve_socket(scope, receive, send)

    async def _serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        traceparent = client_traceparent(scope)
        with request_span(scope["method"], traceparent=traceparent):
            await self._answer(scope, receive, send, bind_context(scope, traceparent))

    async def _answer(self, scope: Scope, receive: Receive, send: Send, context: RequestContext) -> None:
        exchange = Exchange(scope, send, context, self._always)
        try:
            await self._route(scope, receive, exchange, context)
        except AppError as error:
            log_refusal(error, scope["path"])
            await refuse(error)(scope, receive, exchange.send)
        except AnswerBrokenOff as broken:
            # Returning without an end of the answer makes the server end the connection.
            log.warning("answer.broken_off", path=scope["path"], reason=str(broken))
        except asyncio.CancelledError:
            if GONE not in scope:
                raise
            exchange.status = CLIENT_GONE
        except Exception:
            log.exception("request.crashed", path=scope["path"])
            if not exchange.status:
                await refuse(InternalError())(scope, receive, exchange.send)
        finally:
            if scope["path"] not in HEALTH_PATHS:
                exchange.record()

    async def _route(self, scope: Scope, receive: Receive, exchange: Exchange, context: RequestContext) -> None:
        if scope["path"] in HEALTH_PATHS:
            await self._own(scope, receive, exchange)
            return
        head = await self._read_head(scope, exchange)
        exchange.fields.extend(self._cors.fields(head.origin))
        if scope["method"] == "OPTIONS" and head.origin is not None:
            await self._count(self._by_address(head.client), exchange)
            await self._cors.answer_preflight(head.origin, exchange.send)
            return
        route = self._table.find(scope["path"])
        if route is None:
            await self._count(self._by_address(head.client), exchange)
            raise RouteNotFound
        exchange.route = route.template
        if route.stream and scope["method"] == "GET":
            reader = await self._admit_live(scope, head, exchange)
            headers = self._forwarding(route, head, reader, context).headers
            await self.parts.streams.serve(scope, exchange.send, caller=reader, headers=headers)
            return
        admitted = await self._admit(route, head, exchange, scope, receive)
        if route.upstream == "gateway":
            scope["taskloom.caller"], scope["taskloom.client"] = admitted.caller, head.client
            await self._own(scope, admitted.receive, exchange)
            return
        forwarding = self._forwarding(route, head, admitted.caller, context)
        if admitted.has_written:
            forwarding.headers.append((HAS_WRITTEN, "1"))
        await self.parts.proxy.forward(scope, admitted.receive, exchange.send, forwarding)

    async def _read_head(self, scope: Scope, exchange: Exchange) -> Head:
        """Check the head. A refusal is counted, so that nobody has an endless number of them."""
        try:
            if REFUSAL in scope:
                raise scope[REFUSAL]
            return self._edge.read(scope)
        except AppError:
            await self._count(self._by_address(self._edge.client(scope)), exchange)
            raise

    async def _own(self, scope: Scope, receive: Receive, exchange: Exchange) -> None:
        body = RequestBody(scope, receive, self._settings.gateway.max_body_bytes)
        if not body.is_empty:
            receive = replayed(await body.complete())
        asked = {**scope, "method": "GET"} if scope["method"] == "HEAD" else scope
        api = self.parts.api
        if asked["method"] == "GET" and asked["path"] == STATUS_PATH and not asked["query_string"]:
            # What is watched is asked for all the time.
            await (await status_answer(api.state.statuses))(asked, receive, exchange.send)
            return
        await api(asked, receive, exchange.send)

    async def _admit(self, route: Route, head: Head, exchange: Exchange, scope: Scope, receive: Receive) -> Admitted:
        """Identify the caller where the route asks for it, and count the request. Raises 401, 429 and 503s."""
        if route.access != "user":
            await self._count(self._by_address(head.client, login=route.access == "login"), exchange)
            return Admitted(None, receive)
        try:
            caller = await self.parts.authenticator.authenticate(head.authorization, client=head.client)
        except AppError:
            await self._count(self._by_address(head.client), exchange)
            raise
        if route.changes_by(scope["method"]):
            return Admitted(caller, await self._count_write(route, caller, exchange, scope, receive))
        decision = await self._count(self._by_user(caller), exchange)
        return Admitted(caller, receive, has_written=decision.has_written and self._tells_of_writes(route))

    def _tells_of_writes(self, route: Route) -> bool:
        return route.upstream in WITH_REPLICAS and self._settings.gateway.read_your_writes_seconds > 0

    async def _count_write(
        self, route: Route, caller: Caller, exchange: Exchange, scope: Scope, receive: Receive
    ) -> Receive:
        """Count a request that is remembered of its user, and return what gives its body from then on."""
        body = RequestBody(scope, receive, self._settings.gateway.max_body_bytes)
        quota = self._by_user(caller)._replace(remembered=self._remembered(route, body))
        if route.cost_by is not None and scope["method"] == "POST":
            return replayed(await self._count_by_body(quota, exchange, body, route.cost_by))
        await self._count(quota, exchange)
        return receive

    def _remembered(self, route: Route, body: RequestBody) -> float:
        """Return for how many seconds a write is remembered that begins now: as long as it may take, and then some."""
        seconds = self._settings.gateway.read_your_writes_seconds
        return body.ahead_seconds + total_seconds(route) + seconds if seconds else 0.0

    async def _count_by_body(self, quota: Quota, exchange: Exchange, body: RequestBody, member: str) -> bytes:
        """Count what the body asks for as a whole, and return it. A body that is refused counts as a request."""
        # Who has no place left gets no large body read.
        room = await self.parts.limiter.decide(quota._replace(cost=0, remembered=0.0))
        if not room.allowed:
            exchange.fields.extend(room.headers())
            _refuse_above(room)
        try:
            sent = await body.complete()
            cost = cost_of(sent, member)
            if cost > HIGHEST_COST:
                raise CostAboveLimit(data={"cost": cost, "limit": HIGHEST_COST})
        except AppError:
            await self._count(quota, exchange)
            raise
        await self._count(quota._replace(cost=min(cost, quota.limit)), exchange)
        return sent

    async def _count(self, quota: Quota, exchange: Exchange) -> Decision:
        decision = await self.parts.limiter.decide(quota)
        exchange.fields.extend(decision.headers())
        _refuse_above(decision)
        return decision

    def _by_user(self, caller: Caller) -> Quota:
        return Quota(caller.counted_as, self._settings.gateway.rate_limit_per_minute, "user")

    def _by_address(self, client: str, *, login: bool = False) -> Quota:
        limits = self._settings.gateway
        if login:
            return Quota(f"login:{limit_key(client)}", limits.login_limit_per_minute, "login")
        return Quota(f"address:{limit_key(client)}", limits.anonymous_limit_per_minute, "anonymous")

    def _forwarding(self, route: Route, head: Head, caller: Caller | None, context: RequestContext) -> Forwarding:
        headers = [
            *head.forwarded,
            *_ids(context),
            ("x-client-address", head.client),
        ]
        if caller is not None:
            headers.append(("x-taskloom-identity", caller.identity))
        limits = self._settings.gateway
        large = limits.max_import_bytes if route.file else limits.max_upload_bytes
        return Forwarding(route, headers, large if route.upload else limits.max_body_bytes)

    async def _serve_socket(self, scope: Scope, receive: Receive, send: Send) -> None:
        await receive()  # websocket.connect
        context = bind_context(scope, client_traceparent(scope))
        exchange = SocketExchange(scope, send, context, self._always)
        try:
            head = await self._read_head(scope, exchange)
            exchange.route = "/api/v1/ws"
            exchange.fields.extend(self._cors.fields(head.origin))
            caller = await self._admit_live(scope, head, exchange)
            headers = [("x-taskloom-identity", caller.identity), *_ids(context), ("x-client-address", head.client)]
            headers += [field for field in head.forwarded if field[0] == "x-timezone"]
            await self.parts.sockets.serve(
                scope, exchange.send, caller=caller, client=head.client, headers=headers, fields=exchange.fields
            )
        except AppError as error:
            log_refusal(error, scope["path"])
            await exchange.answer(refuse(error))
        except Refused as refusal:
            await exchange.refuse(refusal.status, refusal.body, refusal.fields)
        except ClientDisconnected:
            log.info("socket.client_gone")
        except Exception:
            log.exception("socket.crashed", path=scope["path"])
            await exchange.fail(refuse(InternalError()))

    async def _admit_live(self, scope: Scope, head: Head, exchange: Exchange) -> Caller:
        """Return who connects, and count it; by address where nobody could be identified."""
        try:
            caller = await self._identify_live(scope, head)
        except AppError:
            await self._count(self._by_address(head.client), exchange)
            raise
        await self._count(self._by_user(caller), exchange)
        return caller

    async def _identify_live(self, scope: Scope, head: Head) -> Caller:
        """Return who connects, by Authorization or by ticket. A page must be of a listed origin, or ours (R53)."""
        own_origin = head.origin is not None and head.origin.partition("://")[2] == head.host
        if head.origin is not None and not own_origin and not self._cors.allows(head.origin):
            raise OriginNotAllowed
        tickets = parse_qs(scope["query_string"].decode("latin-1")).get("ticket")
        if head.authorization is None and tickets:
            if len(tickets) > 1:
                raise InvalidToken(log_detail="several tickets")
            caller = await self.parts.tickets.redeem(tickets[0], client=head.client)
            self.parts.revocations.check(caller)
            return caller
        return await self.parts.authenticator.authenticate(head.authorization, client=head.client)

    async def _live(self, receive: Receive, send: Send) -> None:
        await receive()
        try:
            await self._start()
        except Exception:
            log.exception("gateway.start_failed")
            await self._stack.aclose()
            await send({"type": "lifespan.startup.failed", "message": ""})
            return
        await send({"type": "lifespan.startup.complete"})
        await receive()
        self._stop.set()
        await self._stack.aclose()
        await send({"type": "lifespan.shutdown.complete"})

    async def _start(self) -> None:
        self._parts = await open_parts(self._settings, self._health, self._stack)
        for work in (self._parts.keys.run, self._parts.revocations.run):
            task = asyncio.create_task(work(self._stop))
            self._stack.callback(task.cancel)


def log_refusal(error: AppError, path: str) -> None:
    """Log what somebody should know of: our own faults, and failed identification (R65)."""
    if STATUS_OF_KIND[error.kind] >= 500:  # noqa: PLR2004 - the server's own faults
        log.error("request.failed", code=error.details[0].code, detail=error.log_detail, path=path)
    elif error.kind in (ErrorKind.UNAUTHENTICATED, ErrorKind.FORBIDDEN):
        log.warning("request.denied", code=error.details[0].code, detail=error.log_detail, path=path)


def _ids(context: RequestContext) -> list[tuple[str, str]]:
    return [("x-request-id", context.request_id), ("traceparent", context.traceparent)]


def _refuse_above(decision: Decision) -> None:
    if not decision.allowed:
        raise RateLimited(retry_after=decision.retry_after)
