"""What goes over one accepted socket, both ways, until either side ends it."""

import asyncio
from collections.abc import Awaitable, Iterable
from contextlib import suppress
from uuid import UUID

import structlog
from fastapi import WebSocket, WebSocketDisconnect
from sqlalchemy.exc import SQLAlchemyError

from notifications_service.realtime.connection import Connection, TooSlow
from notifications_service.realtime.errors import CursorExpired
from notifications_service.realtime.hub import Hub
from notifications_service.realtime.protocol import (
    EXPIRED,
    FAILED,
    POLICY,
    TRY_AGAIN,
    answer_to,
    ready,
    resync_required,
)
from notifications_service.realtime.service import missed

log = structlog.get_logger()

MESSAGES_PER_SECOND = 20
CLOSE_SECONDS = 1.0
GONE = (WebSocketDisconnect, RuntimeError)
"""What sending and receiving raise once the socket is closed."""


class Conversation:
    """One socket: a task that sends, and a task that answers the client's few messages."""

    def __init__(self, socket: WebSocket, connection: Connection) -> None:
        self._socket = socket
        self._connection = connection
        self._hub: Hub = socket.app.state.hub
        self._database = socket.app.state.database
        self._blocked_seconds: float = socket.app.state.blocked_seconds

    async def run(self) -> None:
        """Run both until one of them ends."""
        tasks = [asyncio.create_task(one) for one in (self._write(), self._read())]
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _write(self) -> None:
        """Send for as long as the socket lives, and say why when it is we who end it."""
        try:
            await self._send(ready(self._connection.cursor()))
            await self._send_everything()
        except CursorExpired:
            await self._close(EXPIRED, "cursor expired")
        except TooSlow:
            await self._end_for_now("too slow")
        except (SQLAlchemyError, OSError) as error:
            await self._end_for_now("store unavailable", detail=type(error).__name__)
        except GONE:
            return
        except Exception:
            log.exception("socket.failed")
            await self._close(FAILED, "failed")

    async def _send_everything(self) -> None:
        connection = self._connection
        await self._catch_up(list(connection.positions))
        while True:
            await connection.flush(self._send)
            self._hub.unsubscribe(connection, connection.subscribed - connection.positions.keys())
            if new := connection.take_admissions():
                await self._catch_up(new)
            else:
                await connection.news()

    async def _catch_up(self, workspaces: Iterable[UUID]) -> None:
        """Subscribe first and read the past second, again where meanwhile more came than may wait."""
        connection = self._connection
        connection.start_catching_up()
        until = await self._hub.subscribe(connection, workspaces)
        while True:
            positions = dict(connection.positions)
            async for frame in missed(self._database, user_id=connection.user_id, after=positions, until=until):
                await connection.deliver(frame, self._send)
            if connection.has_caught_up():
                return
            connection.start_catching_up()
            until = await self._hub.subscribe(connection, list(connection.positions))

    async def _read(self) -> None:
        """Answer the client's messages; more than 20 a second end the connection."""
        loop = asyncio.get_running_loop()
        second, count = loop.time(), 0
        with suppress(TooSlow, *GONE):
            while (message := await self._socket.receive())["type"] != "websocket.disconnect":
                if loop.time() - second >= 1:
                    second, count = loop.time(), 0
                count += 1
                if count > MESSAGES_PER_SECOND:
                    await self._close(POLICY, "too many messages")
                    return
                await self._send(answer_to(message.get("text") or message.get("bytes") or b""))

    async def _send(self, frame: bytes) -> None:
        """Send a frame. Raises TooSlow when the reader blocks it for too long."""
        await self._within(self._blocked_seconds, self._socket.send_text(frame.decode()))

    async def _within(self, seconds: float, sending: Awaitable[None]) -> None:
        try:
            async with asyncio.timeout(seconds):
                await sending
        except TimeoutError:
            raise TooSlow from None

    async def _end_for_now(self, reason: str, *, detail: str | None = None) -> None:
        """Tell the client from where on to come again."""
        log.warning("socket.ended_for_now", reason=reason, detail=detail)
        with suppress(TooSlow, *GONE):
            await self._send(resync_required(self._connection.cursor()))
        await self._close(TRY_AGAIN, reason)

    async def _close(self, code: int, reason: str) -> None:
        with suppress(TooSlow, *GONE):
            await self._within(CLOSE_SECONDS, self._socket.close(code, reason))
