"""What stays open, sockets and streams: counted, warned before the token expires, ended with the session (R54)."""

import asyncio
from abc import ABC, abstractmethod
from collections import defaultdict
from collections.abc import Callable
from datetime import UTC, datetime
from uuid import UUID

from chassis.clock import rfc3339, utcnow
from chassis.tokens import AccessToken
from prometheus_client import Gauge

from gateway.callers import Caller
from gateway.errors import TooManySockets
from gateway.revocation import Marks

OPEN = Gauge("taskloom_gateway_sockets", "Open WebSockets and event streams.", ["kind"])

WARNING_SECONDS = 60.0
"""How long before the end of its token a client is told of it."""
RETRY_SECONDS = 5
SESSION_ENDED = "session ended"
TOKEN_EXPIRED = "token expired"  # noqa: S105 - why something ends


class LiveConnection(ABC):
    """A socket or a stream that is open for a token."""

    __slots__ = ("timer", "token")
    kind: str

    def __init__(self, token: AccessToken) -> None:
        self.token = token
        self.timer: asyncio.TimerHandle | None = None
        """What comes next of the warning and the end; LiveConnections keeps it."""

    @abstractmethod
    def warn(self) -> None:
        """Tell the client that its token expires."""

    @abstractmethod
    def end(self, reason: str) -> None:
        """End it now; it leaves when it has ended."""


class LiveConnections:
    """All sockets and streams of this process, by user and by session."""

    def __init__(self, *, limit: int, per_user: int, check: Callable[[Caller], None]) -> None:
        self._limit = limit
        self._per_user = per_user
        self._check = check
        self._open = 0
        self._by_session: defaultdict[UUID, set[LiveConnection]] = defaultdict(set)
        self._by_user: defaultdict[UUID, set[LiveConnection]] = defaultdict(set)

    def enter(self, connection: LiveConnection, caller: Caller) -> None:
        """Count a connection. Raises TooManySockets, and what a revocation check raises; then it has not entered."""
        principal = connection.token.principal
        if len(self._by_user.get(principal.user_id, ())) >= self._per_user or self._open >= self._limit:
            raise TooManySockets(retry_after=RETRY_SECONDS)
        # Again, now that a revocation finds it from here on: one may have come in since the first check.
        self._check(caller)
        self._by_user[principal.user_id].add(connection)
        self._by_session[principal.session_id].add(connection)
        self._open += 1
        OPEN.labels(connection.kind).inc()

    def leave(self, connection: LiveConnection) -> None:
        """Forget a connection."""
        principal = connection.token.principal
        _discard(self._by_user, principal.user_id, connection)
        _discard(self._by_session, principal.session_id, connection)
        self._open -= 1
        OPEN.labels(connection.kind).dec()
        _stop_timer(connection)

    def watch(self, connection: LiveConnection) -> None:
        """Warn and end it in time, by the token that it has now."""
        _stop_timer(connection)
        left = _seconds_left(connection)
        if left > WARNING_SECONDS:
            loop = asyncio.get_running_loop()
            connection.timer = loop.call_later(left - WARNING_SECONDS, self._warn, connection)
        else:
            self._warn(connection)

    def end_revoked(self, marks: Marks) -> None:
        """End the connections whose tokens the marks concern."""
        for mark in marks.sessions:
            for connection in [*self._by_session.get(mark.sid, ())]:
                connection.end(SESSION_ENDED)
        for of_user in marks.users:
            for connection in [*self._by_user.get(of_user.user_id, ())]:
                issued_before = connection.token.issued_at < of_user.not_before.timestamp()
                # What an API token may do is asked anew after any mark of its user.
                if issued_before or not connection.token.principal.is_session:
                    connection.end(SESSION_ENDED)

    def end_unsure(self) -> None:
        """End the connections of API tokens: they live longer than the marks that might be missed meanwhile (R6)."""
        for connection in [one for connections in self._by_session.values() for one in connections]:
            if not connection.token.principal.is_session:
                connection.end(SESSION_ENDED)

    def _warn(self, connection: LiveConnection) -> None:
        loop = asyncio.get_running_loop()
        connection.timer = loop.call_later(max(0.0, _seconds_left(connection)), connection.end, TOKEN_EXPIRED)
        connection.warn()


def expires_at(token: AccessToken) -> str:
    """Return when a token ends, as clients are told of instants."""
    return rfc3339(datetime.fromtimestamp(token.expires_at, UTC))


def auth_expiring(token: AccessToken) -> dict[str, str]:
    """Return the frame that tells a client that its token expires."""
    return {"type": "auth_expiring", "expires_at": expires_at(token)}


def _seconds_left(connection: LiveConnection) -> float:
    return connection.token.expires_at - utcnow().timestamp()


def _stop_timer(connection: LiveConnection) -> None:
    if connection.timer is not None:
        connection.timer.cancel()
        connection.timer = None


def _discard(index: defaultdict[UUID, set[LiveConnection]], key: UUID, connection: LiveConnection) -> None:
    index[key].discard(connection)
    if not index[key]:
        del index[key]
