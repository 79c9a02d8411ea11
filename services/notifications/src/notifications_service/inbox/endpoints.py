from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal
from uuid import UUID

from chassis.cursors import CursorSigner
from chassis.errors import CursorMismatch, InvalidCursor
from chassis.identity import Principal
from chassis.web.app import APIRouter
from chassis.web.database import ReadConnection, Write, Writing
from chassis.web.envelope import Envelope
from chassis.web.identity import CurrentPrincipal
from chassis.web.openapi import enveloped, errors, example
from chassis.web.pagination import cursor_links
from chassis.web.replies import reply
from chassis.web.routing import scope
from fastapi import Query, Request, Response

from notifications_service.inbox import repository, service
from notifications_service.inbox.access import Asked, NotificationId, Part, ReadableNotification
from notifications_service.inbox.errors import NotificationNotFound
from notifications_service.inbox.schemas import (
    GROUP_EXAMPLE,
    NOTIFICATION_EXAMPLE,
    GroupOut,
    MarkAll,
    Marked,
    NotificationOut,
    NotificationPatch,
    UnreadCount,
)
from notifications_service.inbox.service import Mark

router = APIRouter(prefix="/api/v1/notifications", tags=["notifications"])

READ_EXAMPLE = {**NOTIFICATION_EXAMPLE, "read_at": "2026-11-24T09:20:00Z"}
ARCHIVED_EXAMPLE = {**NOTIFICATION_EXAMPLE, "archived_at": "2026-11-24T09:20:00Z"}
META = {"per_page": 20, "next_cursor": None, "prev_cursor": None, "has_more": False, "unread_count": 1}
LISTS = {
    "notifications": {"summary": "Each for itself", "value": enveloped([NOTIFICATION_EXAMPLE], **META)},
    "groups": {"summary": "Grouped by task", "value": enveloped([GROUP_EXAMPLE], **META)},
}
SEEN = (
    "What you may not see at that moment, because you lost access to its task or project, is not there, nor counted; "
    "it is there again when you may."
)
UP_TO = (
    "Give the `seq` of the newest one that was shown as `up_to`, so that what came since stays as it is; without it, "
    "it is all that there is at that moment."
)
MARKED_EXAMPLE = {"changed": 7, "unread_count": 0}


@router.get(
    "",
    summary="List notifications",
    description=(
        "Your inbox, the latest first; with `group_by=task` the tasks that you are told of, each with its latest five. "
        f"`meta.unread_count` is that of the whole inbox. {SEEN} Notifications are kept for 90 days."
    ),
    response_model=Envelope[list[NotificationOut] | list[GroupOut]],
    responses={
        200: {
            "description": "A part of the inbox.",
            "content": {"application/json": {"examples": LISTS}},
        },
        **errors(InvalidCursor, CursorMismatch),
    },
)
@scope("notifications:read")
async def list_notifications(
    request: Request,
    caller: CurrentPrincipal,
    connection: ReadConnection,
    wanted: Asked,
    paging: Part,
    group_by: Annotated[Literal["task"] | None, Query(description="`task` gathers them by task.")] = None,
) -> Response:
    signer: CursorSigner = request.app.state.cursors
    entries: Sequence[NotificationOut] | Sequence[GroupOut]
    meta: Mapping[str, Any]
    if group_by is None:
        page = await service.list_notifications(connection, caller=caller, wanted=wanted, paging=paging, signer=signer)
        entries, meta = [NotificationOut.of(row) for row in page.rows], page.meta
    else:
        groups = await service.list_groups(connection, caller=caller, wanted=wanted, paging=paging, signer=signer)
        entries, meta = [GroupOut.of(group["rows"]) for group in groups.rows], groups.meta
    unread = await repository.count_unread(connection, caller=caller)
    return reply(entries, meta={**meta, "unread_count": unread}, headers=cursor_links(request, meta))


@router.get(
    "/unread-count",
    summary="Count unread notifications",
    description=f"How many are neither read nor archived. {SEEN}",
    response_model=Envelope[UnreadCount],
    responses={200: example({"unread_count": 1}, description="How many there are.")},
)
@scope("notifications:read")
async def count_unread_notifications(
    caller: CurrentPrincipal,
    connection: ReadConnection,
    workspace_id: Annotated[UUID | None, Query(description="Only this workspace.")] = None,
) -> Response:
    count = await repository.count_unread(connection, caller=caller, workspace_id=workspace_id)
    return reply(UnreadCount(unread_count=count))


@router.post(
    "/read-all",
    summary="Mark all notifications as read",
    description=f"All of the inbox, or of a workspace or a task. {UP_TO}",
    response_model=Envelope[Marked],
    responses={200: example(MARKED_EXAMPLE, description="How many were marked, and how many are unread now.")},
)
@scope("notifications:write")
async def read_all_notifications(body: MarkAll, caller: CurrentPrincipal, write: Writing) -> Response:
    return await _mark_all(body, caller, write, "read_at")


@router.post(
    "/archive-all",
    summary="Archive all notifications",
    description=f"All of the inbox, read or not, or of a workspace or a task. {UP_TO}",
    response_model=Envelope[Marked],
    responses={200: example(MARKED_EXAMPLE, description="How many were archived, and how many are unread now.")},
)
@scope("notifications:write")
async def archive_all_notifications(body: MarkAll, caller: CurrentPrincipal, write: Writing) -> Response:
    return await _mark_all(body, caller, write, "archived_at")


@router.get(
    "/{notification_id}",
    summary="Read a notification",
    description=f"One notification of yours; reading it does not mark it as read. {SEEN}",
    response_model=Envelope[NotificationOut],
    responses={200: example(NOTIFICATION_EXAMPLE, description="The notification."), **errors(NotificationNotFound)},
)
@scope("notifications:read")
async def read_notification(notification: ReadableNotification) -> Response:
    return reply(NotificationOut.of(notification))


@router.patch(
    "/{notification_id}",
    summary="Change a notification",
    description="A JSON merge patch: marks a notification as read or archived, or as not. Marked already, it stays.",
    response_model=Envelope[NotificationOut],
    responses={
        200: example(READ_EXAMPLE, description="The notification after the change."),
        **errors(NotificationNotFound),
    },
)
@scope("notifications:write")
async def update_notification(
    notification_id: NotificationId, body: NotificationPatch, caller: CurrentPrincipal, write: Writing
) -> Response:
    given = body.given()
    names: tuple[tuple[str, Mark], ...] = (("read", "read_at"), ("archived", "archived_at"))
    marks: dict[Mark, bool] = {column: given[name] for name, column in names if name in given}
    return await _mark(notification_id, caller, write, marks)


@router.post(
    "/{notification_id}/read",
    summary="Mark a notification as read",
    description="Of one that is read already nothing changes.",
    response_model=Envelope[NotificationOut],
    responses={200: example(READ_EXAMPLE, description="The notification, read."), **errors(NotificationNotFound)},
)
@scope("notifications:write")
async def mark_notification_read(notification_id: NotificationId, caller: CurrentPrincipal, write: Writing) -> Response:
    return await _mark(notification_id, caller, write, {"read_at": True})


@router.post(
    "/{notification_id}/unread",
    summary="Mark a notification as unread",
    description="Of one that is unread already nothing changes.",
    response_model=Envelope[NotificationOut],
    responses={
        200: example(NOTIFICATION_EXAMPLE, description="The notification, unread."),
        **errors(NotificationNotFound),
    },
)
@scope("notifications:write")
async def mark_notification_unread(
    notification_id: NotificationId, caller: CurrentPrincipal, write: Writing
) -> Response:
    return await _mark(notification_id, caller, write, {"read_at": False})


@router.post(
    "/{notification_id}/archive",
    summary="Archive a notification",
    description="Takes it out of the inbox; `archived=true` lists it. Of one that is archived already nothing changes.",
    response_model=Envelope[NotificationOut],
    responses={
        200: example(ARCHIVED_EXAMPLE, description="The notification, archived."),
        **errors(NotificationNotFound),
    },
)
@scope("notifications:write")
async def archive_notification(notification_id: NotificationId, caller: CurrentPrincipal, write: Writing) -> Response:
    return await _mark(notification_id, caller, write, {"archived_at": True})


@router.post(
    "/{notification_id}/unarchive",
    summary="Put a notification back into the inbox",
    description="The contrary of archiving it. Of one that is in the inbox nothing changes.",
    response_model=Envelope[NotificationOut],
    responses={
        200: example(NOTIFICATION_EXAMPLE, description="The notification, in the inbox."),
        **errors(NotificationNotFound),
    },
)
@scope("notifications:write")
async def unarchive_notification(notification_id: NotificationId, caller: CurrentPrincipal, write: Writing) -> Response:
    return await _mark(notification_id, caller, write, {"archived_at": False})


async def _mark(notification_id: UUID, caller: Principal, write: Write, marks: Mapping[Mark, bool]) -> Response:
    row = await service.mark_one(write.session, caller=caller, notification_id=notification_id, marks=marks)
    return write.reply(NotificationOut.of(row))


async def _mark_all(body: MarkAll, caller: Principal, write: Write, mark: Mark) -> Response:
    changed, unread = await service.mark_all(write.session, caller=caller, wanted=body, mark=mark)
    return write.reply(Marked(changed=changed, unread_count=unread))
