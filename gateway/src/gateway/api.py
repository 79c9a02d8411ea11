"""The gateway's own endpoints, off the hot path."""

from importlib import resources
from typing import Annotated, Any, Literal

import orjson
from chassis.errors import RateLimited, Unauthenticated
from chassis.web.envelope import Envelope, success_body
from chassis.web.identity import check_token
from chassis.web.openapi import NEVER_STORED, complete_document, errors, example
from chassis.web.replies import JSON, NO_STORE, reply
from chassis.web.routing import StrictRoute, operation_id, public, scope, serve_routes, token_rule
from fastapi import APIRouter, Depends, FastAPI, Query, Request, Response
from pydantic import BaseModel, Field

from gateway.callers import Caller
from gateway.documents import Statuses
from gateway.errors import RouteNotFound, TicketsUnavailable
from gateway.event_documents import EventDocuments

STATUS_PATH = "/api/v1/status"
STATIC = resources.files("gateway") / "static"
ASSETS = frozenset(one.name for one in STATIC.iterdir())
STATIC_TYPES = {"js": "text/javascript", "css": "text/css"}
DOCS_CSP = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; "
    "connect-src 'self'; font-src 'self' data:; frame-ancestors 'none'"
)

EVENTS_CSP = "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'"
SCHEMA_JSON = "application/schema+json"

router = APIRouter(tags=["system"], route_class=StrictRoute, generate_unique_id_function=operation_id)


class TicketOut(BaseModel):
    """A ticket for one WebSocket or one event stream."""

    ticket: str = Field(description="Goes into `/api/v1/ws?ticket=` or `/api/v1/stream?ticket=`; works once.")
    expires_in: int = Field(description="Seconds from now.")


class SystemStatus(BaseModel):
    """How the system is."""

    status: str = Field(description="`ok`, or `degraded` when any service is not ready.")
    services: dict[str, str] = Field(description="Each service: `ok`, `unready` or `down`.")


class ErrorCodeOut(BaseModel):
    """An entry of the error catalogue."""

    code: str
    status: int
    message: str


Channel = Literal["history", "feed", "websocket", "sse", "webhook", "notification"]


class EventTypeOut(BaseModel):
    """A type of event."""

    type: str = Field(description="As events have it, and as webhooks and `types=` name it.")
    noun: str = Field(description="What it is about.")
    verb: str = Field(description="What happened to it.")
    schema_version: int = Field(description="The version of what it looks like; a change that breaks is a new one.")
    description: str
    channels: list[Channel] = Field(description="Where it is told; `notification` where it can become one.")
    reserved: bool = Field(description="Whether nothing sends it yet.")
    since: str = Field(description="The release that had it first.")
    example: dict[str, Any] = Field(description="An event as every channel has it.")
    schema_url: str = Field(description="Where its JSON Schema is.")


EVENT_TYPE_EXAMPLE: dict[str, Any] = {
    "type": "task.deleted",
    "noun": "task",
    "verb": "deleted",
    "schema_version": 1,
    "description": "A task went to the trash.",
    "channels": ["history", "feed", "websocket", "sse", "webhook", "notification"],
    "reserved": False,
    "since": "0.1.0",
    "example": {"seq": 7, "type": "task.deleted", "event_id": "0199d3b2-7b00-7f0e-8f3a-1d1f6c0f5ae1"},
    "schema_url": "http://127.0.0.1:8080/docs/events/task.deleted.json",
}


def current_caller(request: Request) -> Caller:
    """Return the caller whom the gateway has authenticated before it came here.

    Raises Unauthenticated, and for API tokens what chassis.web.identity.check_token raises.
    """
    caller: Caller | None = request.scope.get("taskloom.caller")
    if caller is None:
        raise Unauthenticated
    check_token(caller.token.principal, token_rule(request.scope["endpoint"]), method=request.method)
    return caller


@router.post(
    "/api/v1/ws-tickets",
    status_code=201,
    summary="Get a ticket for a WebSocket or a stream",
    description=(
        "For browsers, which can't send `Authorization` with a WebSocket or an `EventSource`: a ticket for one "
        "connection to `/api/v1/ws?ticket=` or `/api/v1/stream?ticket=`, within `expires_in` seconds."
    ),
    response_model=Envelope[TicketOut],
    responses={
        201: example({"ticket": "mB3v...", "expires_in": 30}, description="The ticket."),
        **errors(TicketsUnavailable),
    },
)
@scope("tasks:read")
async def create_ws_ticket(request: Request, caller: Annotated[Caller, Depends(current_caller)]) -> Response:
    ticket = await request.app.state.tickets.issue(caller, client=request.scope["taskloom.client"])
    return reply(TicketOut(ticket=ticket, expires_in=30), status=201, headers=NO_STORE)


@router.get(
    STATUS_PATH,
    summary="Read the system's status",
    description="`ok` when every service is ready to answer, else `degraded`; and how each of them is. Needs no login.",
    response_model=Envelope[SystemStatus],
    responses={
        200: example({"status": "ok", "services": {"tasks": "ok"}}, description="The status.", headers=NEVER_STORED)
    },
)
@public("says no more than a failing request would")
async def read_status(request: Request) -> Response:
    """Stand for the operation in the document, and refuse what it does not take: all else is answered before it."""
    return await status_answer(request.app.state.statuses)


async def status_answer(statuses: Statuses) -> Response:
    """Return how the system is, as an answer; the gateway gives it without asking FastAPI, which takes most of it."""
    services = await statuses.current()
    healthy = all(status == "ok" for status in services.values())
    return reply(SystemStatus(status="ok" if healthy else "degraded", services=services), headers=NO_STORE)


@router.get(
    "/api/v1/meta/errors",
    summary="List all error codes",
    description="Every code that an answer may carry, with its status and meaning. Codes never change.",
    response_model=Envelope[list[ErrorCodeOut]],
    responses={
        200: example(
            [{"code": RateLimited.code, "status": 429, "message": RateLimited.message}],
            description="The catalogue.",
            headers={"Cache-Control": "How long it may be kept."},
        )
    },
)
@public("documentation")
async def list_error_codes(request: Request) -> Response:
    document = await request.app.state.documents.merged()
    return Response(success_body(orjson.dumps(document["x-error-codes"])), headers=CACHEABLE, media_type=JSON)


@router.get(
    "/api/v1/meta/events",
    summary="List the types of events",
    description=(
        "Every type of event that there is or will be (`reserved`), with where it is told, an example, and its JSON "
        "Schema. `channel` leaves those that are told there, `q` those with all of its words in their type or "
        "description."
    ),
    response_model=Envelope[list[EventTypeOut]],
    responses={
        200: example(
            [EVENT_TYPE_EXAMPLE],
            description="The types, by name.",
            headers={"Cache-Control": "How long it may be kept."},
        )
    },
)
@public("documentation")
async def list_event_types(
    request: Request,
    channel: Annotated[Channel | None, Query(description="Only what is told here.", examples=["webhook"])] = None,
    q: Annotated[str | None, Query(max_length=100, description="Words to look for.", examples=["comment"])] = None,
) -> Response:
    documents: EventDocuments = await request.app.state.events.merged()
    words = (q or "").lower().split()
    found = [
        event
        for event in documents.events
        if (channel is None or channel in event["channels"])
        and all(word in f"{event['type']} {event['description']}".lower() for word in words)
    ]
    return Response(success_body(orjson.dumps(found)), headers=CACHEABLE, media_type=JSON)


@router.get("/asyncapi.json", include_in_schema=False)
@public("documentation")
async def read_asyncapi(request: Request) -> Response:
    documents: EventDocuments = await request.app.state.events.merged()
    return Response(orjson.dumps(documents.asyncapi), headers=CACHEABLE, media_type=JSON)


@router.get("/docs/events", include_in_schema=False)
@public("documentation")
async def read_events_page(request: Request) -> Response:
    documents: EventDocuments = await request.app.state.events.merged()
    return Response(
        documents.page, headers={"content-security-policy": EVENTS_CSP, **CACHEABLE}, media_type="text/html"
    )


@router.get("/docs/events/{name}", include_in_schema=False)
@public("documentation")
async def read_event_schema(request: Request, name: str) -> Response:
    documents: EventDocuments = await request.app.state.events.merged()
    schema = documents.schemas.get(name.removesuffix(".json")) if name.endswith(".json") else None
    if schema is None:
        raise RouteNotFound
    return Response(orjson.dumps(schema), headers=CACHEABLE, media_type=SCHEMA_JSON)


@router.get("/openapi.json", include_in_schema=False)
@public("documentation")
async def read_openapi(request: Request) -> Response:
    document = await request.app.state.documents.merged()
    return Response(orjson.dumps(document), headers=CACHEABLE, media_type=JSON)


@router.get("/docs", include_in_schema=False)
@public("documentation")
async def read_docs() -> Response:
    page = (STATIC / "docs.html").read_text(encoding="utf-8")
    return Response(page, headers={"content-security-policy": DOCS_CSP, **CACHEABLE}, media_type="text/html")


@router.get("/docs/{name}", include_in_schema=False)
@public("documentation")
async def read_docs_asset(name: str) -> Response:
    media_type = STATIC_TYPES.get(name.rpartition(".")[2])
    if media_type is None or name not in ASSETS:
        raise RouteNotFound
    return Response(
        (STATIC / name).read_bytes(), headers={"cache-control": "public, max-age=86400"}, media_type=media_type
    )


CACHEABLE = {"cache-control": "public, max-age=30"}


def own_document() -> dict[str, Any]:
    """Return the OpenAPI document of the gateway's own operations."""
    app = FastAPI(title="Taskloom gateway", version="1")
    serve_routes(app, (router,))
    complete_document(app, (router,))
    return app.openapi()
