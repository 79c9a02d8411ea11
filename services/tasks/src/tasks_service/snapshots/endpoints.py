from chassis.cursors import CursorSigner
from chassis.errors import CursorMismatch, InvalidCursor
from chassis.web.app import APIRouter
from chassis.web.envelope import Envelope
from chassis.web.identity import CurrentPrincipal
from chassis.web.openapi import errors, example
from chassis.web.replies import reply
from chassis.web.routing import policy, scope
from fastapi import Request, Response

from tasks_service.changes.access import connection_with
from tasks_service.changes.errors import NotYetConsistent
from tasks_service.snapshots.schemas import SNAPSHOT_EXAMPLE, SnapshotPage, SnapshotRequest, Wanted
from tasks_service.snapshots.service import parts_of, take_snapshot

router = APIRouter(prefix="/api/v1/sync/snapshot", tags=["sync"])


@router.post(
    "",
    summary="Take a snapshot",
    description=(
        "What you see now, page by page: workspaces, members, projects, statuses, categories, labels and tasks, and "
        "comments if you ask for them by `types`; nothing that is in the trash. `cursor` is the position before the "
        "first page: read on from it with `GET /changes` when you have all pages, and take of each resource the "
        "higher `version`, so whatever changed meanwhile is neither missed nor undone. A snapshot of one workspace or "
        "project is what to take when you come to see it, or see it otherwise than before: what of it you had and is "
        "not in there is not for you any more."
    ),
    response_model=Envelope[SnapshotPage],
    responses={
        200: example(SNAPSHOT_EXAMPLE, description="A page of the snapshot."),
        **errors(InvalidCursor, CursorMismatch, NotYetConsistent),
    },
)
@scope("tasks:read")
@policy("task.read")
async def create_snapshot(request: Request, body: SnapshotRequest, caller: CurrentPrincipal) -> Response:
    signer: CursorSigner = request.app.state.cursors
    wanted = Wanted(body.kinds(), body.workspace_id, body.project_id, body.limit)
    page, position = parts_of(body.cursor)
    # A replica that lags behind the first page would lack what its position says is there.
    there = None if position is None else signer.read_position(position)
    async with connection_with(request, caller, there) as connection:
        taken = await take_snapshot(
            connection, caller=caller, wanted=wanted, page=page, position=position, signer=signer
        )
    return reply(taken)
