"""WebSockets passed through: frames both ways, close codes unchanged, ended with the session (R54)."""

import asyncio
from collections import defaultdict
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from urllib.parse import parse_qsl, urlencode
from uuid import UUID

from chassis.clock import utcnow
from chassis.tokens import AccessToken
from prometheus_client import Gauge
from starlette.types import Receive, Scope, Send
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidStatus

from gateway.callers import Caller
from gateway.errors import TooManySockets, UpstreamUnavailable
from gateway.exchange import Fields
from gateway.revocation import Marks

OPEN = Gauge("taskloom_gateway_sockets", "Open WebSockets.")

MAX_UPSTREAM_FRAME = 1024 * 1024
UPSTREAM_QUEUE = 16
OPEN_SECONDS = 5.0
UNAUTHORIZED = 4401
UPSTREAM_LOST = 1012
ABNORMAL = 1006
NOT_IN_FRAMES = frozenset({1005, ABNORMAL, 1015})
"""Codes that say that there was no close frame; none may stand in one (RFC 6455, section 7.4.1)."""
REFUSAL_FIELDS = ("content-type", "cache-control", "retry-after", "www-authenticate")


class Refused(Exception):
    """The service refused the handshake with an HTTP answer, which goes to the client as it is."""

    def __init__(self, status: int, body: bytes, fields: Fields) -> None:
        super().__init__()
        self.status = status
        self.body = body
        self.fields = fields


@dataclass(eq=False, slots=True)
class OpenSocket:
    """A socket in this process; `ending` is set when the gateway itself must end it."""

    token: AccessToken
    ending: asyncio.Event = field(default_factory=asyncio.Event)


class Sockets:
    """All open sockets of this process."""

    def __init__(self, upstream: str, *, limit: int, per_user: int, check: Callable[[Caller], None]) -> None:
        self._upstream = upstream.replace("http", "ws", 1)
        self._limit = limit
        self._per_user = per_user
        self._check = check
        self._open = 0
        self._by_session: defaultdict[UUID, set[OpenSocket]] = defaultdict(set)
        self._by_user: defaultdict[UUID, set[OpenSocket]] = defaultdict(set)

    def end_revoked(self, marks: Marks) -> None:
        """End the sockets whose tokens the marks concern."""
        for mark in marks.sessions:
            for socket in self._by_session.get(mark.sid, ()):
                socket.ending.set()
        for of_user in marks.users:
            for socket in self._by_user.get(of_user.user_id, ()):
                issued_before = socket.token.issued_at < of_user.not_before.timestamp()
                # What an API token may do is asked anew after any mark of its user.
                if issued_before or not socket.token.principal.is_session:
                    socket.ending.set()

    def end_unsure(self) -> None:
        """End the sockets of API tokens: they live longer than the marks that might be missed meanwhile (R6)."""
        for sockets in self._by_session.values():
            for socket in sockets:
                if not socket.token.principal.is_session:
                    socket.ending.set()

    async def serve(
        self,
        scope: Scope,
        receive: Receive,
        send: Send,
        *,
        caller: Caller,
        headers: list[tuple[str, str]],
        fields: Fields,
    ) -> None:
        """Pass one socket through until either side ends it; `headers` go to the service, `fields` to the client.

        Raises Refused, TooManySockets, UpstreamUnavailable.
        """
        socket = self._enter(caller.token)
        try:
            # Again, now that a revocation would find the socket: one may have come in since the first check.
            self._check(caller)
            connection = await self._connect(scope, headers)
            try:
                await send({"type": "websocket.accept", "headers": fields})
                await self._pump(socket, connection, receive, send)
            finally:
                await connection.close()
        finally:
            self._leave(socket)

    def _enter(self, token: AccessToken) -> OpenSocket:
        principal = token.principal
        if len(self._by_user.get(principal.user_id, ())) >= self._per_user or self._open >= self._limit:
            raise TooManySockets(retry_after=5)
        socket = OpenSocket(token)
        self._by_user[principal.user_id].add(socket)
        self._by_session[principal.session_id].add(socket)
        self._open += 1
        OPEN.inc()
        return socket

    def _leave(self, socket: OpenSocket) -> None:
        principal = socket.token.principal
        _discard(self._by_user, principal.user_id, socket)
        _discard(self._by_session, principal.session_id, socket)
        self._open -= 1
        OPEN.dec()

    async def _connect(self, scope: Scope, headers: list[tuple[str, str]]) -> ClientConnection:
        query = [(n, v) for n, v in parse_qsl(scope["query_string"].decode("latin-1"), True) if n != "ticket"]
        url = f"{self._upstream}{scope['path']}{'?' + urlencode(query) if query else ''}"
        try:
            return await connect(
                url,
                additional_headers=headers,
                compression=None,
                max_size=MAX_UPSTREAM_FRAME,
                max_queue=UPSTREAM_QUEUE,
                ping_interval=None,
                open_timeout=OPEN_SECONDS,
                close_timeout=1,
                user_agent_header=None,
                proxy=None,
            )
        except InvalidStatus as refusal:
            answer = refusal.response
            fields = [(name, answer.headers[name]) for name in REFUSAL_FIELDS if name in answer.headers]
            encoded = [(name.encode(), value.encode("latin-1")) for name, value in fields]
            raise Refused(answer.status_code, bytes(answer.body or b""), encoded) from None
        except (OSError, TimeoutError, InvalidHandshake) as error:
            raise UpstreamUnavailable(retry_after=2, log_detail=type(error).__name__) from None

    async def _pump(self, socket: OpenSocket, connection: ClientConnection, receive: Receive, send: Send) -> None:
        lifetime = max(0.0, socket.token.expires_at - utcnow().timestamp())
        upward = asyncio.create_task(_upward(receive, connection))
        downward = asyncio.create_task(_downward(connection, send))
        ending = asyncio.create_task(socket.ending.wait())
        done, pending = await asyncio.wait(
            [upward, downward, ending], timeout=lifetime, return_when=asyncio.FIRST_COMPLETED
        )
        for task in pending:
            task.cancel()
        await asyncio.gather(*pending, return_exceptions=True)
        with suppress(RuntimeError, OSError):  # the client may be gone already
            if downward in done:
                code, reason = downward.result()
                await send({"type": "websocket.close", "code": code, "reason": reason})
            elif upward in done:
                await connection.close(*upward.result())
            else:
                reason = "session ended" if ending in done else "token expired"
                await send({"type": "websocket.close", "code": UNAUTHORIZED, "reason": reason})


def _discard(index: defaultdict[UUID, set[OpenSocket]], key: UUID, socket: OpenSocket) -> None:
    index[key].discard(socket)
    if not index[key]:
        del index[key]


async def _upward(receive: Receive, connection: ClientConnection) -> tuple[int, str]:
    """Pass the client's frames on; return code and reason with which the client closed."""
    while True:
        message = await receive()
        if message["type"] == "websocket.disconnect":
            code = message.get("code") or 1000
            return 1000 if code in NOT_IN_FRAMES else code, message.get("reason") or ""
        if message["type"] == "websocket.receive":
            data = message.get("text")
            with suppress(ConnectionClosed):  # the downward side learns of it and ends both
                await connection.send(data if data is not None else message.get("bytes") or b"")


async def _downward(connection: ClientConnection, send: Send) -> tuple[int, str]:
    """Pass the service's frames on; return its close code and reason."""
    with suppress(ConnectionClosed):
        async for frame in connection:
            if isinstance(frame, str):
                await send({"type": "websocket.send", "text": frame})
            else:
                await send({"type": "websocket.send", "bytes": frame})
    code = connection.close_code
    if code is None or code == ABNORMAL:
        return UPSTREAM_LOST, "service restarting"
    return 1000 if code in NOT_IN_FRAMES else code, connection.close_reason or ""
