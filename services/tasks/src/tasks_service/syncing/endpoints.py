from collections.abc import Mapping, Sequence
from typing import Any

from chassis.clock import utcnow
from chassis.cursors import CursorSigner
from chassis.errors import InvalidCursor, NotFound
from chassis.web.app import APIRouter
from chassis.web.database import Writing
from chassis.web.envelope import Envelope
from chassis.web.identity import CurrentPrincipal
from chassis.web.openapi import errors, example
from chassis.web.routing import no_policy, scope, takes_values
from fastapi import Request, Response

from tasks_service.bulk.endpoints import MAX_VALUES
from tasks_service.bulk.schemas import BulkItem
from tasks_service.bulk_operations.errors import DuplicateTempId, UnknownDependency, UnknownTempId
from tasks_service.bulk_steps.schemas import Outcome
from tasks_service.changes.access import CURSOR, cursor_header
from tasks_service.feed.errors import CursorExpired, UnknownEvent
from tasks_service.feed.rules import types_meant
from tasks_service.feed.schemas import ChangesOut, Part, Wanted
from tasks_service.syncing import service
from tasks_service.syncing.schemas import SYNC_EXAMPLE, Sync, SyncOut
from tasks_service.versions.errors import ResourceBusy

router = APIRouter(prefix="/api/v1/sync", tags=["sync"])


@router.post(
    "",
    summary="Write, and read what has changed",
    description=(
        "Does up to 200 operations as `POST /tasks/bulk` does them with `mode: partial`, each for itself, and answers "
        "with what became of them (`results`, `temp_ids`) and with the changes since `cursor`, your own among them, as "
        "`GET /changes` has them. The status is 200 whatever became of single operations: look at their `status` and "
        "`error`. What is refused as a whole (a cursor that has expired, a type that there is not) is refused before "
        "anything is done. Go on with `GET /changes` or here, from `next_cursor`, while `has_more`.\n\n"
        "Each operation of an API token needs the scope of its single request, and the changes `tasks:read`."
    ),
    response_model=Envelope[SyncOut],
    responses={
        200: example(SYNC_EXAMPLE, description="What was done, and what has changed.", headers=CURSOR),
        **errors(
            NotFound,
            InvalidCursor,
            CursorExpired,
            UnknownEvent,
            UnknownTempId,
            DuplicateTempId,
            UnknownDependency,
            ResourceBusy,
        ),
    },
)
@scope("tasks:read")
@no_policy("each operation is decided by the action of its single request, and changes are those that are seen")
@takes_values(MAX_VALUES)
async def sync(request: Request, body: Sync, caller: CurrentPrincipal, write: Writing) -> Response:
    signer: CursorSigner = request.app.state.cursors
    positions = None if body.cursor is None else signer.read_position(body.cursor)
    wanted = Wanted(positions, types_meant(body.types or ()), body.workspace_id, body.project_id, body.limit)
    outcomes, part = await service.sync(
        write.session,
        operations=body.operations,
        actor=caller,
        wanted=wanted,
        signer=signer,
        kept_since=utcnow() - request.app.state.feed_kept,
    )
    return write.reply(
        _shown(outcomes, part),
        meta=part.meta,
        headers=await cursor_header(request, write, caller),
        about_resources=[*(one.about for one in outcomes if one.about is not None), *_told_of(part)],
    )


def _shown(outcomes: Sequence[Outcome], part: Part) -> SyncOut:
    made = {one.temp_id: one.task_id for one in outcomes if one.temp_id and one.task_id and one.error is None}
    items = [BulkItem.of(one, shows_changes=False) for one in outcomes]
    return SyncOut.model_construct(**vars(ChangesOut.of(part)), results=items, temp_ids=made)


def _told_of(part: Part) -> list[Mapping[str, Any]]:
    """Return what the changes show, for a replay to who may not see it any more by then."""
    return [
        {name: one[name] for name in ("workspace_id", "project_id", "task_id")}
        | {"id": one["task_id"] or one["project_id"]}
        for one in part.entries
        if one["data"] is not None
    ]
