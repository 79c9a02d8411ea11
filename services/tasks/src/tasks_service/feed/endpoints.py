from typing import Annotated
from uuid import UUID

from chassis.clock import utcnow
from chassis.errors import InvalidCursor
from chassis.web.app import APIRouter
from chassis.web.envelope import Envelope
from chassis.web.identity import CurrentPrincipal
from chassis.web.openapi import errors, example
from chassis.web.replies import reply
from chassis.web.routing import policy, scope
from fastapi import Query, Request, Response

from tasks_service.changes.errors import NotYetConsistent
from tasks_service.feed.access import Limit, StandpointQuery, Types
from tasks_service.feed.errors import CursorExpired, UnknownEvent
from tasks_service.feed.rules import types_meant
from tasks_service.feed.schemas import CHANGES_EXAMPLE, ChangesOut, Wanted
from tasks_service.feed.service import read_changes

router = APIRouter(prefix="/api/v1/changes", tags=["sync"])

MEANING = (
    "What has changed since `cursor`, by workspace, and in each in the order in which it happened: who applies "
    "it as it comes has what the server has. Without a cursor there are no changes, and a cursor to begin with. Go "
    "on with `next_cursor` until `has_more` is false, and ask again later; there may be fewer changes than `limit`, or "
    "none, with more to come.\n\n"
    "You get what you see now. What is gone has `removed`: `deleted` (of tasks and projects: to the trash), `purged`, "
    "or `access_lost`, which has no `data`: one of a task means all that hangs on it, one of a project all in it, but "
    "for tasks that are shared with you, and `member.removed` all of its workspace. Where you come to see more or less "
    "than before, by a role, a share, a project's `visibility`, a task that moves, or what is restored, the change "
    "that does it is told, and what you see from then on by `POST /api/v1/sync/snapshot` of the project or workspace: "
    "apply what that has by id and version. Filters narrow what you get and not the cursor, so keep one for each set "
    "of filters. A cursor from which something has not been read for 30 days (unless the server is set up otherwise) "
    "is answered with 410 `CURSOR_EXPIRED`."
)


@router.get(
    "",
    summary="Read what has changed",
    description=MEANING,
    response_model=Envelope[ChangesOut],
    responses={
        200: example(CHANGES_EXAMPLE, description="Changes; `meta` has `next_cursor` and `has_more`, too."),
        **errors(InvalidCursor, CursorExpired, UnknownEvent, NotYetConsistent),
    },
)
@scope("tasks:read")
@policy("task.read")
async def list_changes(
    request: Request,
    caller: CurrentPrincipal,
    standpoint: StandpointQuery,
    types: Types = None,
    workspace_id: Annotated[UUID | None, Query(description="Only of this workspace.")] = None,
    project_id: Annotated[UUID | None, Query(description="Only of this project, and of what has left it.")] = None,
    limit: Limit = 100,
) -> Response:
    wanted = Wanted(standpoint.positions, types_meant(types or ()), workspace_id, project_id, limit)
    part = await read_changes(
        standpoint.connection,
        caller=caller,
        wanted=wanted,
        signer=request.app.state.cursors,
        kept_since=utcnow() - request.app.state.feed_kept,
    )
    return reply(ChangesOut.of(part), meta=part.meta)
