"""All SQL on versions of resources: changing a row that is still as it was read."""

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from chassis.db.base import table_of
from sqlalchemy import RowMapping, Table, func, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from tasks_service.changes.models import Change

change = table_of(Change)


async def change_row(
    session: AsyncSession, table: Table, *, row_id: UUID, version: int, values: Mapping[str, Any]
) -> RowMapping | None:
    """Change a row if it is still at the version, in one statement; None if it is not."""
    statement = (
        update(table)
        .where(table.c.id == row_id, table.c.version == version)
        .values(**values, version=version + 1)
        .returning(*table.c)
    )
    return (await session.execute(statement)).mappings().one_or_none()


async def fields_changed_since(session: AsyncSession, *, entity_id: UUID, version: int) -> set[str]:
    """Return the names of the fields that changed after a version, from the change log."""
    names = func.jsonb_array_elements(change.c.changes).op("->>")("field")
    query = select(names).where(change.c.entity_id == entity_id, change.c.version > version).distinct()
    return set((await session.execute(query)).scalars())
