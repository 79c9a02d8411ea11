"""The client's end of a WebSocket: uvicorn's protocol for the handshake, and then whoever it is handed over to."""

import asyncio
from functools import partial
from typing import Any, Protocol, cast

from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

from gateway.http_protocol import Connections

SOCKET = "taskloom.socket"


class Heir(Protocol):
    """Whom a client's transport is handed over to."""

    def begin(self, transport: asyncio.Transport, *, blocked_seconds: float, on_lost: Any) -> None: ...

    def shutdown(self) -> None: ...


class EdgeSocket(WebSocketsSansIOProtocol):
    """The handshake of one WebSocket, which is counted as a connection for as long as it lives."""

    def __init__(self, *args: Any, limits: Connections, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._limits = limits
        self._key: str | None = None
        self._early = b""
        self._is_handed_over = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self._key = self._limits.enter(self.client[0] if self.client else "")

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self._limits.leave(self._key)

    def data_received(self, data: bytes) -> None:
        if not self.handshake_initiated:
            super().data_received(data)
            return
        # Who sends before the handshake is over has to wait for the rest.
        self._early += data
        self.transport.pause_reading()

    def hand_over(self, heir: Heir) -> bytes:
        """Leave an accepted socket to its heir; return what the client has sent already."""
        self.stop_keepalive()
        self._is_handed_over = True
        connections = cast("set[Any]", self.connections)
        connections.discard(self)
        connections.add(heir)
        on_lost = partial(_forget, connections, heir, self._limits, self._key)
        heir.begin(self.transport, blocked_seconds=self._limits.blocked_seconds, on_lost=on_lost)
        return self._early

    async def run_asgi(self) -> None:
        cast("dict[str, Any]", self.scope)[SOCKET] = self
        try:
            await self.app(self.scope, self.receive, self.send)
        finally:
            if not self._is_handed_over:
                self.transport.close()


def _forget(connections: set[Any], heir: Heir, limits: Connections, key: str | None) -> None:
    connections.discard(heir)
    limits.leave(key)
