from typing import Annotated

from chassis.errors import CursorMismatch, Forbidden, InvalidCursor
from chassis.filtering.errors import FilterTooComplex, InvalidFilter
from chassis.web.app import APIRouter
from chassis.web.database import Writing
from chassis.web.envelope import Envelope
from chassis.web.identity import CurrentPrincipal
from chassis.web.middleware import ASKED_METHOD
from chassis.web.openapi import NEVER_STORED, errors, example
from chassis.web.replies import NO_STORE, reply
from chassis.web.routing import no_policy, policy, public, scope
from fastapi import Query, Request, Response
from fastapi.responses import StreamingResponse

from tasks_service.changes.access import CURSOR, cursor_header
from tasks_service.changes.errors import NotYetConsistent
from tasks_service.exports import service
from tasks_service.exports.access import OwnExport, Terms
from tasks_service.exports.errors import ExportMissing, HistoryOfAll
from tasks_service.exports.rules import CONTENT_TYPES, file_name, link_of
from tasks_service.exports.schemas import EXPORT_EXAMPLE, EXPORT_JOB_EXAMPLE, ExportCreate, ExportOut
from tasks_service.jobs.endpoints import job_headers
from tasks_service.jobs.errors import TooManyJobs
from tasks_service.jobs.schemas import JobOut
from tasks_service.path_ids import ExportId
from tasks_service.saved_filters.errors import FilterNotFound
from tasks_service.timezones.access import AskedZone
from tasks_service.workspaces.errors import WorkspaceNotFound

router = APIRouter(prefix="/api/v1/exports", tags=["exports"])

LINE_EXAMPLE = '{"taskloom":1,"kind":"head","workspace":{"id":"0199d3b2-6f10-7c11-9b5e-0f6f6a9d2c02","name":"Acme"}}\n'
ROW_EXAMPLE = "id,key,title\r\n0199d3b2-7a52-7f0e-8f3a-1d1f6c0f5a11,ACME-12,Buy milk\r\n"


@router.post(
    "",
    status_code=202,
    summary="Export a workspace",
    description=(
        "All of a workspace as a file, for its owners and admins, which a job writes, or of its tasks those alone that "
        "a `filter` finds, those of archived projects among them. As `ndjson` it has an object a "
        "line, in an order in which an import takes them: projects with statuses and members, categories, labels, "
        "tasks with assignees and shares, and what hangs on them; with what is your own, and nobody else's: personal "
        "labels, stars, whether you hear of a task, metadata that is not shared. As `csv` it is a table of the tasks, "
        "no cell of which is a formula. Each thing is as it is when it is read; what is there all the time is in it "
        "once. What is in the trash, what comments said before they were edited, and the bytes of attachments are "
        "not in it."
    ),
    response_model=Envelope[JobOut],
    responses={
        202: example(
            EXPORT_JOB_EXAMPLE,
            description="The job; its `result_url` is the export.",
            headers={"Location": "Path of the job.", "ETag": "The job's version, in quotes.", **CURSOR},
        ),
        **errors(
            WorkspaceNotFound, Forbidden, TooManyJobs, FilterNotFound, HistoryOfAll, InvalidFilter, FilterTooComplex
        ),
    },
)
@scope("admin:*")
@policy("workspace.export")
async def create_export(
    request: Request, body: ExportCreate, caller: CurrentPrincipal, write: Writing, zone: AskedZone
) -> Response:
    row = await service.start_export(write.session, wanted=body, asked_for=zone, actor=caller)
    location = {"location": f"/api/v1/jobs/{row['id']}"}
    headers = {**job_headers(row), **location, **await cursor_header(request, write, caller)}
    return write.reply(JobOut.of(row), status=202, headers=headers)


@router.get(
    "/{export_id}",
    summary="Read an export",
    description=(
        "An export of yours: once it is finished, how large it is, its checksum and what is in it, and `url`, by "
        "which the file is fetched without a token for 5 minutes. It is kept for 7 days, unless configured otherwise."
    ),
    response_model=Envelope[ExportOut],
    responses={
        200: example(EXPORT_EXAMPLE, description="The export.", headers=NEVER_STORED),
        **errors(ExportMissing, Forbidden, InvalidCursor, CursorMismatch, NotYetConsistent),
    },
)
@scope("admin:*")
@no_policy("an export is its maker's alone; what that one may have is asked for its workspace")
async def read_export(export: OwnExport, terms: Terms) -> Response:
    # A link is somebody's way in for a while: nothing keeps a copy of it.
    return reply(service.shown(export, terms), headers=NO_STORE)


@router.get(
    "/{export_id}/content",
    summary="Download an export",
    description=(
        "The file, by the `url` of the export, which says all that is needed. Any other link, one that is over, and "
        "one of somebody who may not have the workspace any more is answered 404."
    ),
    response_class=Response,
    responses={
        200: {
            "description": "The file.",
            "content": {
                "application/x-ndjson": {"example": LINE_EXAMPLE},
                "text/csv": {"example": ROW_EXAMPLE},
            },
        },
        **errors(ExportMissing),
    },
)
@public("the signature of the link says who may have it, and until when")
async def read_export_content(
    request: Request,
    terms: Terms,
    export_id: ExportId,
    *,
    expires: Annotated[str, Query(description="When the link is over, in seconds since 1970.")] = "",
    user: Annotated[str, Query(description="Whose link it is.")] = "",
    signature: Annotated[str, Query(description="What makes it one.")] = "",
) -> Response:
    link = link_of(export_id, expires=expires, user=user, signature=signature)
    if link is None:
        raise ExportMissing
    database = request.app.state.database
    row = await service.find_by_link(database, link=link, terms=terms)
    file_format, size = row["parameters"]["format"], row["state"]["size"]
    headers = {
        "cache-control": "private, no-store",
        "content-disposition": f'attachment; filename="{file_name(export_id, file_format)}"',
        "content-length": str(size),
        "content-security-policy": "sandbox; default-src 'none'",
        "cross-origin-resource-policy": "same-origin",
        "referrer-policy": "no-referrer",
        "x-content-type-options": "nosniff",
    }
    content_type = CONTENT_TYPES[file_format]
    if request.scope.get(ASKED_METHOD) == "HEAD":
        return Response(None, 200, headers, content_type)
    return StreamingResponse(service.content_of(database, export_id, size), 200, headers, content_type)
