"""Use cases of attachments."""

import asyncio
import hashlib
from dataclasses import dataclass
from typing import BinaryIO
from uuid import UUID

from chassis.clock import utcnow
from chassis.errors import Forbidden
from chassis.ids import uuid7
from sqlalchemy import RowMapping
from sqlalchemy.ext.asyncio import AsyncSession

from attachments_service.attachments import repository
from attachments_service.attachments.errors import AttachmentNotFound, FileNameInvalid, TooManyAttachments
from attachments_service.attachments.events import ATTACHMENT_CREATED, ATTACHMENT_DELETED, attachment_changed
from attachments_service.attachments.policies import can_delete
from attachments_service.attachments.rules import safe_name, stored_type
from attachments_service.locations.schemas import TaskAccess
from attachments_service.storage.port import Storage

CHUNK = 256 * 1024


@dataclass(frozen=True, slots=True)
class Upload:
    """A file as it came: its bytes are on disk, whatever their number."""

    name: str
    content_type: str | None
    size: int
    content: BinaryIO


async def attach(
    session: AsyncSession, *, access: TaskAccess, upload: Upload, storage: Storage, user_id: UUID, limit: int
) -> RowMapping:
    """Store a file and attach it. Raises Forbidden, FileNameInvalid or TooManyAttachments.

    The bytes are stored before the row: what a crash leaves in between is an object that nobody refers to.
    """
    if not access.can_edit:
        raise Forbidden
    name = safe_name(upload.name)
    if name is None:
        raise FileNameInvalid(field="file")
    attachment_id = uuid7()
    digest = await asyncio.to_thread(_sha256, upload.content)
    await storage.put(attachment_id, upload.content)
    if await repository.count_of_task_locked(session, access.task_id) >= limit:
        await storage.delete(attachment_id)
        raise TooManyAttachments
    row = await repository.add(
        session,
        {
            "id": attachment_id,
            "task_id": access.task_id,
            "workspace_id": access.workspace_id,
            "name": name,
            "size": upload.size,
            "sha256": digest,
            "content_type": stored_type(upload.content_type),
            "created_by": user_id,
            "version": 1,
            "created_at": utcnow(),
        },
    )
    await attachment_changed(session, ATTACHMENT_CREATED, row, actor_id=user_id)
    return row


async def detach(session: AsyncSession, *, access: TaskAccess, row: RowMapping, user_id: UUID) -> None:
    """Take a file off its task. Raises Forbidden or AttachmentNotFound."""
    if not can_delete(access, created_by=row["created_by"], user_id=user_id):
        raise Forbidden
    if not await repository.remove(session, row["id"]):
        raise AttachmentNotFound
    await attachment_changed(session, ATTACHMENT_DELETED, row, actor_id=user_id)


def _sha256(content: BinaryIO) -> str:
    """Digest the content and rewind it."""
    content.seek(0)
    digest = hashlib.sha256()
    while chunk := content.read(CHUNK):
        digest.update(chunk)
    content.seek(0)
    return digest.hexdigest()
