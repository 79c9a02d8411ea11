from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

from chassis.errors import AppError, Forbidden, IfMatchRequired, InsufficientScope, TokenReadOnly
from chassis.identity import Principal
from chassis.web.app import APIRouter
from chassis.web.database import Write, Writing
from chassis.web.envelope import Envelope
from chassis.web.identity import CurrentPrincipal
from chassis.web.openapi import Responses, errors, example
from chassis.web.routing import any_credential, no_policy, takes_values
from fastapi import Request, Response
from sqlalchemy import RowMapping

from tasks_service.assignees.errors import AssigneeNoAccess, TooManyAssignees
from tasks_service.blockers.errors import Blocked
from tasks_service.bulk import service
from tasks_service.bulk.errors import NothingDone, TooManyOperations
from tasks_service.bulk.rules import MAX_AT_ONCE, status_of
from tasks_service.bulk.schemas import DONE_EXAMPLE, MIXED_EXAMPLE, BulkChange, BulkItem
from tasks_service.bulk.service import Terms
from tasks_service.bulk_operations.errors import DuplicateTempId, UnknownDependency, UnknownTempId
from tasks_service.bulk_steps.schemas import Outcome
from tasks_service.categories.errors import CategoryNotFound
from tasks_service.changes.access import CURSOR, cursor_header
from tasks_service.jobs.errors import TooManyJobs
from tasks_service.jobs.schemas import JOB_EXAMPLE, JobOut
from tasks_service.labels.errors import LabelNotFound, TooManyLabels
from tasks_service.moving.errors import AnotherWorkspace, StatusUnmapped
from tasks_service.projects.errors import ProjectArchived
from tasks_service.statuses.errors import StatusNotFound
from tasks_service.subtasks.errors import OpenSubtasks
from tasks_service.tasks.endpoints import STALE, TREE
from tasks_service.tasks.errors import (
    AmbiguousKey,
    CustomTooLong,
    DatesOutOfOrder,
    ExternalIdTaken,
    ProjectNotFound,
    TaskNotFound,
)
from tasks_service.versions.errors import ResourceBusy

router = APIRouter(prefix="/api/v1/tasks/bulk", tags=["tasks"])

MAX_VALUES = 100_000
NOTHING_MORE: Mapping[str, Any] = MappingProxyType({})
STARTED: dict[str, Any] = {
    "model": Envelope[JobOut],
    **example(
        {**JOB_EXAMPLE, "status": "queued", "done": 0, "failed": 0, "version": 1, "started_at": None},
        description="They are left to a job.",
        headers={**CURSOR, "Location": "Path of the job."},
    ),
}
OF_SINGLE_REQUESTS = (
    TaskNotFound,
    AmbiguousKey,
    Forbidden,
    InsufficientScope,
    TokenReadOnly,
    ProjectNotFound,
    StatusNotFound,
    CategoryNotFound,
    LabelNotFound,
    DatesOutOfOrder,
    CustomTooLong,
    AssigneeNoAccess,
    TooManyAssignees,
    TooManyLabels,
    ProjectArchived,
    ExternalIdTaken,
    OpenSubtasks,
    Blocked,
    AnotherWorkspace,
    StatusUnmapped,
    STALE,
    IfMatchRequired,
    ResourceBusy,
    *TREE,
)
"""What operations are refused by."""


def answers(done: Sequence[Any], mixed: Sequence[Any], *refusals: type[AppError]) -> Responses:
    """Return the documentation of what many changes are answered with; `refusals` are those of the request itself."""
    return {
        200: example(done, description="All were done; `meta` counts them.", headers=CURSOR),
        207: {
            "model": Envelope[list[BulkItem]],
            **example(mixed, description="Some were done; `meta` counts them.", headers=CURSOR),
        },
        202: STARTED,
        **errors(
            NothingDone(data=[MIXED_EXAMPLE[1] | {"index": 0}]),
            *refusals,
            TooManyOperations,
            TooManyJobs,
            *OF_SINGLE_REQUESTS,
        ),
    }


@router.post(
    "",
    summary="Change many tasks",
    description=(
        "Up to 200 operations in their order, in one transaction: each is what its single request is, decided by what "
        "you may do with its own task; more are left to a job. With `mode: atomic` the first refusal is the answer, "
        "with the `index` of the operation in its `errors`, and nothing is changed. With `partial` each is done or "
        "refused for itself: 200 when all are done, 207 when some are, and 422 when none is. What an operation refers "
        "to by `depends_on`, or by a `temp_id`, comes before it; when that fails, it is refused with 424 "
        "`DEPENDENCY_FAILED`. The body is checked as a whole before anything is done.\n\n"
        "`id` and `parent_id` are ids, keys, or the `temp_id` of a task that is made before; `meta.temp_ids` tells "
        "which ids these got. With `dry_run` the answer is the same, with the `changes` of each task, and nothing is "
        "kept: no change, event or version, and no answer for the `Idempotency-Key`. All of it is undone at once by "
        "`POST /operations/{request_id}/undo`, as long as it made no more than 2,000 changes (unless the server is "
        "set up otherwise); a create is one of them, one more below a parent, and one for each "
        "assignee who begins to watch the task.\n\n"
        "More than 200 are answered with 202 and a job, whose progress is at `Location` and whose results are told as "
        "they would be here. With `partial` these are up to 10,000, done in steps that are each kept, and with "
        "`atomic` up to 500 (unless the server is set up otherwise), still in one transaction; so is a `dry_run` of up "
        "to 500, whose results have the `changes`.\n\n"
        "Until the transaction ends, the tasks are locked, and operations that create in a project hold its numbers: "
        "who else creates there waits, and is answered with 503 `RESOURCE_BUSY` and `Retry-After` when that takes "
        "longer than two seconds. `partial` in a job holds them for a step at a time.\n\n"
        "Of an API token each operation needs the scope of its single request: `tasks:delete` for `delete`, "
        "`tasks:write` for all others."
    ),
    response_model=Envelope[list[BulkItem]],
    responses=answers(DONE_EXAMPLE, MIXED_EXAMPLE, UnknownTempId, DuplicateTempId, UnknownDependency),
)
@any_credential("each operation asks for the scope of its single request")
@no_policy("each operation is decided by the action of its single request")
@takes_values(MAX_VALUES)
async def bulk_change_tasks(request: Request, body: BulkChange, caller: CurrentPrincipal, write: Writing) -> Response:
    terms = Terms(body.mode, body.dry_run)
    if len(body.operations) > MAX_AT_ONCE:
        job = await service.start_changing(
            write.session,
            operations=body.operations,
            given=(await request.json())["operations"],
            terms=terms,
            max_atomic=request.app.state.bulk_max_atomic,
            actor=caller,
        )
        return await started(request, write, caller, job)
    outcomes = await service.change_tasks(write.session, operations=body.operations, terms=terms, actor=caller)
    return await answered(request, write, caller, outcomes, terms)


async def started(
    request: Request,
    write: Write,
    caller: Principal,
    job: RowMapping,
    told: Mapping[str, Any] = NOTHING_MORE,
) -> Response:
    """Answer with a job that does what was asked for; `told` is what `meta` says."""
    headers = {**await cursor_header(request, write, caller), "location": f"/api/v1/jobs/{job['id']}"}
    return write.reply(JobOut.of(job), status=202, meta=dict(told), headers=headers)


async def answered(
    request: Request,
    write: Write,
    caller: Principal,
    outcomes: Sequence[Outcome],
    terms: Terms,
    told: Mapping[str, Any] = NOTHING_MORE,
) -> Response:
    """Answer with what became of operations. Raises NothingDone where all were refused.

    `told` is what `meta` says beside.
    """
    items = [BulkItem.of(one, shows_changes=terms.dry_run) for one in outcomes]
    failed = [one.error for one in outcomes if one.error is not None]
    meta = {**_meta(outcomes, terms, len(failed)), **told}
    if failed and len(failed) == len(outcomes):
        raise NothingDone(data=[one.model_dump(mode="json") for one in items], meta=meta)
    headers = await cursor_header(request, write, caller)
    status = status_of(total=len(outcomes), failed=len(failed))
    if terms.dry_run:
        return write.reply_afresh(items, status=status, meta=meta, headers=headers)
    about = [one.about for one in outcomes if one.about is not None]
    return write.reply(items, status=status, meta=meta, headers=headers, about_resources=about)


def _meta(outcomes: Sequence[Outcome], terms: Terms, failed: int) -> dict[str, Any]:
    made = {one.temp_id: str(one.task_id) for one in outcomes if one.temp_id is not None and one.error is None}
    return {
        "mode": terms.mode,
        "dry_run": terms.dry_run,
        "total": len(outcomes),
        "succeeded": len(outcomes) - failed,
        "failed": failed,
        "temp_ids": made,
    }
