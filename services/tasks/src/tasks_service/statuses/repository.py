"""All SQL on statuses."""

from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

from chassis.clock import utcnow
from chassis.db.base import table_of
from chassis.ids import uuid7
from sqlalchemy import RowMapping, delete, func, insert, select
from sqlalchemy.dialects.postgresql import JSONB, aggregate_order_by
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncSession

from tasks_service.statuses.models import Status
from tasks_service.visibility.repository import project

status = table_of(Status)

STATUSES = (
    select(
        func.jsonb_agg(
            aggregate_order_by(func.jsonb_build_array(status.c.key, status.c.category), status.c.position, status.c.id),
            type_=JSONB,
        )
    )
    .where(status.c.project_id == project.c.id)
    .correlate(project)
    .scalar_subquery()
    .label("statuses")
)
"""Keys and categories of the statuses of a row of `project`, in their order, as one column."""


async def list_of(reader: AsyncConnection | AsyncSession, project_id: UUID) -> Sequence[RowMapping]:
    """Return the statuses of a project, in their order."""
    query = select(*status.c).where(status.c.project_id == project_id).order_by(status.c.position, status.c.id)
    return (await reader.execute(query)).mappings().all()


async def find(reader: AsyncConnection, *, project_id: UUID, status_id: UUID) -> RowMapping | None:
    """Return a status of a project."""
    query = select(*status.c).where(status.c.project_id == project_id, status.c.id == status_id)
    return (await reader.execute(query)).mappings().one_or_none()


async def hold(session: AsyncSession, status_id: UUID) -> None:
    """Lock a status: who is giving it to a task is waited for, and nobody does so until the end."""
    await session.execute(select(status.c.id).where(status.c.id == status_id).with_for_update())


async def add(session: AsyncSession, project: RowMapping, values: Mapping[str, Any]) -> RowMapping:
    """Insert a status of a project."""
    now = utcnow()
    made = {
        "id": uuid7(),
        "workspace_id": project["workspace_id"],
        "project_id": project["id"],
        "version": 1,
        "created_at": now,
        "updated_at": now,
    }
    statement = insert(status).values(**made, **values).returning(*status.c)
    return (await session.execute(statement)).mappings().one()


async def remove(session: AsyncSession, status_id: UUID) -> None:
    """Delete a status that no task has."""
    await session.execute(delete(status).where(status.c.id == status_id))
