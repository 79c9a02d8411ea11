from typing import Annotated

from chassis.errors import CursorMismatch, InsufficientScope, InvalidCursor, TokenReadOnly
from chassis.web.app import APIRouter
from chassis.web.database import Writing
from chassis.web.envelope import Envelope, PageEnvelope
from chassis.web.identity import CurrentPrincipal
from chassis.web.openapi import enveloped, errors, example
from chassis.web.pagination import CursorPaging, paged_reply
from chassis.web.replies import etag, reply, unless_unchanged
from chassis.web.routing import any_credential, no_policy
from fastapi import Query, Request, Response
from sqlalchemy import RowMapping

from tasks_service.changes.access import CURSOR, FreshConnection, written_headers
from tasks_service.changes.errors import NotYetConsistent
from tasks_service.jobs import service
from tasks_service.jobs.access import OwnJob, ReadableJob
from tasks_service.jobs.errors import JobFinished, JobMissing
from tasks_service.jobs.rules import OPEN, Kind, Outcome, Status
from tasks_service.jobs.schemas import JOB_EXAMPLE, JOB_ITEM_EXAMPLE, JobItemOut, JobOut

router = APIRouter(prefix="/api/v1/jobs", tags=["jobs"])

OWN = "a token that started a job follows it; for others of their maker's, access.py asks for a scope"
ETAG = {"ETag": "The job's version, in quotes; it goes up with its progress."}
ASK_AGAIN_SECONDS = "1"
CANCELLED_EXAMPLE = {
    **JOB_EXAMPLE,
    "status": "cancelled",
    "cancelable": False,
    "version": 12,
    "finished_at": "2026-11-26T09:00:02Z",
}


def _page(entry: object) -> dict[str, object]:
    return {"example": enveloped([entry], per_page=20, next_cursor=None, prev_cursor=None, has_more=False)}


def job_headers(row: RowMapping) -> dict[str, str]:
    """Return the headers of an answer with a job."""
    again = {"retry-after": ASK_AGAIN_SECONDS} if row["status"] in OPEN else {}
    return {"etag": etag(row["version"]), **again}


@router.get(
    "",
    summary="List your jobs",
    description=(
        "What you have started that takes longer than a request, the newest first; jobs are kept for 7 days after "
        "their end. An API token that is restricted lists what is within its reach, and one without `tasks:read` what "
        "it has started itself."
    ),
    response_model=PageEnvelope[JobOut],
    responses={
        200: {"description": "A part of your jobs.", "content": {"application/json": _page(JOB_EXAMPLE)}},
        **errors(InvalidCursor, CursorMismatch, NotYetConsistent),
    },
)
@any_credential(OWN)
@no_policy("jobs are their maker's alone, whatever role that one has")
async def list_jobs(
    request: Request,
    caller: CurrentPrincipal,
    connection: FreshConnection,
    paging: CursorPaging,
    status: Annotated[list[Status] | None, Query(description="Only these, repeated or joined by commas.")] = None,
    kind: Annotated[list[Kind] | None, Query(description="Only these, repeated or joined by commas.")] = None,
) -> Response:
    page = await service.list_jobs(
        connection,
        caller=caller,
        statuses=status or (),
        kinds=kind or (),
        paging=paging,
        signer=request.app.state.cursors,
    )
    return paged_reply(request, [JobOut.of(row) for row in page.rows], paging, page.meta)


@router.get(
    "/{job_id}",
    summary="Read a job",
    description=(
        "How far a job of yours is. It is also told on your live connection (`job.updated`), once a second at "
        "most. While it has not ended, `Retry-After` says when to ask again; `If-None-Match` with its ETag gets 304 "
        "while it has not got on. It goes on as you, by what you may do then: where the session or API token that "
        "started it has ended meanwhile (a logout is an end, too), it fails with `CREDENTIAL_REVOKED` or "
        "`CREDENTIAL_EXPIRED`, and where your account is not active any more with `ACCOUNT_INACTIVE`; what it has done "
        "stays. Nobody else sees it; an API token without `tasks:read` reads what it has started itself."
    ),
    response_model=Envelope[JobOut],
    responses={
        200: example(JOB_EXAMPLE, description="The job.", headers=ETAG),
        304: {"description": "The job is still at the version in If-None-Match."},
        **errors(JobMissing, InsufficientScope, NotYetConsistent, InvalidCursor),
    },
)
@any_credential(OWN)
@no_policy("jobs are their maker's alone, whatever role that one has")
async def read_job(request: Request, job: ReadableJob) -> Response:
    return unless_unchanged(request, reply(JobOut.of(job), headers=job_headers(job)))


@router.post(
    "/{job_id}/cancel",
    summary="Cancel a job",
    description=(
        "A job that waits is cancelled at once, one that is under way before its next step: until then it is still "
        "`running`, and not `cancelable` any more. What it has done stays, and is undone by its request id, where it "
        "is no more than 2,000 changes (a create is one, one more below a parent, and one for each assignee who begins "
        "to watch the task); what it has not come to is `cancelled` in its results. A job that is cancelled already "
        "stays so. What is to be done all or not at all is not done. An API token without `tasks:write` cancels what "
        "it has started itself."
    ),
    response_model=Envelope[JobOut],
    responses={
        200: example(CANCELLED_EXAMPLE, description="The job.", headers={**ETAG, **CURSOR}),
        **errors(JobMissing, JobFinished, InsufficientScope, TokenReadOnly),
    },
)
@any_credential(OWN)
@no_policy("jobs are their maker's alone, whatever role that one has")
async def cancel_job(request: Request, job: OwnJob, caller: CurrentPrincipal, write: Writing) -> Response:
    row = await service.cancel_job(write.session, job=job, actor=caller)
    return write.reply(JobOut.of(row), headers=await written_headers(request, write, caller, row))


@router.get(
    "/{job_id}/results",
    summary="Read what came of a job",
    description=(
        "What became of each operation, in the order of the request, from the first step on; walked by cursor. "
        "`status=failed` shows those alone that failed."
    ),
    response_model=PageEnvelope[JobItemOut],
    responses={
        200: {"description": "A part of the results.", "content": {"application/json": _page(JOB_ITEM_EXAMPLE)}},
        **errors(JobMissing, InsufficientScope, InvalidCursor, CursorMismatch, NotYetConsistent),
    },
)
@any_credential(OWN)
@no_policy("jobs are their maker's alone, whatever role that one has")
async def list_job_results(
    request: Request,
    job: ReadableJob,
    connection: FreshConnection,
    paging: CursorPaging,
    status: Annotated[Outcome | None, Query(description="Only operations of this `outcome`.")] = None,
) -> Response:
    page = await service.list_results(
        connection, job=job, outcome=status, paging=paging, signer=request.app.state.cursors
    )
    entries = [JobItemOut.of(row, job) for row in page.rows]
    return paged_reply(request, entries, paging, page.meta)
