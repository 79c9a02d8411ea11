"""Taking a file from its sender: a piece at a time, each kept as it comes, so that none of it has to fit anywhere."""

import hashlib
from collections.abc import AsyncIterator
from dataclasses import dataclass
from uuid import UUID

from chassis.db.binding import Bound
from chassis.db.engine import Database
from chassis.db.row_security import bind
from chassis.db.transactions import transaction
from chassis.errors import PayloadTooLarge
from chassis.ids import uuid7

from tasks_service.file_parts import repository as parts
from tasks_service.file_parts.rules import PART_BYTES
from tasks_service.import_files.errors import FileEmpty


@dataclass(frozen=True, slots=True)
class Sender:
    """Who sends a file, and to which workspace; `bound` is what the transactions are bound to."""

    user_id: UUID
    workspace_id: UUID
    bound: Bound | None


@dataclass(slots=True)
class Received:
    """A file that has come whole."""

    id: UUID
    size: int = 0
    lines: int = 0
    sha256: str = ""


async def receive(chunks: AsyncIterator[bytes], *, database: Database, sender: Sender, max_bytes: int) -> Received:
    """Keep a file. Raises PayloadTooLarge, FileEmpty, after which nothing of it is kept."""
    file = Received(uuid7())
    try:
        await _receive(file, chunks, database=database, sender=sender, max_bytes=max_bytes)
    except BaseException:
        await drop(database, sender, file.id)
        raise
    return file


async def _receive(
    file: Received, chunks: AsyncIterator[bytes], *, database: Database, sender: Sender, max_bytes: int
) -> None:
    digest = hashlib.sha256()
    pending = b""
    last = b""
    async for chunk in chunks:
        if file.size + len(pending) + len(chunk) > max_bytes:
            raise PayloadTooLarge
        digest.update(chunk)
        file.lines += chunk.count(b"\n")
        last = chunk[-1:] or last
        pending += chunk
        if len(pending) >= PART_BYTES:
            await _keep(database, sender, file, pending)
            pending = b""
    await _keep(database, sender, file, pending)
    if file.size == 0:
        raise FileEmpty
    file.lines += last != b"\n"
    file.sha256 = digest.hexdigest()


async def _keep(database: Database, sender: Sender, file: Received, content: bytes) -> None:
    """Write a piece in a transaction of its own: a slow sender holds no connection."""
    of_file = {"file_id": file.id, "workspace_id": sender.workspace_id, "created_by": sender.user_id}
    async with transaction(database) as session:
        if sender.bound is not None:
            await bind(session, sender.bound)
        await parts.append(session, of_file, position=file.size, content=content)
    file.size += len(content)


async def drop(database: Database, sender: Sender, file_id: UUID) -> None:
    """Forget a file; what a crash leaves is purged in its time."""
    async with transaction(database) as session:
        if sender.bound is not None:
            await bind(session, sender.bound)
        await parts.remove(session, [file_id])
