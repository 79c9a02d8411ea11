"""Use cases of attachments."""

import hashlib
from collections.abc import AsyncIterator
from dataclasses import dataclass
from uuid import UUID

from chassis.clock import utcnow
from chassis.errors import Forbidden
from chassis.identity import Principal
from chassis.ids import uuid7
from sqlalchemy import RowMapping
from sqlalchemy.ext.asyncio import AsyncSession

from attachments_service.attachments import repository
from attachments_service.attachments.errors import (
    AttachmentNotFound,
    FileNameInvalid,
    FileTooLarge,
    ProjectArchived,
    TooManyAttachments,
)
from attachments_service.attachments.events import ATTACHMENT_CREATED, ATTACHMENT_DELETED, attachment_changed
from attachments_service.attachments.policies import can_delete
from attachments_service.attachments.rules import safe_name, stored_type
from attachments_service.attachments.schemas import PurgedTask
from attachments_service.locations.schemas import TaskAccess
from attachments_service.locations.service import audience_of
from attachments_service.storage.port import Storage
from attachments_service.uploads.form import SentFile

HEAD_BYTES = 8192
TOLD_AT_ONCE = 500


@dataclass(frozen=True, slots=True)
class StoredFile:
    """A file whose bytes are safe in the storage, under its id, and that no row refers to yet."""

    id: UUID
    name: str
    size: int
    sha256: str
    content_type: str


async def receive(sent: SentFile, *, storage: Storage, max_bytes: int) -> StoredFile:
    """Stream a file into the storage. Raises FileNameInvalid, FileTooLarge, and what its chunks raise.

    What a crash leaves between this and the commit of the row is an object that nobody refers to.
    """
    name = safe_name(sent.name)
    if name is None:
        raise FileNameInvalid(field="file")
    file_id = uuid7()
    measured = _Measured(max_bytes)
    await storage.put(file_id, measured.through(sent.chunks))
    content_type = stored_type(sent.content_type, bytes(measured.head))
    return StoredFile(file_id, name, measured.size, measured.digest.hexdigest(), content_type)


async def attach(
    session: AsyncSession, *, access: TaskAccess, file: StoredFile, actor: Principal, limit: int
) -> RowMapping:
    """Attach a stored file to its task. Raises TooManyAttachments."""
    if await repository.count_of_task_locked(session, access.task_id) >= limit:
        raise TooManyAttachments
    row = await repository.add(
        session,
        {
            "id": file.id,
            "task_id": access.task_id,
            "workspace_id": access.workspace_id,
            "name": file.name,
            "size": file.size,
            "sha256": file.sha256,
            "content_type": file.content_type,
            "created_by": actor.user_id,
            "version": 1,
            "created_at": utcnow(),
        },
    )
    await _tell(session, ATTACHMENT_CREATED, row, actor=actor)
    return row


async def detach(session: AsyncSession, *, access: TaskAccess, row: RowMapping, actor: Principal) -> None:
    """Take a file off its task; the bytes go later. Raises Forbidden, ProjectArchived or AttachmentNotFound."""
    if not can_delete(access, created_by=row["created_by"], user_id=actor.user_id):
        raise Forbidden
    if access.is_archived:
        raise ProjectArchived
    if not await repository.remove(session, row["id"]):
        raise AttachmentNotFound
    await _tell(session, ATTACHMENT_DELETED, row, actor=actor)


async def drop_files(session: AsyncSession, *, task: PurgedTask) -> None:
    """Remove the files of a task that is gone for good; who saw it is told of each, as of who took it away."""
    for row in await repository.remove_of_task(session, task.entity_id):
        await attachment_changed(session, ATTACHMENT_DELETED, row, actor=task.actor, audience=task.audience)


async def tell_files(session: AsyncSession, *, after: UUID) -> UUID | None:
    """Tell again of the next files, for services that began to listen later; None at the end.

    Nothing of them changes, so whoever knows their versions learns nothing, and nobody is notified.
    """
    rows = await repository.find_after(session, after, limit=TOLD_AT_ONCE)
    for row in rows:
        await attachment_changed(session, ATTACHMENT_CREATED, row, actor=None, audience=())
    return rows[-1]["id"] if rows else None


async def _tell(session: AsyncSession, event_type: str, row: RowMapping, *, actor: Principal) -> None:
    audience = await audience_of(session, row["task_id"], actor_id=actor.user_id)
    await attachment_changed(session, event_type, row, actor=actor.as_actor(), audience=audience)


class _Measured:
    """Counts, digests and looks at the beginning of what passes through."""

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self.size = 0
        self.head = bytearray()
        self.digest = hashlib.sha256()

    async def through(self, chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        async for chunk in chunks:
            self.size += len(chunk)
            if self.size > self._max_bytes:
                raise FileTooLarge(field="file")
            self.digest.update(chunk)
            self.head += chunk[: HEAD_BYTES - len(self.head)]
            yield chunk
