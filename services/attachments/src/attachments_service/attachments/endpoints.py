from typing import Annotated

from chassis.errors import Forbidden
from chassis.paging import page_meta
from chassis.web.app import APIRouter
from chassis.web.database import ReadConnection, Writing
from chassis.web.envelope import Envelope, PageEnvelope
from chassis.web.identity import CurrentPrincipal
from chassis.web.openapi import enveloped, errors, example
from chassis.web.pagination import PagesQuery, PageTooDeep, page_links
from chassis.web.replies import PRIVATE, etag, list_etag, reply, to_json, unless_unchanged
from fastapi import File, Header, Request, Response, UploadFile
from fastapi.responses import StreamingResponse

from attachments_service.attachments import repository, service
from attachments_service.attachments.access import VisibleAttachment, VisibleTask
from attachments_service.attachments.errors import (
    AttachmentNotFound,
    FileNameInvalid,
    FileTooLarge,
    RangeNotSatisfiable,
    TooManyAttachments,
)
from attachments_service.attachments.rules import disposition, wanted_range
from attachments_service.attachments.schemas import ATTACHMENT_EXAMPLE, AttachmentOut
from attachments_service.attachments.service import Upload

MAX_UPLOAD_BYTES = 26 * 1024 * 1024

of_task = APIRouter(prefix="/api/v1/tasks", tags=["attachments"])
router = APIRouter(prefix="/api/v1/attachments", tags=["attachments"])


@of_task.post(
    "/{task_id}/attachments",
    status_code=201,
    max_body_size=MAX_UPLOAD_BYTES,
    summary="Attach a file",
    description="Multipart form with one `file`, up to 25 MiB. The bytes are digested and stored as they come.",
    response_model=Envelope[AttachmentOut],
    responses={
        201: example(
            ATTACHMENT_EXAMPLE, description="The attached file.", headers={"Location": "Path of the attachment."}
        ),
        **errors(AttachmentNotFound, Forbidden, TooManyAttachments, FileTooLarge, FileNameInvalid),
    },
)
async def create_attachment(
    request: Request,
    access: VisibleTask,
    caller: CurrentPrincipal,
    write: Writing,
    file: Annotated[UploadFile, File(description="The file.")],
) -> Response:
    state = request.app.state
    if (file.size or 0) > state.max_bytes:
        raise FileTooLarge(field="file")
    upload = Upload(file.filename or "", file.content_type, file.size or 0, file.file)
    row = await service.attach(
        write.session,
        access=access,
        upload=upload,
        storage=state.storage,
        user_id=caller.user_id,
        limit=state.max_per_task,
    )
    headers = {"location": f"/api/v1/attachments/{row['id']}", "etag": etag(row["version"])}
    return write.reply(AttachmentOut.model_validate(dict(row)), status=201, headers=headers)


@of_task.get(
    "/{task_id}/attachments",
    summary="List a task's files",
    description="The files of a task that you can see, the oldest first.",
    response_model=PageEnvelope[AttachmentOut],
    responses={
        200: {
            "description": "One page of files.",
            "content": {"application/json": {"example": enveloped([ATTACHMENT_EXAMPLE], page=1, per_page=20, total=1)}},
        },
        304: {"description": "Nothing changed since the ETag in If-None-Match."},
        **errors(AttachmentNotFound, PageTooDeep),
    },
)
async def list_attachments(
    request: Request, access: VisibleTask, connection: ReadConnection, paging: PagesQuery
) -> Response:
    rows, total = await repository.list_of_task(connection, access.task_id, limit=paging.per_page, offset=paging.offset)
    files = [AttachmentOut.model_validate(dict(row)) for row in rows]
    headers = {**page_links(request, paging, total), "etag": list_etag(to_json(files) + str(total).encode())}
    return unless_unchanged(request, reply(files, meta=page_meta(paging, total), headers=headers))


@router.get(
    "/{attachment_id}",
    summary="Read about a file",
    description="Name, size, digest and type of a file.",
    response_model=Envelope[AttachmentOut],
    responses={
        200: example(ATTACHMENT_EXAMPLE, description="The file.", headers={"ETag": "The version, in quotes."}),
        304: {"description": "Nothing changed since the ETag in If-None-Match."},
        **errors(AttachmentNotFound),
    },
)
async def read_attachment(request: Request, found: VisibleAttachment) -> Response:
    file = AttachmentOut.model_validate(dict(found.row))
    return unless_unchanged(request, reply(file, headers={"etag": etag(file.version)}))


@router.get(
    "/{attachment_id}/content",
    summary="Download a file",
    description="The bytes, as a download. One byte range may be asked for; the ETag is the SHA-256.",
    response_class=Response,
    responses={
        200: {"description": "The whole file.", "content": {"application/octet-stream": {}}},
        206: {"description": "The wanted range.", "content": {"application/octet-stream": {}}},
        304: {"description": "The bytes are those of If-None-Match."},
        **errors(AttachmentNotFound, RangeNotSatisfiable),
    },
)
async def read_content(
    request: Request,
    found: VisibleAttachment,
    range_: Annotated[str | None, Header(alias="range", description="One byte range (RFC 9110, section 14).")] = None,
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
    start, end, status = _part(range_, row["size"], headers)
    headers["content-length"] = str(end - start)
    content = request.app.state.storage.read(row["id"], start=start, end=end)
    response = StreamingResponse(content, status, headers, row["content_type"])
    return unless_unchanged(request, response)


@router.delete(
    "/{attachment_id}",
    summary="Delete a file",
    description="By who brought it, or by an owner or admin of the workspace.",
    response_model=Envelope[None],
    responses={200: example(None, description="The file is gone."), **errors(AttachmentNotFound, Forbidden)},
)
async def delete_attachment(found: VisibleAttachment, caller: CurrentPrincipal, write: Writing) -> Response:
    await service.detach(write.session, access=found.access, row=found.row, user_id=caller.user_id)
    return write.reply(None)


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
