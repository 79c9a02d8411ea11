from typing import Annotated, Any
from uuid import UUID

from chassis.errors import Forbidden, MalformedRequest, PayloadTooLarge
from chassis.web.app import APIRouter
from chassis.web.database import open_write
from chassis.web.envelope import Envelope
from chassis.web.flags import Flag
from chassis.web.identity import CurrentPrincipal
from chassis.web.openapi import errors, example
from chassis.web.routing import policy, scope, takes_idempotency_key
from fastapi import Query, Request, Response

from tasks_service.changes.access import CURSOR, cursor_header
from tasks_service.file_parts.service import allowed_workspace
from tasks_service.import_files.errors import FileEmpty
from tasks_service.imports import service
from tasks_service.imports.access import received, refuse_other_types, sender_of
from tasks_service.imports.errors import FileTypeUnsupported
from tasks_service.imports.schemas import IMPORT_JOB_EXAMPLE, Format, ImportFile
from tasks_service.jobs.endpoints import job_headers
from tasks_service.jobs.errors import TooManyJobs
from tasks_service.jobs.schemas import JobOut
from tasks_service.settings import MAX_IMPORT_BYTES
from tasks_service.tasks.errors import ProjectNotFound
from tasks_service.workspaces.errors import WorkspaceNotFound

router = APIRouter(prefix="/api/v1/imports", tags=["imports"])

LINES_EXAMPLE = '{"kind":"label","id":"0199d3b2-7a60-7c3d-9a11-5b1e3c7f9a21","name":"urgent"}\n'
ROWS_EXAMPLE = "title,due\r\nBuy milk,2026-12-01\r\n"
FILE: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "description": "The file.",
        "content": {
            "application/x-ndjson": {"schema": {"type": "string"}, "example": LINES_EXAMPLE},
            "text/csv": {"schema": {"type": "string"}, "example": ROWS_EXAMPLE},
        },
    }
}


@router.post(
    "",
    status_code=202,
    max_body_size=MAX_IMPORT_BYTES,
    summary="Import a file into a workspace",
    description=(
        "The body is the file, up to 100 MiB unless configured otherwise: lines as an export has them, or a table of "
        "tasks whose columns are named in its first line, of which only `title` is needed. A job of yours takes it "
        "in, for owners and admins of the workspace. What is in it gets new ids; the job notes of which, so whatever "
        "comes again, in this file or another, is made once. A line with which something is wrong is left out, or "
        "taken in without what is wrong; the job's results tell of it with its number, and the rest goes on. Who is "
        "no member is left out, and what such people wrote is told as yours. An export of the workspace itself has "
        "no ids that an import has noted, so it makes copies, but for labels and categories of a name that is there, "
        "and the Inbox. An export that is cut or changed is taken in as far as it goes, with the warnings `FILE_CUT` "
        "or `CHECKSUM_MISMATCH`; lines of your own need no first and no last line of that kind. A table may have any "
        "columns: those that are unknown are left out, with one warning. With `dry_run` nothing is made, and the "
        "results tell what would be wrong. Nobody is notified of what is imported. With an `Idempotency-Key`, the "
        "same file is the same request."
    ),
    response_model=Envelope[JobOut],
    openapi_extra=FILE,
    responses={
        202: example(
            IMPORT_JOB_EXAMPLE,
            description="The job; its results tell of lines with which something is wrong.",
            headers={"Location": "Path of the job.", "ETag": "The job's version, in quotes.", **CURSOR},
        ),
        **errors(
            WorkspaceNotFound,
            ProjectNotFound,
            Forbidden,
            FileEmpty,
            FileTypeUnsupported,
            PayloadTooLarge,
            MalformedRequest,
            TooManyJobs,
        ),
    },
)
@takes_idempotency_key
@scope("admin:*")
@policy("workspace.import")
async def create_import(
    request: Request,
    caller: CurrentPrincipal,
    *,
    workspace_id: Annotated[UUID, Query(description="The workspace that takes what is in the file.")],
    format_: Annotated[Format, Query(alias="format", description="What the file is.")] = "ndjson",
    project_id: Annotated[
        UUID | None, Query(description="Of a table: where tasks go whose row names no project.")
    ] = None,
    dry_run: Annotated[Flag, Query(description="Tell what would be wrong, and make nothing.")] = False,
) -> Response:
    sender = await sender_of(request, caller, workspace_id)
    refuse_other_types(request, format_)
    async with received(request, sender, request.app.state.max_import_bytes) as file:
        wanted = ImportFile(
            format=format_,
            size=file.size,
            lines=file.lines,
            sha256=file.sha256,
            is_dry=dry_run,
            project_id=project_id,
        )
        async with open_write(request, caller, content=file.sha256.encode()) as write:
            await allowed_workspace(write.session, caller, workspace_id, "workspace.import")
            row = await service.start_import(
                write.session, file_id=file.id, workspace_id=workspace_id, wanted=wanted, actor=caller
            )
            location = {"location": f"/api/v1/jobs/{row['id']}"}
            headers = {**job_headers(row), **location, **await cursor_header(request, write, caller)}
            return write.reply(JobOut.of(row), status=202, headers=headers)
