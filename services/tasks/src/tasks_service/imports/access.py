"""How an import comes by its file: from whoever may import, and before that nothing of it is read."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from uuid import UUID

from chassis.db.row_security import reading_primary
from chassis.errors import AppError, MalformedRequest, PayloadTooLarge
from chassis.identity import Principal
from chassis.web.database import Replay, bound_of
from fastapi import Request
from starlette.requests import ClientDisconnect

from tasks_service.file_parts.service import allowed_workspace
from tasks_service.import_files.service import Received, Sender, drop, receive
from tasks_service.imports.errors import FileTypeUnsupported
from tasks_service.imports.schemas import TYPES


async def sender_of(request: Request, caller: Principal, workspace_id: UUID) -> Sender:
    """Return who sends a file, where that one may import. Raises WorkspaceNotFound, Forbidden."""
    bound = bound_of(request)
    async with reading_primary(request.app.state.database, bound) as reader:
        await allowed_workspace(reader, caller, workspace_id, "workspace.import")
    return Sender(caller.user_id, workspace_id, bound)


def refuse_other_types(request: Request, file_format: str) -> None:
    """Raise FileTypeUnsupported for a body that is not what the format says."""
    media_type, _, parameters = request.headers.get("content-type", "").lower().partition(";")
    charset = parameters.strip().removeprefix("charset=").strip('"')
    encoding = request.headers.get("content-encoding", "identity").strip().lower()
    if media_type.strip() not in TYPES[file_format] or charset not in {"", "utf-8", "utf8"} or encoding != "identity":
        raise FileTypeUnsupported


@asynccontextmanager
async def received(request: Request, sender: Sender, max_bytes: int) -> AsyncIterator[Received]:
    """Keep the file that comes, and forget it where the block refuses it, or has taken it in before.

    Raises PayloadTooLarge, FileEmpty, MalformedRequest for a file that ends early.
    """
    announced = request.headers.get("content-length", "")
    if announced.isdigit() and int(announced) > max_bytes:
        raise PayloadTooLarge
    database = request.app.state.database
    file = await receive(_body(request), database=database, sender=sender, max_bytes=max_bytes)
    try:
        yield file
    except (AppError, Replay):
        await drop(database, sender, file.id)
        raise


async def _body(request: Request) -> AsyncIterator[bytes]:
    try:
        async for chunk in request.stream():
            yield chunk
    except ClientDisconnect:
        raise MalformedRequest("The file ended early.") from None
