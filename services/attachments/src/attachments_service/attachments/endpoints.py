from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated

from chassis.errors import AppError, Forbidden
from chassis.web.app import APIRouter
from chassis.web.database import ReadConnection, Replay, Writing, open_write
from chassis.web.envelope import Envelope, PageEnvelope
from chassis.web.identity import CurrentPrincipal
from chassis.web.middleware import ASKED_METHOD
from chassis.web.openapi import errors, example, page_example
from chassis.web.pagination import PagesQuery, PageTooDeep, page_reply
from chassis.web.preconditions import WantsMinimal
from chassis.web.replies import PRIVATE, etag, reply, unless_unchanged
from chassis.web.routing import scope, takes_idempotency_key
from fastapi import Header, Request, Response
from fastapi.responses import StreamingResponse
from starlette.requests import ClientDisconnect

from attachments_service.attachments import repository, service
from attachments_service.attachments.access import DeletableAttachment, EditableTask, VisibleAttachment, VisibleTask
from attachments_service.attachments.errors import (
    AttachmentNotFound,
    FileNameInvalid,
    FileTooLarge,
    ProjectArchived,
    RangeNotSatisfiable,
    TooManyAttachments,
)
from attachments_service.attachments.rules import disposition, wanted_range
from attachments_service.attachments.schemas import ATTACHMENT_EXAMPLE, AttachmentOut
from attachments_service.attachments.service import StoredFile
from attachments_service.settings import MAX_FILE_BYTES
from attachments_service.storage.port import Storage
from attachments_service.uploads.errors import FormMalformed, FormRequired
from attachments_service.uploads.form import read_file

NOT_MODIFIED = 304
FORM_BYTES = 64 * 1024
"""Room for what a form has around its file."""
CEILING_BYTES = MAX_FILE_BYTES + FORM_BYTES
"""FastAPI's limit of a body is fixed when the route is declared; the configured one is counted while reading."""
EXAMPLE_BYTES = "%PDF-1.7 ..."
FORM = {
    "requestBody": {
        "required": True,
        "content": {
            "multipart/form-data": {
                "schema": {
                    "type": "object",
                    "required": ["file"],
                    "additionalProperties": False,
                    "properties": {
                        "file": {
                            "type": "string",
                            "contentMediaType": "application/octet-stream",
                            "description": "The file, with its name.",
                        }
                    },
                },
                "example": {"file": EXAMPLE_BYTES},
            }
        },
    }
}

of_task = APIRouter(prefix="/api/v1/tasks", tags=["attachments"])
router = APIRouter(prefix="/api/v1/attachments", tags=["attachments"])


@of_task.post(
    "/{task_id}/attachments",
    status_code=201,
    max_body_size=CEILING_BYTES,
    summary="Attach a file",
    description=(
        "Multipart form with one `file`, up to 25 MiB unless configured otherwise. The bytes are digested and stored "
        "as they come. A type that a browser could run, or that the bytes do not show, becomes "
        "`application/octet-stream`. With an `Idempotency-Key`, the same file under the same name is the same request."
    ),
    response_model=Envelope[AttachmentOut],
    openapi_extra=FORM,
    responses={
        201: example(
            ATTACHMENT_EXAMPLE, description="The attached file.", headers={"Location": "Path of the attachment."}
        ),
        **errors(
            AttachmentNotFound,
            Forbidden,
            ProjectArchived,
            TooManyAttachments,
            FileTooLarge,
            FileNameInvalid,
            FormMalformed,
            FormRequired,
        ),
    },
)
@takes_idempotency_key
@scope("tasks:write")
async def create_attachment(request: Request, access: EditableTask, caller: CurrentPrincipal) -> Response:
    state = request.app.state
    refuse_announced_size(request, state.max_bytes)
    headers = request.headers
    sent = await read_file(headers.get("content-type"), headers.get("content-encoding"), _body(request))
    file = await service.receive(sent, storage=state.storage, max_bytes=state.max_bytes)
    content = f"{file.sha256} {file.content_type} {file.name}".encode()
    async with _dropped_when_refused(file, state.storage), open_write(request, caller, content=content) as write:
        row = await service.attach(write.session, access=access, file=file, actor=caller, limit=state.max_per_task)
        created = {"location": f"/api/v1/attachments/{file.id}", "etag": etag(row["version"])}
        return write.reply(AttachmentOut.model_validate(dict(row)), status=201, headers=created)


def refuse_announced_size(request: Request, max_bytes: int) -> None:
    """Raise FileTooLarge before the first byte is read when Content-Length says it all."""
    announced = request.headers.get("content-length", "")
    if announced.isdigit() and int(announced) > max_bytes + FORM_BYTES:
        raise FileTooLarge(field="file")


async def _body(request: Request) -> AsyncIterator[bytes]:
    try:
        async for chunk in request.stream():
            yield chunk
    except ClientDisconnect:
        raise FormMalformed from None


@asynccontextmanager
async def _dropped_when_refused(file: StoredFile, storage: Storage) -> AsyncIterator[None]:
    """Delete the bytes when there will be no row. A failed commit may have worked: its bytes stay for the scheduler."""
    try:
        yield
    except (AppError, Replay):
        await storage.delete([file.id])
        raise


@of_task.get(
    "/{task_id}/attachments",
    summary="List a task's files",
    description="The files of a task that you can see, the oldest first.",
    response_model=PageEnvelope[AttachmentOut],
    responses={
        200: page_example(ATTACHMENT_EXAMPLE, description="One page of files."),
        **errors(AttachmentNotFound, PageTooDeep),
    },
)
@scope("tasks:read")
async def list_attachments(
    request: Request, access: VisibleTask, connection: ReadConnection, paging: PagesQuery
) -> Response:
    rows, total = await repository.list_of_task(connection, access.task_id, limit=paging.per_page, offset=paging.offset)
    files = [AttachmentOut.model_validate(dict(row)) for row in rows]
    return page_reply(request, files, paging, total)


@router.get(
    "/{attachment_id}",
    summary="Read about a file",
    description="Name, size, digest and type of a file.",
    response_model=Envelope[AttachmentOut],
    responses={
        200: example(ATTACHMENT_EXAMPLE, description="The file.", headers={"ETag": "The version, in quotes."}),
        304: {"description": "The file is still at the version in If-None-Match."},
        **errors(AttachmentNotFound),
    },
)
@scope("tasks:read")
async def read_attachment(request: Request, found: VisibleAttachment) -> Response:
    file = AttachmentOut.model_validate(dict(found.row))
    return unless_unchanged(request, reply(file, headers={"etag": etag(file.version)}))


@router.get(
    "/{attachment_id}/content",
    summary="Download a file",
    description="The bytes, as a download. One byte range may be asked for; the ETag is the SHA-256.",
    response_class=Response,
    responses={
        200: {"description": "The whole file.", "content": {"*/*": {"example": EXAMPLE_BYTES}}},
        206: {"description": "The wanted range.", "content": {"*/*": {"example": EXAMPLE_BYTES[:4]}}},
        304: {"description": "The bytes are those of If-None-Match."},
        **errors(AttachmentNotFound, RangeNotSatisfiable),
    },
)
@scope("tasks:read")
async def read_content(
    request: Request,
    found: VisibleAttachment,
    range_: Annotated[
        str | None,
        Header(alias="Range", description="One byte range, such as `bytes=0-1023` (RFC 9110, section 14)."),
    ] = None,
    if_range: Annotated[
        str | None,
        Header(alias="If-Range", description="The ETag that the range is of; the whole file when it has another."),
    ] = None,
) -> Response:
    row = found.row
    headers = {
        **PRIVATE,
        "etag": f'"{row["sha256"]}"',
        "accept-ranges": "bytes",
        "content-disposition": disposition(row["name"]),
        "content-security-policy": "sandbox; default-src 'none'",
        "cross-origin-resource-policy": "same-origin",
    }
    unchanged = unless_unchanged(request, Response(headers=headers))
    if unchanged.status_code == NOT_MODIFIED:
        return unchanged
    # A range of what was another version is answered with the whole of this one (RFC 9110, section 13.1.5).
    same = if_range is None or if_range == headers["etag"]
    start, end, status = _part(range_ if same else None, row["size"], headers)
    headers["content-length"] = str(end - start)
    if request.scope.get(ASKED_METHOD) == "HEAD":
        return Response(None, status, headers, row["content_type"])
    content = await request.app.state.storage.open(row["id"], start=start, end=end)
    return StreamingResponse(content, status, headers, row["content_type"])


@router.delete(
    "/{attachment_id}",
    summary="Delete a file",
    description=(
        "By who brought it and may edit the task, or by who manages its project; `Prefer: return=minimal` gets 204 "
        "instead."
    ),
    response_model=Envelope[None],
    responses={
        200: example(None, description="The file is gone."),
        204: {"description": "Deleted; asked for with `Prefer: return=minimal`."},
        **errors(AttachmentNotFound, Forbidden, ProjectArchived),
    },
)
@scope("tasks:delete")
async def delete_attachment(
    found: DeletableAttachment, caller: CurrentPrincipal, write: Writing, minimal: WantsMinimal
) -> Response:
    await service.detach(write.session, access=found.access, row=found.row, actor=caller)
    return write.no_content() if minimal else write.reply(None)


def _part(wanted: str | None, size: int, headers: dict[str, str]) -> tuple[int, int, int]:
    """Return start, end and status of what is to be sent."""
    try:
        part = wanted_range(wanted, size)
    except ValueError:
        raise RangeNotSatisfiable(headers={"content-range": f"bytes */{size}"}) from None
    if part is None:
        return 0, size, 200
    headers["content-range"] = f"bytes {part[0]}-{part[1] - 1}/{size}"
    return *part, 206
