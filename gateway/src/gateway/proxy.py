"""Forwarding: streams both ways, with limits on size and time (R16, R20, R25)."""

import asyncio
import random
from collections.abc import Mapping
from dataclasses import dataclass, field

from chassis.errors import AppError, PayloadTooLarge
from chassis.web.answers import BODY_FOLLOWS
from starlette.types import Receive, Scope, Send

from gateway.breaker import Breaker, RetryBudget
from gateway.errors import UpstreamFailed, UpstreamTimeout, UpstreamUnavailable
from gateway.request_body import SMALL, BodyRefused, RequestBody, body_timeout
from gateway.routes import SAFE_METHODS, Route
from gateway.upstream_connection import Dropped, NotConnected, Question, Reply, ServiceTrouble
from gateway.upstream_http import ServiceClient

TRY_SECONDS = 3.0
TOTAL_SECONDS = 10.0
IDLE_SECONDS = 30.0
TRANSFER_SECONDS = 300.0

FAILURES = frozenset({502, 503})
WITHOUT_LENGTH = frozenset({204, 304})
DROPPED = frozenset(
    {
        b"connection",
        b"keep-alive",
        b"proxy-authenticate",
        b"proxy-connection",
        b"te",
        b"trailer",
        b"transfer-encoding",
        b"upgrade",
        b"server",
        b"date",
        b"x-request-id",
    }
)


def total_seconds(route: Route) -> float:
    """Return how long a request that takes a route may take in all."""
    if route.is_transfer:
        return TRANSFER_SECONDS
    return IDLE_SECONDS if route.does_many else TOTAL_SECONDS


@dataclass(frozen=True, slots=True)
class Forwarding:
    """A request as it goes on: the route that it takes and the fields that it carries."""

    route: Route
    headers: list[tuple[str, str]]
    max_body: int


class AnswerBrokenOff(Exception):
    """The service broke off after its answer had begun: nothing but the end of the connection can say so."""


class TryAgain(Exception):
    """Nothing of an answer has come, and a second try is allowed."""


@dataclass
class Upstream:
    """A service: how it is reached, and how it has been."""

    client: ServiceClient
    breaker: Breaker = field(default_factory=Breaker)
    retries: RetryBudget = field(default_factory=RetryBudget)


@dataclass(slots=True)
class Call:
    """One request to a service, which may be sent twice."""

    method: str
    target: str
    forwarding: Forwarding
    body: RequestBody
    buffered: bytes | None
    deadline: float

    @property
    def may_be_repeated(self) -> bool:
        safe = self.method in SAFE_METHODS or any(name == "idempotency-key" for name, _ in self.forwarding.headers)
        return safe and self.buffered is not None

    @property
    def _answer_seconds(self) -> float:
        """How long nothing may come: what can't be sent again is waited for, since giving up would not undo it."""
        if self.forwarding.route.is_transfer or self.forwarding.route.does_many:
            return IDLE_SECONDS
        return TRY_SECONDS if self.may_be_repeated else TOTAL_SECONDS

    def question(self) -> Question:
        """Return what is asked of the service."""
        body = self.body.chunks() if self.buffered is None else self.buffered
        headers = self.forwarding.headers
        return Question(self.method, self.target, headers, body, self._answer_seconds, self.deadline)


class Proxy:
    """Forwards requests to the services."""

    def __init__(self, services: Mapping[str, ServiceClient]) -> None:
        self._upstreams = {name: Upstream(client) for name, client in services.items()}

    async def forward(self, scope: Scope, receive: Receive, send: Send, forwarding: Forwarding) -> None:
        """Forward and answer. Raises the refusals of gateway.errors before an answer began, then AnswerBrokenOff."""
        body = RequestBody(scope, receive, forwarding.max_body)
        try:
            body.check_declared_length()
            await self._forward(scope, send, forwarding, body)
        except PayloadTooLarge:
            # A client that is still sending would not see the answer on a connection that is reset.
            await body.drain()
            raise

    async def _forward(self, scope: Scope, send: Send, forwarding: Forwarding, body: RequestBody) -> None:
        upstream = self._upstreams[forwarding.route.upstream]
        upstream.retries.count()
        call = await self._call(scope, forwarding, body)
        try:
            await self._try(upstream, call, Answer(send), is_first=True)
        except TryAgain:
            await asyncio.sleep(random.uniform(0.05, 0.15))
            await self._try(upstream, call, Answer(send), is_first=False)

    async def _call(self, scope: Scope, forwarding: Forwarding, body: RequestBody) -> Call:
        buffered = b"" if body.is_empty else await body.whole() if body.is_small else None
        deadline = asyncio.get_running_loop().time() + total_seconds(forwarding.route)
        target = upstream_target(scope, scope["query_string"])
        return Call(scope["method"], target, forwarding, body, buffered, deadline)

    async def _try(self, upstream: Upstream, call: Call, answer: "Answer", *, is_first: bool) -> None:
        upstream.breaker.enter()
        ok: bool | None = None
        try:
            reply = await upstream.client.ask(call.question())
            try:
                ok = reply.status not in FAILURES
                if not ok and is_first and call.may_be_repeated and upstream.retries.take():
                    raise TryAgain
                await answer.relay(reply)
            finally:
                upstream.client.release(reply)
        except (ServiceTrouble, TimeoutError, BodyRefused) as error:
            refusal = _of_the_client(call.body, error)
            ok = None if refusal else False
            if answer.has_begun:
                raise AnswerBrokenOff(type(error).__name__) from None
            may_try_again = is_first and _came_to_nothing(error) and call.may_be_repeated
            if may_try_again and upstream.retries.take():
                raise TryAgain from None
            raise refusal or failure_of(error) from None
        finally:
            upstream.breaker.leave(ok=ok)


class Answer:
    """The answer of a service on its way to the client."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self.has_begun = False

    async def relay(self, reply: Reply) -> None:
        """Pass it on: a small one as a whole, others as they come."""
        if reply.status in WITHOUT_LENGTH or (reply.length is not None and reply.length <= SMALL):
            body = await reply.whole()
            await self.begin(reply, body_follows=True)
            await self._send({"type": "http.response.body", "body": body})
            return
        await self.begin(reply)
        async for piece in reply.pieces():
            await self._send({"type": "http.response.body", "body": piece, "more_body": True})
        await self._send({"type": "http.response.body", "body": b""})

    async def begin(self, reply: Reply, *, body_follows: bool = False) -> None:
        """Pass on the head."""
        start = {"type": "http.response.start", "status": reply.status, "headers": _passed_on(reply)}
        if body_follows:
            start[BODY_FOLLOWS] = True
        self.has_begun = True
        await self._send(start)


def upstream_target(scope: Scope, query: bytes) -> str:
    """Return what to ask a service for; the path was checked by gateway.edge and needs no quoting again."""
    raw: bytes = scope.get("raw_path") or scope["path"].encode()
    return (raw + b"?" + query if query else raw).decode("ascii")


def _passed_on(reply: Reply) -> list[tuple[bytes, bytes]]:
    """Return the fields that concern the client, and not this hop only (RFC 9110, section 7.6.1)."""
    dropped = DROPPED
    nominated = [value for name, value in reply.fields if name == b"connection"]
    if nominated:
        dropped = dropped.union(option.strip().lower() for value in nominated for option in value.split(b","))
    if reply.status in WITHOUT_LENGTH:
        dropped = dropped.union((b"content-length",))
    return [field for field in reply.fields if field[0] not in dropped]


def _of_the_client(body: RequestBody, error: Exception) -> AppError | None:
    """Return the refusal when it is the client who failed, by its body."""
    if body.refusal is not None:
        return body.refusal
    return body_timeout() if body.is_late and isinstance(error, TimeoutError) else None


def _came_to_nothing(error: Exception) -> bool:
    """Tell whether no byte came back, as from a kept connection that the service has just given up."""
    return isinstance(error, (NotConnected, Dropped))


def failure_of(error: Exception) -> AppError:
    """Return what a failure of the exchange with a service means to the client."""
    if isinstance(error, TimeoutError):
        return UpstreamTimeout(log_detail="TimeoutError")
    reason = f"{type(error).__name__}: {error}"
    if isinstance(error, (NotConnected, Dropped)):
        return UpstreamUnavailable(retry_after=2, log_detail=reason)
    return UpstreamFailed(log_detail=reason)
