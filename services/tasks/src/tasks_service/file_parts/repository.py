"""All SQL on pieces of files."""

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from chassis.clock import utcnow
from chassis.db.base import table_of
from chassis.db.purging import delete_batch
from sqlalchemy import Integer, cast, delete, exists, func, insert, or_, select
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncSession

from tasks_service.file_parts.models import FilePart
from tasks_service.file_parts.rules import PART_BYTES
from tasks_service.jobs.models import Job
from tasks_service.jobs.rules import SUCCEEDED

job = table_of(Job)
part = table_of(FilePart)

LONGEST_UPLOAD = timedelta(days=1)
"""After so long a file without a job is one that nobody has sent to its end."""

Reader = AsyncConnection | AsyncSession


async def append(session: AsyncSession, of_file: Mapping[str, Any], *, position: int, content: bytes) -> None:
    """Add content to a file, which ends at that position; `of_file` is what all its pieces say.

    What is there already stays, and is an error: nothing is written twice.
    """
    rows = [
        {
            **of_file,
            "first_byte": position + start,
            "content": content[start : start + PART_BYTES],
            "created_at": utcnow(),
        }
        for start in range(0, len(content), PART_BYTES)
    ]
    if rows:
        await session.execute(insert(part), rows)


async def read(reader: Reader, file_id: UUID, *, position: int) -> bytes | None:
    """Return what a file has from a position to the end of a piece; None at its end."""
    query = (
        select(func.substr(part.c.content, cast(position - part.c.first_byte + 1, Integer)))
        .where(part.c.file_id == file_id, part.c.first_byte <= position)
        .order_by(part.c.first_byte.desc())
        .limit(1)
    )
    found: bytes | None = await reader.scalar(query)
    return found or None


async def window(reader: Reader, file_id: UUID, *, position: int, size: int) -> bytes:
    """Return at least so many bytes from a position, or all that there are."""
    found = b""
    while len(found) < size:
        more = await read(reader, file_id, position=position + len(found))
        if more is None:
            break
        found += more
    return found


async def remove(session: AsyncSession, file_ids: Iterable[UUID]) -> None:
    """Delete files."""
    await session.execute(delete(part).where(part.c.file_id.in_(list(file_ids))))


async def purge(session: AsyncSession, *, before: datetime) -> bool:
    """Delete a batch of pieces that were made before then, or that nobody needs; tell whether there may be more.

    Only an export that succeeded is read after the end of its job.
    """
    is_useless = or_(job.c.kind == "import", job.c.status != SUCCEEDED)
    of_ended = select(job.c.id).where(job.c.finished_at.is_not(None), is_useless)
    of_none = (part.c.created_at < utcnow() - LONGEST_UPLOAD) & ~exists().where(job.c.id == part.c.file_id)
    more = [
        await delete_batch(session, part, condition)
        for condition in (part.c.created_at < before, part.c.file_id.in_(of_ended), of_none)
    ]
    return any(more)
