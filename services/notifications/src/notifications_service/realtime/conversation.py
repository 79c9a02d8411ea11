"""What goes over one accepted socket, both ways, until either side ends it."""

import asyncio
from collections.abc import Awaitable
from contextlib import suppress

import structlog
from fastapi import WebSocket, WebSocketDisconnect
from sqlalchemy.exc import SQLAlchemyError

from notifications_service.realtime.connection import Connection, TooSlow
from notifications_service.realtime.delivery import Delivery
from notifications_service.realtime.errors import CursorExpired
from notifications_service.realtime.hub import Hub
from notifications_service.realtime.protocol import EXPIRED, FAILED, POLICY, TRY_AGAIN, Frame, resync_required
from notifications_service.realtime.requests import Requests

log = structlog.get_logger()

MESSAGES_PER_SECOND = 20
CLOSE_SECONDS = 1.0
GONE = (WebSocketDisconnect, RuntimeError)
"""What sending and receiving raise once the socket is closed."""


class Conversation:
    """One socket: a task that sends, and a task that answers the client's few messages."""

    def __init__(self, socket: WebSocket, connection: Connection, requests: Requests) -> None:
        self._socket = socket
        self._requests = requests
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
            await Delivery(self._hub, self._database, self._connection, self._send).run()
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
                answer = await self._requests.answer(message.get("text") or message.get("bytes") or b"")
                if answer is None:
                    count -= 1
                else:
                    await self._send(answer)

    async def _send(self, frame: Frame) -> None:
        """Send a frame. Raises TooSlow when the reader blocks it for too long."""
        await self._within(self._blocked_seconds, self._socket.send_text(frame.body.decode()))

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
