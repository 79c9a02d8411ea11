from typing import Annotated
from uuid import UUID

from chassis.cursors import CursorSigner
from chassis.egress.rules import UrlNotAllowed
from chassis.errors import CursorMismatch, Forbidden, InvalidCursor
from chassis.paging import Walk
from chassis.web.app import APIRouter
from chassis.web.database import PrimaryConnection, Writing
from chassis.web.envelope import Envelope, PageEnvelope
from chassis.web.openapi import enveloped, errors, example, stale
from chassis.web.pagination import CursorPaging, cursor_links
from chassis.web.preconditions import ExpectedVersion, IfMatchMalformed, WantsMinimal
from chassis.web.replies import etag, reply, unless_unchanged
from chassis.web.routing import scope
from fastapi import Query, Request, Response

from notifications_service.chat import service
from notifications_service.chat.access import AllowedConnection, AllowedPatch, ConnectionId, ManagedConnection
from notifications_service.chat.errors import (
    ConnectionMissing,
    ConnectionVersionConflict,
    KindsOrEvents,
    TooManyConnections,
)
from notifications_service.chat.messages import test_message
from notifications_service.chat.repository import list_managed
from notifications_service.chat.rules import ScopeType
from notifications_service.chat.schemas import CONNECTION_EXAMPLE, ConnectionOut, TestOut
from notifications_service.deliveries.drivers import Undelivered
from notifications_service.event_patterns.errors import UnknownEvent
from notifications_service.preferences.access import WholeCaller
from notifications_service.preferences.errors import ProjectNotFound, WorkspaceNotFound
from notifications_service.terms import Channels

router = APIRouter(prefix="/api/v1/chat-connections", tags=["chat connections"])

ETAG = {"ETag": "The connection's version, in quotes."}
STALE = stale(ConnectionVersionConflict, CONNECTION_EXAMPLE, "name")
META = {"per_page": 20, "next_cursor": None, "prev_cursor": None, "has_more": False}


@router.get(
    "",
    summary="List connections to chats",
    description=(
        "Your own, and those of workspaces and projects that you manage, the oldest first. Their URLs are not shown."
    ),
    response_model=PageEnvelope[ConnectionOut],
    responses={
        200: {
            "description": "Connections.",
            "content": {"application/json": {"example": enveloped([CONNECTION_EXAMPLE], **META)}},
        },
        **errors(InvalidCursor, CursorMismatch),
    },
)
@scope("notifications:read")
async def list_connections(
    request: Request,
    caller: WholeCaller,
    connection: PrimaryConnection,
    paging: CursorPaging,
    workspace_id: Annotated[UUID | None, Query(description="Only of this workspace and its projects.")] = None,
    scope: Annotated[ScopeType | None, Query(description="Only of this scope.")] = None,
) -> Response:
    signer: CursorSigner = request.app.state.cursors
    query = f"chat-connections:{caller.user_id}:{workspace_id}:{scope}".encode()
    walk = Walk(paging, signer, query=query, read=UUID)
    rows = await list_managed(
        connection,
        user_id=caller.user_id,
        workspace_id=workspace_id,
        scope=scope,
        after=walk.onwards_from,
        before=walk.back_from,
        limit=walk.limit,
    )
    page = walk.page(rows, key="id")
    links = cursor_links(request, page.meta)
    return reply([ConnectionOut.of(row) for row in page.rows], meta=page.meta, headers=links)


@router.post(
    "",
    status_code=201,
    summary="Connect a chat",
    description=(
        'Posts to an incoming webhook of Slack, Mattermost, Discord, or of whatever takes `{"text"}`. Your own '
        "connection gets the notifications that your preferences send to chats. One of a workspace (owners and admins "
        "may make it) or a project (its managers, too) gets the events of it that its maker sees, each once. Of one "
        "task there is one message a minute: what happens meanwhile is told by the last, and in Discord the message "
        "that is there is changed. A chat that answers 404 or 410 is disconnected, and its maker is told."
    ),
    response_model=Envelope[ConnectionOut],
    responses={
        201: example(
            CONNECTION_EXAMPLE,
            description="The new connection.",
            headers={**ETAG, "Location": "Path of the new connection."},
        ),
        **errors(
            WorkspaceNotFound,
            ProjectNotFound,
            Forbidden,
            UrlNotAllowed,
            UnknownEvent,
            KindsOrEvents,
            TooManyConnections,
        ),
    },
)
@scope("notifications:write")
async def create_connection(
    body: AllowedConnection, caller: WholeCaller, channels: Channels, write: Writing
) -> Response:
    row = await service.create_connection(write.session, user_id=caller.user_id, wanted=body, ring=channels.ring)
    headers = {"location": f"{router.prefix}/{row['id']}", "etag": etag(row["version"])}
    return write.reply(ConnectionOut.of(row), status=201, headers=headers)


@router.get(
    "/{connection_id}",
    summary="Read a connection to a chat",
    description="One connection. Its ETag goes into `If-Match` of a change, or `If-None-Match` of a read.",
    response_model=Envelope[ConnectionOut],
    responses={
        200: example(CONNECTION_EXAMPLE, description="The connection.", headers=ETAG),
        304: {"description": "The connection is still at the version in If-None-Match."},
        **errors(ConnectionMissing),
    },
)
@scope("notifications:read")
async def read_connection(request: Request, found: ManagedConnection) -> Response:
    return unless_unchanged(request, reply(ConnectionOut.of(found), headers={"etag": etag(found["version"])}))


@router.patch(
    "/{connection_id}",
    summary="Change a connection to a chat",
    description=(
        "A JSON merge patch: absent fields keep their value. What it is for does not change. `enabled: true` lets one "
        "try again that a chat has refused; a new `url` leads it elsewhere."
    ),
    response_model=Envelope[ConnectionOut],
    responses={
        200: example(
            {**CONNECTION_EXAMPLE, "name": "Quiet channel", "version": 2},
            description="The connection after the change.",
            headers=ETAG,
        ),
        **errors(ConnectionMissing, STALE, IfMatchMalformed, UrlNotAllowed, UnknownEvent, KindsOrEvents),
    },
)
@scope("notifications:write")
async def update_connection(
    connection_id: ConnectionId,
    body: AllowedPatch,
    caller: WholeCaller,
    channels: Channels,
    write: Writing,
    expected: ExpectedVersion,
) -> Response:
    row = await service.update_connection(
        write.session,
        user_id=caller.user_id,
        connection_id=connection_id,
        patch=body,
        expected=expected,
        ring=channels.ring,
    )
    return write.reply(ConnectionOut.of(row), headers={"etag": etag(row["version"])})


@router.delete(
    "/{connection_id}",
    summary="Delete a connection to a chat",
    description="Nothing is posted there any more. `Prefer: return=minimal` gets 204 instead.",
    response_model=Envelope[None],
    responses={
        200: example(None, description="The connection is gone."),
        204: {"description": "Deleted; asked for with `Prefer: return=minimal`."},
        **errors(ConnectionMissing, STALE, IfMatchMalformed),
    },
)
@scope("notifications:write")
async def delete_connection(
    connection_id: ConnectionId,
    caller: WholeCaller,
    write: Writing,
    expected: ExpectedVersion,
    minimal: WantsMinimal,
) -> Response:
    await service.delete_connection(
        write.session, user_id=caller.user_id, connection_id=connection_id, expected=expected
    )
    return write.no_content() if minimal else write.reply(None)


@router.post(
    "/{connection_id}/test",
    summary="Post a test message",
    description=(
        "Posts one message at once, also where the connection is turned off, and tells how that went. Each call posts "
        "another one."
    ),
    response_model=Envelope[TestOut],
    responses={
        200: example({"delivered": True, "reason": None}, description="How it went."),
        **errors(ConnectionMissing),
    },
)
@scope("notifications:write")
async def test_connection(found: ManagedConnection, caller: WholeCaller, channels: Channels) -> Response:
    try:
        await channels.chat.send(test_message(found, user_id=caller.user_id))
    except Undelivered as error:
        return reply(TestOut(delivered=False, reason=error.reason))
    return reply(TestOut(delivered=True, reason=None))
