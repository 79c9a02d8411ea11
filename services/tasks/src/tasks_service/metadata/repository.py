"""All SQL on what apps keep with tasks."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from chassis.db.base import table_of
from sqlalchemy import RowMapping, delete, func, insert, or_, select, text, update
from sqlalchemy.dialects.postgresql import insert as insert_or_skip
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncSession

from tasks_service.metadata.models import MetadataNamespace, TaskMetadata

entry = table_of(TaskMetadata)
space = table_of(MetadataNamespace)

LOCK = text("SELECT pg_advisory_xact_lock(hashtextextended('metadata:' || :task_id, 0))")


async def lock_all_of(session: AsyncSession, task_id: UUID) -> None:
    """Let nobody else change the metadata of a task until the end."""
    await session.execute(LOCK, {"task_id": str(task_id)})


async def take(session: AsyncSession, *, workspace_id: UUID, namespace: str, app_id: UUID, now: datetime) -> UUID:
    """Give a namespace to an app unless it is somebody's, and return whose it is; waits for a concurrent one."""
    statement = insert_or_skip(space).values(
        workspace_id=workspace_id, namespace=namespace, owner_id=app_id, created_at=now
    )
    await session.execute(statement.on_conflict_do_nothing())
    query = select(space.c.owner_id).where(space.c.workspace_id == workspace_id, space.c.namespace == namespace)
    owner_id: UUID = (await session.execute(query)).scalar_one()
    return owner_id


async def list_readable(
    reader: AsyncConnection | AsyncSession, *, task_id: UUID, app_id: UUID, namespace: str | None = None
) -> Sequence[RowMapping]:
    """Return what an app may read of a task's metadata, its own and what is shared, by namespace."""
    query = select(*entry.c).where(
        entry.c.task_id == task_id, or_(entry.c.owner_id == app_id, entry.c.shared.is_(True))
    )
    if namespace is not None:
        query = query.where(entry.c.namespace == namespace)
    return (await reader.execute(query.order_by(entry.c.namespace))).mappings().all()


async def find(session: AsyncSession, *, task_id: UUID, namespace: str) -> RowMapping | None:
    """Return the metadata of a task in a namespace, whosever it is."""
    query = select(*entry.c).where(entry.c.task_id == task_id, entry.c.namespace == namespace)
    return (await session.execute(query)).mappings().one_or_none()


async def count(session: AsyncSession, task_id: UUID) -> int:
    """Return how many namespaces a task has metadata of."""
    return (await session.scalar(select(func.count()).where(entry.c.task_id == task_id))) or 0


async def add(session: AsyncSession, values: Mapping[str, Any]) -> RowMapping:
    """Insert metadata."""
    return (await session.execute(insert(entry).values(**values).returning(*entry.c))).mappings().one()


async def change(session: AsyncSession, row: RowMapping, values: Mapping[str, Any]) -> RowMapping:
    """Change metadata, which is locked."""
    statement = update(entry).where(entry.c.task_id == row["task_id"], entry.c.namespace == row["namespace"])
    statement = statement.values(**values, version=row["version"] + 1)
    return (await session.execute(statement.returning(*entry.c))).mappings().one()


async def remove(session: AsyncSession, row: RowMapping) -> None:
    """Delete metadata, which is locked."""
    statement = delete(entry).where(entry.c.task_id == row["task_id"], entry.c.namespace == row["namespace"])
    await session.execute(statement)
