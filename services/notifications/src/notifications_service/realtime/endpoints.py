from collections.abc import AsyncIterator
from contextlib import ExitStack, asynccontextmanager, suppress
from typing import Annotated, Any

import structlog
from chassis.cursors import MAX_CURSOR_CHARACTERS
from chassis.db.failures import explain
from chassis.errors import AppError, InvalidCursor, InvalidInput, NotFound, Unauthenticated
from chassis.filtering.errors import FilterTooComplex, InvalidFilter
from chassis.filtering.written import MAX_BYTES
from chassis.identity import Principal
from chassis.timezones import UnknownTimezone
from chassis.web.app import APIRouter as StrictRouter
from chassis.web.identity import HEADER, CurrentPrincipal, check_token
from chassis.web.middleware import ASKED_METHOD
from chassis.web.openapi import errors
from chassis.web.replies import refuse
from chassis.web.routing import TokenRule, check_query, scope
from fastapi import APIRouter, Header, Query, Request, Response, WebSocket, WebSocketDisconnect
from prometheus_client import Gauge
from sqlalchemy.exc import SQLAlchemyError
from starlette.requests import HTTPConnection

from notifications_service.realtime.connection import Connection
from notifications_service.realtime.conversation import Conversation
from notifications_service.realtime.delivery import Delivery
from notifications_service.realtime.errors import CursorExpired, TooManySockets, TooManySubscriptions
from notifications_service.realtime.hub import Hub
from notifications_service.realtime.requests import WRONG_SCOPE, Opening, Requests
from notifications_service.realtime.service import ensure_kept, set_out
from notifications_service.realtime.streaming import HEADERS, MEDIA_TYPE, EventStream

log = structlog.get_logger()
router = APIRouter()
streams = StrictRouter(prefix="/api/v1", tags=["live"])

SOCKETS = Gauge("taskloom_sockets", "Open WebSockets.")

PARAMETERS = frozenset({"cursor", "scopes", "filter", "tz"})
READS = TokenRule(scope="tasks:read")
STRING: dict[str, Any] = {"type": "string"}
STREAM_EXAMPLE = (
    'retry: 2000\n\nid: AAAA\nevent: ready\ndata: {"type":"ready","cursor":"AAAA"}\n\n'
    'id: AAAB\nevent: task.updated\ndata: {"seq":8,"type":"task.updated","cursor":"AAAB"}\n\n'
)


@router.websocket("/api/v1/ws")
async def events_socket(socket: WebSocket) -> None:
    """Frames of everything that the caller may see: `ready` first, then what was missed after `cursor`, then live.

    With `scopes`, or after a message that subscribes to one, frames of these and no others; with a `filter`, those of
    tasks that fit it.

    An API token that is restricted to a workspace gets what is in it, and one that is restricted to projects what is in
    these: nothing about members and the workspace itself.
    """
    state = socket.app.state
    try:
        principal = _caller(socket)
        async with _entered(state.hub, Connection(principal, state.cursors)) as connection:
            query = socket.query_params
            check_query(query.multi_items(), PARAMETERS)
            opening = Opening(query.get("scopes"), query.get("filter"), query.get("tz"))
            requests = await _set_out(socket, connection, opening, cursor=query.get("cursor"))
            await _serve(socket, connection, requests, principal)
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


async def _set_out(
    asked: HTTPConnection, connection: Connection, opening: Opening, *, cursor: str | None, field: str = "cursor"
) -> Requests:
    """Begin where the caller wants to. Raises AppError for what is wrong with that, and for a store that is away."""
    state, identity = asked.app.state, asked.headers[HEADER]
    position = None if cursor is None else state.cursors.read_position(cursor, field=field)
    requests = Requests(
        connection, state.database, state.tasks, state.identities, identity, asked.headers.get("x-timezone")
    )
    try:
        await set_out(connection, state.database, state.tasks, identity=identity, cursor=position)
        await requests.open(opening)
    except (SQLAlchemyError, OSError) as error:
        raise explain(error) from error
    return requests


async def _serve(socket: WebSocket, connection: Connection, requests: Requests, principal: Principal) -> None:
    with suppress(WebSocketDisconnect, RuntimeError):  # gone before it was accepted
        await socket.accept()
        who = _who(principal)
        log.info("socket.opened", **who)
        with SOCKETS.track_inprogress():
            await Conversation(socket, connection, requests).run()
        log.info("socket.closed", **who)


def _who(caller: Principal) -> dict[str, str]:
    return {"user_id": str(caller.user_id), "session_id": str(caller.session_id)}


@streams.get(
    "/stream",
    summary="Follow what happens as a stream of events",
    description=(
        "Server-sent events, for clients without WebSocket: the frames of `/api/v1/ws`, each with its cursor as `id:`, "
        "its type as `event:` and itself, in one line, as `data:`. `ready` comes first, then what was missed after "
        "`cursor`, or after `Last-Event-ID`, which an EventSource sends when it comes again and which wins; then what "
        "happens. Without `scopes` that is everything that you see. Every 15 seconds without an event there is a "
        "comment. A client that reads too slowly gets `resync_required`, and the end: it goes on from the last `id`. "
        "Open streams count as sockets do. `curl -N -H 'Authorization: Bearer …' '…/api/v1/stream?scopes=me'` "
        "shows it."
    ),
    response_class=EventStream,
    status_code=200,
    responses={
        200: {"description": "The stream.", "content": {MEDIA_TYPE: {"schema": STRING, "example": STREAM_EXAMPLE}}},
        **errors(
            InvalidCursor(field="cursor"),
            CursorExpired,
            NotFound,
            TooManySockets,
            TooManySubscriptions(field="scopes"),
            InvalidInput(details=[WRONG_SCOPE]),
            InvalidFilter(field="filter"),
            FilterTooComplex(field="filter"),
            UnknownTimezone(field="tz"),
        ),
    },
)
@scope("tasks:read")
async def stream_events(
    request: Request,
    caller: CurrentPrincipal,
    cursor: Annotated[str | None, Query(max_length=MAX_CURSOR_CHARACTERS, description="Where to go on.")] = None,
    scopes: Annotated[
        str | None,
        Query(
            max_length=4096,
            description="`me`, `workspace:<id>`, `project:<id>`, `task:<id>`, or up to 50 of them with commas between.",
            examples=["me,project:0199d3b2-6f01-7d22-8a4d-5b1e3c7f9a02"],
        ),
    ] = None,
    filter: Annotated[  # noqa: A002 - the parameter's name
        str | None,
        Query(max_length=MAX_BYTES, description="A filter of tasks, as text.", examples=["priority >= high"]),
    ] = None,
    tz: Annotated[str | None, Query(max_length=64, description="The zone that days in the filter are of.")] = None,
    last_event_id: Annotated[
        str | None, Header(alias="Last-Event-ID", max_length=MAX_CURSOR_CHARACTERS, description="The last `id:`.")
    ] = None,
) -> Response:
    state = request.app.state
    connection = Connection(caller, state.cursors)
    begun, field = (last_event_id, "Last-Event-ID") if last_event_id else (cursor, "cursor")
    with ExitStack() as undone:
        state.hub.enter(connection)
        undone.callback(state.hub.leave, connection)
        await _set_out(request, connection, Opening(scopes, filter, tz), cursor=begun, field=field)
        await ensure_kept(state.database, connection.positions)
        if ASKED_METHOD in request.scope:
            return Response(None, 200, HEADERS, MEDIA_TYPE)
        left = undone.pop_all()
    return EventStream(
        connection,
        lambda send: Delivery(state.hub, state.database, connection, send),
        state.streams,
        leave=left.close,
        blocked_seconds=state.blocked_seconds,
        who=_who(caller),
    )
