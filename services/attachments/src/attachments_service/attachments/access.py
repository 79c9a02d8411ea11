"""How endpoints come by a task or a file: loaded and authorised in one step, or refused."""

from dataclasses import dataclass
from typing import Annotated
from uuid import UUID

from chassis.db.engine import Database
from chassis.errors import Forbidden
from chassis.identity import Principal
from chassis.web.database import replay_first_answer
from chassis.web.identity import HEADER, CurrentPrincipal
from fastapi import Depends, Request
from sqlalchemy import RowMapping
from sqlalchemy.ext.asyncio import AsyncEngine

from attachments_service.attachments import repository
from attachments_service.attachments.errors import AttachmentNotFound, ProjectArchived
from attachments_service.locations.schemas import TaskAccess
from attachments_service.path_ids import AttachmentId, TaskId


@dataclass(frozen=True, slots=True)
class Found:
    """A file that the caller may see."""

    row: RowMapping
    access: TaskAccess


async def visible_task(request: Request, task_id: TaskId, caller: CurrentPrincipal) -> TaskAccess:
    """Return what the caller may do with the task's files. Raises AttachmentNotFound."""
    access: TaskAccess | None = await request.app.state.locations.find(
        task_id, caller=caller, identity=request.headers[HEADER]
    )
    if access is None:
        raise AttachmentNotFound
    return access


async def editable_task(access: Annotated[TaskAccess, Depends(visible_task)]) -> TaskAccess:
    """Return a task that the caller may attach files to. Raises AttachmentNotFound, Forbidden or ProjectArchived."""
    if not access.can_edit:
        raise Forbidden
    if access.is_archived:
        raise ProjectArchived
    return access


async def visible_attachment(request: Request, attachment_id: AttachmentId, caller: CurrentPrincipal) -> Found:
    """Return a file that the caller may see. Raises AttachmentNotFound.

    Files do not change, so a replica that has it is right, unless it is gone; one that does not have it may only lag.
    """
    database: Database = request.app.state.database
    row = await _find(database.reader_of_request, attachment_id) or await _find(database.primary, attachment_id)
    return await _seen(request, row, caller)


async def deletable_attachment(request: Request, attachment_id: AttachmentId, caller: CurrentPrincipal) -> Found:
    """Return a file that the caller may see, to delete it. Raises AttachmentNotFound.

    When the caller repeats a DELETE that took it away, the first answer comes instead.
    """
    try:
        return await _seen(request, await _find(request.app.state.database.primary, attachment_id), caller)
    except AttachmentNotFound:
        await replay_first_answer(request, caller)
        raise


async def _find(server: AsyncEngine, attachment_id: UUID) -> RowMapping | None:
    async with server.connect() as reader:
        return await repository.find_unscoped(reader, attachment_id)


async def _seen(request: Request, row: RowMapping | None, caller: Principal) -> Found:
    if row is None:
        raise AttachmentNotFound
    return Found(row, await visible_task(request, row["task_id"], caller))


VisibleTask = Annotated[TaskAccess, Depends(visible_task)]
EditableTask = Annotated[TaskAccess, Depends(editable_task)]
VisibleAttachment = Annotated[Found, Depends(visible_attachment)]
DeletableAttachment = Annotated[Found, Depends(deletable_attachment)]
