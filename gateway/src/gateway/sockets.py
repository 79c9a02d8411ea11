"""WebSockets passed through: frames both ways, close codes unchanged, ended with the session (R54)."""

import asyncio
from collections import Counter, defaultdict
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from urllib.parse import parse_qsl, urlencode
from uuid import UUID

from chassis.clock import utcnow
from chassis.tokens import AccessToken
from prometheus_client import Gauge
from starlette.types import Receive, Scope, Send
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidStatus

from gateway.errors import TooManySockets, UpstreamUnavailable

OPEN = Gauge("taskloom_gateway_sockets", "Open WebSockets.")

MAX_CLIENT_FRAME = 64 * 1024
MAX_UPSTREAM_FRAME = 1024 * 1024
UPSTREAM_QUEUE = 16
OPEN_SECONDS = 5.0
UNAUTHORIZED = 4401
UPSTREAM_LOST = 1012
ABNORMAL = 1006


class Refused(Exception):
    """The service refused the handshake with an HTTP answer, which goes to the client as it is."""

    def __init__(self, status: int, body: bytes) -> None:
        super().__init__()
        self.status = status
        self.body = body


@dataclass(eq=False, slots=True)
class OpenSocket:
    """A socket in this process; `ending` is set when the gateway itself must end it."""

    token: AccessToken
    ending: asyncio.Event


class Sockets:
    """All open sockets of this process."""

    def __init__(self, upstream: str, *, limit: int, per_user: int, check: Callable[[AccessToken], None]) -> None:
        self._upstream = upstream.replace("http", "ws", 1).rstrip("/")
        self._limit = limit
        self._per_user = per_user
        self._check = check
        self._by_session: defaultdict[UUID, set[OpenSocket]] = defaultdict(set)
        self._users: Counter[UUID] = Counter()

    def end_session(self, session_id: UUID) -> None:
        """End the sockets of a revoked session."""
        for socket in self._by_session.get(session_id, ()):
            socket.ending.set()

    async def serve(
        self, scope: Scope, receive: Receive, send: Send, *, token: AccessToken, headers: list[tuple[str, str]]
    ) -> None:
        """Pass one socket through until either side ends it. Raises Refused, TooManySockets, UpstreamUnavailable."""
        socket = self._enter(token)
        try:
            # Again, now that a revocation would find the socket: one may have come in since the first check.
            self._check(token)
            connection = await self._connect(scope, headers)
            try:
                await send({"type": "websocket.accept"})
                await self._pump(socket, connection, receive, send)
            finally:
                await connection.close()
        finally:
            self._leave(socket)

    def _enter(self, token: AccessToken) -> OpenSocket:
        user = token.principal.user_id
        if self._users[user] >= self._per_user or self._users.total() >= self._limit:
            raise TooManySockets(retry_after=5)
        socket = OpenSocket(token, asyncio.Event())
        self._users[user] += 1
        self._by_session[token.principal.session_id].add(socket)
        OPEN.inc()
        return socket

    def _leave(self, socket: OpenSocket) -> None:
        principal = socket.token.principal
        self._users[principal.user_id] -= 1
        if not self._users[principal.user_id]:
            del self._users[principal.user_id]
        peers = self._by_session[principal.session_id]
        peers.discard(socket)
        if not peers:
            del self._by_session[principal.session_id]
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
            raise Refused(refusal.response.status_code, bytes(refusal.response.body or b"")) from None
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
                await connection.close(upward.result())
            else:
                reason = "session ended" if ending in done else "token expired"
                await send({"type": "websocket.close", "code": UNAUTHORIZED, "reason": reason})


async def _upward(receive: Receive, connection: ClientConnection) -> int:
    """Pass the client's frames on; return the code with which the client closed."""
    while True:
        message = await receive()
        if message["type"] == "websocket.disconnect":
            return _sendable(message.get("code") or 1000)
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
    return (
        (UPSTREAM_LOST, "service restarting") if code in (None, 1006) else (code or 1000, connection.close_reason or "")
    )


def _sendable(code: int) -> int:
    """Return a close code that may stand in a frame (RFC 6455, section 7.4)."""
    return 1000 if code in (1005, ABNORMAL, 1015) else code
