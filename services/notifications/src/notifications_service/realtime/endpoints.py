import asyncio
from contextlib import suppress

import structlog
from chassis.errors import AppError
from chassis.identity import Principal
from chassis.web.identity import HEADER
from chassis.web.replies import refuse
from fastapi import APIRouter, WebSocket, WebSocketDisconnect
from prometheus_client import Gauge

from notifications_service.realtime.connection import Connection, TooSlow, within_time
from notifications_service.realtime.hub import Hub
from notifications_service.realtime.protocol import (
    EXPIRED,
    GOING_AWAY_SLOW,
    POLICY,
    answer_to,
    ready,
    resync_required,
)
from notifications_service.realtime.service import CursorExpired, missed, starting_positions

log = structlog.get_logger()
router = APIRouter()

SOCKETS = Gauge("taskloom_sockets", "Open WebSockets.")

MESSAGES_PER_SECOND = 20


@router.websocket("/api/v1/ws")
async def events_socket(socket: WebSocket) -> None:
    """Frames of everything that the caller may see: `ready` first, then what was missed after `cursor`, then live."""
    state = socket.app.state
    try:
        principal: Principal = state.identities.principal(socket.headers.get(HEADER))
        text = socket.query_params.get("cursor")
        cursor = None if text is None else state.cursors.read_position(text)
        positions = await starting_positions(
            state.database,
            state.tasks,
            user_id=principal.user_id,
            identity=socket.headers[HEADER],
            cursor=cursor,
        )
    except AppError as error:
        await socket.send_denial_response(refuse(error))
        return
    await socket.accept()
    connection = Connection(principal.user_id, state.cursors, positions)
    with SOCKETS.track_inprogress():
        await _serve(socket, connection)


async def _serve(socket: WebSocket, connection: Connection) -> None:
    """Run reader and writer until one of them ends."""
    hub: Hub = socket.app.state.hub
    writing = asyncio.create_task(_write(socket, connection))
    reading = asyncio.create_task(_read(socket))
    try:
        await asyncio.wait([writing, reading], return_when=asyncio.FIRST_COMPLETED)
    finally:
        hub.leave(connection)
        for task in (writing, reading):
            task.cancel()
        await asyncio.gather(writing, reading, return_exceptions=True)


async def _write(socket: WebSocket, connection: Connection) -> None:
    hub: Hub = socket.app.state.hub

    async def send(frame: bytes) -> None:
        await socket.send_text(frame.decode())

    try:
        await within_time(send(ready(connection.cursor())))
        until = await hub.join(connection)
        after = dict(connection.positions)
        async for frame in missed(socket.app.state.database, after=after, until=until):
            await connection.deliver(frame, send)
        connection.go_live()
        await connection.write(send)
    except CursorExpired:
        await _close(socket, EXPIRED, "cursor expired")
    except TooSlow:
        with suppress(TooSlow):
            await within_time(send(resync_required(connection.cursor())))
        await _close(socket, GOING_AWAY_SLOW, "too slow")
    except (WebSocketDisconnect, RuntimeError):
        return


async def _read(socket: WebSocket) -> None:
    """Answer the client's few frames; more than 20 a second end the connection."""
    loop = asyncio.get_running_loop()
    second, count = loop.time(), 0
    with suppress(WebSocketDisconnect, RuntimeError):
        while True:
            message = await socket.receive()
            if message["type"] == "websocket.disconnect":
                return
            if loop.time() - second >= 1:
                second, count = loop.time(), 0
            count += 1
            if count > MESSAGES_PER_SECOND:
                await _close(socket, POLICY, "too many messages")
                return
            answer = answer_to(message.get("text") or message.get("bytes") or b"")
            await socket.send_text(answer.decode())


async def _close(socket: WebSocket, code: int, reason: str) -> None:
    with suppress(WebSocketDisconnect, RuntimeError):
        await asyncio.wait_for(socket.close(code, reason), 1)
