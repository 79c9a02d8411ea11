"""All SQL on deleting what was in a workspace: every table that says of what workspace its rows are."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, cast
from uuid import UUID

from chassis.clock import utcnow
from chassis.db.base import table_of
from sqlalchemy import ColumnElement, CursorResult, Table, delete, exists, insert, select, tuple_
from sqlalchemy.ext.asyncio import AsyncSession

from tasks_service.models import METADATA
from tasks_service.workspace_purging.models import PurgedWorkspace
from tasks_service.workspaces.models import Workspace

workspace = table_of(Workspace)
purged_workspace = table_of(PurgedWorkspace)


def emptied() -> Sequence[Table]:
    """Return the tables to empty, in an order in which nothing refers to what is gone; new ones are among them."""
    return [table for table in reversed(METADATA.sorted_tables) if "workspace_id" in table.c]


async def find_expired(session: AsyncSession, *, deleted_before: datetime) -> UUID | None:
    """Return a workspace that has been deleted for long."""
    query = select(workspace.c.id).where(workspace.c.deleted_at < deleted_before).order_by(workspace.c.deleted_at)
    found: UUID | None = await session.scalar(query.limit(1))
    return found


async def delete_rows(session: AsyncSession, table: Table, *, workspace_id: UUID, limit: int) -> int:
    """Delete some rows of a workspace that no row of the same table refers to; return how many."""
    key = tuple_(*table.primary_key.columns)
    some = select(*table.primary_key.columns).where(table.c.workspace_id == workspace_id, *_leaves(table)).limit(limit)
    result = await session.execute(delete(table).where(table.c.workspace_id == workspace_id, key.in_(some)))
    return cast("CursorResult[Any]", result).rowcount


def _leaves(table: Table) -> list[ColumnElement[bool]]:
    below = table.alias("below")
    return [
        ~exists().where(below.c[one.parent.name] == one.column)
        for one in table.foreign_keys
        if one.column.table is table
    ]


async def delete_workspace(session: AsyncSession, workspace_id: UUID) -> None:
    """Delete a workspace that is empty, and note that there was one."""
    await session.execute(delete(workspace).where(workspace.c.id == workspace_id))
    await session.execute(insert(purged_workspace).values(id=workspace_id, purged_at=utcnow()))
