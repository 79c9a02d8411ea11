"""How endpoints come by a notification: the caller's own, of what the caller may see at that moment."""

from typing import Annotated
from uuid import UUID

from chassis.paging import DEFAULT_PER_PAGE, MAX_CURSOR, MAX_PER_PAGE, Paging
from chassis.web.database import ReadConnection
from chassis.web.flags import Flag
from chassis.web.identity import CurrentPrincipal
from chassis.web.pagination import WALK
from fastapi import Depends, Path, Query
from sqlalchemy import RowMapping

from notifications_service.inbox.filters import InboxFilter
from notifications_service.inbox.rules import State
from notifications_service.inbox.service import find
from notifications_service.kinds import Kind

NotificationId = Annotated[UUID, Path(description="Id of the notification.")]


async def readable_notification(
    notification_id: NotificationId, caller: CurrentPrincipal, connection: ReadConnection
) -> RowMapping:
    """Load a notification of the caller. Raises NotificationNotFound."""
    return await find(connection, caller=caller, notification_id=notification_id)


async def asked(
    *,
    state: Annotated[State, Query(description="`unread` or `read` ones only.")] = "all",
    archived: Annotated[Flag, Query(description="Those that are archived, instead of those that are not.")] = False,
    kind: Annotated[
        list[Kind] | None, Query(max_length=30, description="Only these kinds, repeated or joined by commas.")
    ] = None,
    workspace_id: Annotated[UUID | None, Query(description="Only this workspace.")] = None,
    task_id: Annotated[UUID | None, Query(description="Only this task.")] = None,
) -> InboxFilter:
    """Read what of the inbox is asked for."""
    return InboxFilter(state, archived, tuple(kind or ()), workspace_id, task_id)


async def part(
    per_page: Annotated[int, Query(ge=1, le=MAX_PER_PAGE, description="How many entries to give.")] = DEFAULT_PER_PAGE,
    cursor: Annotated[str, Query(max_length=MAX_CURSOR, description=WALK)] = "",
) -> Paging:
    """Read how the inbox is walked: by cursor."""
    return Paging(1, per_page, cursor)


ReadableNotification = Annotated[RowMapping, Depends(readable_notification, scope="function")]
Asked = Annotated[InboxFilter, Depends(asked)]
Part = Annotated[Paging, Depends(part)]
