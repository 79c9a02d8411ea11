from chassis.filtering.errors import FilterTooComplex, InvalidFilter
from chassis.web.app import APIRouter
from chassis.web.database import Writing
from chassis.web.envelope import Envelope
from chassis.web.identity import CurrentPrincipal
from chassis.web.routing import no_policy, scope
from fastapi import Request, Response

from tasks_service.bulk.endpoints import answered, answers, started
from tasks_service.bulk.rules import MAX_AT_ONCE
from tasks_service.bulk.schemas import MIXED_EXAMPLE, BulkItem
from tasks_service.bulk.service import Terms
from tasks_service.bulk_by_filter import service
from tasks_service.bulk_by_filter.errors import CountMismatch
from tasks_service.bulk_by_filter.schemas import BulkByFilter
from tasks_service.permissions.rules import RULES
from tasks_service.timezones.access import AskedZone
from tasks_service.timezones.rules import named_or

router = APIRouter(prefix="/api/v1/tasks/bulk/by-filter", tags=["tasks"])

DONE_EXAMPLE = [{**MIXED_EXAMPLE[0], "op": "update"}, {**MIXED_EXAMPLE[0], "op": "update", "index": 1}]


@router.post(
    "",
    summary="Change all tasks that a filter finds",
    description=(
        "The same merge patch for all tasks that you see and the filter finds, in one transaction, as long as they are "
        "`expected_count`: they are counted and locked before anything is done, and with another number nothing is, "
        "409 `COUNT_MISMATCH` with `data.count`. What a list with the same filter shows is what is changed, so tasks "
        "of archived projects are only found where the filter names the project or asks for `is_archived`. Tasks that "
        "you see and may not change count, too, and are refused. The answer is that of `POST /tasks/bulk`, with the "
        "oldest task first, and `meta.resolved_filter`. More than 200 are left to a job, 202 as there: it changes "
        "those that are found now, also where the filter would not find them any more when their turn comes. Finding "
        "that takes the database longer than five seconds is ended, with 503 `SERVICE_UNAVAILABLE` and `Retry-After`."
    ),
    response_model=Envelope[list[BulkItem]],
    responses=answers(DONE_EXAMPLE, MIXED_EXAMPLE[1:], InvalidFilter, FilterTooComplex, CountMismatch),
)
@scope("tasks:write")
@no_policy("each task that is found is decided as its single request is")
async def bulk_change_tasks_by_filter(
    request: Request, body: BulkByFilter, caller: CurrentPrincipal, write: Writing, zone: AskedZone
) -> Response:
    # What is found tells of tasks that the answer need not show.
    caller.require_scope(RULES["task.read"].scope)
    asked_for = named_or(body.tz, zone)
    query = await service.resolve(write.session, given=body.filter, asked_for=asked_for, caller=caller)
    found = await service.find_expected(write.session, query=query, expected_count=body.expected_count)
    terms = Terms(body.mode, body.dry_run, service.WHERE)
    if len(found) > MAX_AT_ONCE:
        job = await service.start_changing(
            write.session,
            query=query,
            task_ids=found,
            patch=(await request.json())["patch"],
            terms=terms,
            max_atomic=request.app.state.bulk_max_atomic,
        )
        return await started(request, write, caller, job, told=query.told)
    outcomes = await service.change_found(write.session, query=query, task_ids=found, wanted=body, terms=terms)
    return await answered(request, write, caller, outcomes, terms, told=query.told)
