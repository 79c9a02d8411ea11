from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import structlog
from chassis.db.failures import explain
from chassis.errors import AppError, Unauthenticated
from chassis.identity import Principal
from chassis.web.identity import HEADER, check_token
from chassis.web.replies import refuse
from chassis.web.routing import TokenRule, check_query
from fastapi import APIRouter, WebSocket, WebSocketDisconnect
from prometheus_client import Gauge
from sqlalchemy.exc import SQLAlchemyError

from notifications_service.realtime.connection import Connection
from notifications_service.realtime.conversation import Conversation
from notifications_service.realtime.hub import Hub
from notifications_service.realtime.service import set_out

log = structlog.get_logger()
router = APIRouter()

SOCKETS = Gauge("taskloom_sockets", "Open WebSockets.")

PARAMETERS = frozenset({"cursor"})
READS = TokenRule(scope="tasks:read")


@router.websocket("/api/v1/ws")
async def events_socket(socket: WebSocket) -> None:
    """Frames of everything that the caller may see: `ready` first, then what was missed after `cursor`, then live.

    An API token that is restricted to a workspace gets what is in it, and one that is restricted to projects what is in
    these: nothing about members and the workspace itself.
    """
    state = socket.app.state
    try:
        principal = _caller(socket)
        async with _entered(state.hub, Connection(principal, state.cursors)) as connection:
            await _set_out(socket, connection)
            await _serve(socket, connection, principal)
    except AppError as refusal:
        log.warning("socket.refused", code=refusal.code, detail=refusal.log_detail)
        with suppress(WebSocketDisconnect, RuntimeError):  # the client may be gone already
            await socket.send_denial_response(refuse(refusal))


@asynccontextmanager
async def _entered(hub: Hub, connection: Connection) -> AsyncIterator[Connection]:
    hub.enter(connection)
    try:
        yield connection
    finally:
        hub.leave(connection)


def _caller(socket: WebSocket) -> Principal:
    principal: Principal = socket.app.state.identities.principal(socket.headers.get(HEADER))
    if principal.kind != "user":
        raise Unauthenticated
    check_token(principal, READS)
    return principal


async def _set_out(socket: WebSocket, connection: Connection) -> None:
    """Begin where the caller wants to. Raises AppError for what is wrong with that, and for a store that is away."""
    state = socket.app.state
    check_query(socket.query_params.multi_items(), PARAMETERS)
    text = socket.query_params.get("cursor")
    cursor = None if text is None else state.cursors.read_position(text)
    try:
        await set_out(connection, state.database, state.tasks, identity=socket.headers[HEADER], cursor=cursor)
    except (SQLAlchemyError, OSError) as error:
        raise explain(error) from error


async def _serve(socket: WebSocket, connection: Connection, principal: Principal) -> None:
    with suppress(WebSocketDisconnect, RuntimeError):  # gone before it was accepted
        await socket.accept()
        who = {"user_id": str(principal.user_id), "session_id": str(principal.session_id)}
        log.info("socket.opened", **who)
        with SOCKETS.track_inprogress():
            await Conversation(socket, connection).run()
        log.info("socket.closed", **who)
