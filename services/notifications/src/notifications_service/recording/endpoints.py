from datetime import datetime
from typing import Annotated
from uuid import UUID

from chassis.clock import rfc3339
from chassis.cursors import CursorSigner
from chassis.dates import Instant
from chassis.errors import CursorMismatch, InvalidCursor
from chassis.paging import Place, SortedWalk
from chassis.web.app import APIRouter
from chassis.web.database import PrimaryConnection
from chassis.web.envelope import PageEnvelope
from chassis.web.openapi import enveloped, errors
from chassis.web.pagination import CursorPaging, cursor_links
from chassis.web.replies import reply
from chassis.web.routing import scope
from fastapi import Query, Request, Response
from sqlalchemy import RowMapping

from notifications_service.preferences.access import WholeCaller
from notifications_service.recording.repository import of_user
from notifications_service.recording.schemas import RECORDED_EXAMPLE, RecordedChannel, RecordedMessageOut

router = APIRouter(prefix="/api/v1/recorded-messages", tags=["recorded messages"])

META = {"per_page": 20, "next_cursor": None, "prev_cursor": None, "has_more": False}


@router.get(
    "",
    summary="List what would have been sent to you",
    description=(
        "For development: an installation that records instead of sending keeps what would have gone to your chats and "
        "devices, and the mails to you, the last one first. Kept for a week. Elsewhere there is nothing here."
    ),
    response_model=PageEnvelope[RecordedMessageOut],
    responses={
        200: {
            "description": "Messages, the last one first.",
            "content": {"application/json": {"example": enveloped([RECORDED_EXAMPLE], **META)}},
        },
        **errors(InvalidCursor, CursorMismatch),
    },
)
@scope("notifications:read")
async def list_recorded_messages(
    request: Request,
    caller: WholeCaller,
    connection: PrimaryConnection,
    paging: CursorPaging,
    channel: Annotated[RecordedChannel | None, Query(description="Only of this channel.")] = None,
    since: Annotated[Instant | None, Query(description="Only what was recorded then or later.")] = None,
) -> Response:
    signer: CursorSigner = request.app.state.cursors
    query = f"recorded-messages:{caller.user_id}:{channel}:{since and rfc3339(since)}".encode()
    walk = SortedWalk(paging, signer, query=query, read=_read)
    rows = await of_user(
        connection, user_id=caller.user_id, channel=channel, since=since, before=walk.edge, limit=walk.limit
    )
    page = walk.shown(rows, place=_place)
    meta = {**page.meta, "prev_cursor": None}
    return reply([RecordedMessageOut.of(row) for row in page.rows], meta=meta, headers=cursor_links(request, meta))


def _place(row: RowMapping) -> Place:
    return [rfc3339(row["recorded_at"]), str(row["id"])]


def _read(place: Place) -> tuple[datetime, UUID]:
    return datetime.fromisoformat(str(place[0])), UUID(str(place[1]))
