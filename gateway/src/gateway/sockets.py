"""WebSockets passed through as they are, until the client, the service or the end of a session ends them (R54).

Bytes go from one transport to the other, without tasks, queues and second parsing: ten thousand sockets are mostly
memory. What the gateway itself says to a client stands between two messages of the service.
"""

from collections.abc import Sequence
from contextlib import ExitStack
from urllib.parse import unquote_plus

from starlette.types import Scope, Send

from gateway.auth import Authenticator
from gateway.callers import Caller
from gateway.errors import InvalidToken
from gateway.exchange import Fields
from gateway.live import LiveConnections
from gateway.passing import PassedSocket
from gateway.socket_protocol import SOCKET, EdgeSocket
from gateway.upstream_socket import ServiceEnd, connect_upstream


class Sockets:
    """Opens sockets, and leaves them to pass by themselves."""

    def __init__(self, upstream: str, live: LiveConnections, authenticator: Authenticator) -> None:
        self._upstream = upstream.replace("http", "ws", 1)
        self._live = live
        self._authenticator = authenticator

    async def serve(
        self,
        scope: Scope,
        send: Send,
        *,
        caller: Caller,
        client: str,
        headers: Sequence[tuple[str, str]],
        fields: Fields,
    ) -> None:
        """Open a socket; `client` is an address, `headers` go to the service and `fields` to the client.

        Raises Refused, TooManySockets, InvalidToken and UpstreamUnavailable; then it is not open.
        """
        socket = PassedSocket(caller, self._live, self._authenticator, client)
        with ExitStack() as undone:
            self._live.enter(socket, caller)
            undone.callback(self._live.leave, socket)
            service = await connect_upstream(self._address(scope), headers)
            undone.callback(service.transport.abort)
            await self._accept(scope, send, socket, service, fields)
            undone.pop_all()

    async def _accept(
        self, scope: Scope, send: Send, socket: PassedSocket, service: ServiceEnd, fields: Fields
    ) -> None:
        if socket.ended is not None:
            raise InvalidToken(log_detail=socket.ended)
        await send({"type": "websocket.accept", "headers": fields})
        edge: EdgeSocket = scope[SOCKET]
        socket.open(service, early=edge.hand_over(socket))

    def _address(self, scope: Scope) -> str:
        query = without_ticket(scope["query_string"].decode("ascii"))
        return f"{self._upstream}{scope['path']}{'?' + query if query else ''}"


def without_ticket(query: str) -> str:
    """Return a query as it is but for tickets, which are nobody's business behind us."""
    parts = query.split("&")
    return "&".join(part for part in parts if unquote_plus(part.partition("=")[0]) != "ticket")
