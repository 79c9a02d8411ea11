"""All SQL on versions of resources: changing a row that is still as it was read."""

from collections.abc import Mapping
from functools import lru_cache
from typing import Any
from uuid import UUID

from chassis.db.base import table_of
from chassis.db.direct_writing import MADE_ONCE
from sqlalchemy import RowMapping, Table, bindparam, func, select, update
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.sql.dml import ReturningUpdate

from tasks_service.changes.models import Change

change = table_of(Change)
KEPT_CHANGES = 100
"""Statements for so many sets of columns are kept."""


async def change_row(
    session: AsyncSession, table: Table, *, row_id: UUID, version: int, values: Mapping[str, Any]
) -> RowMapping | None:
    """Change a row if it is still at the version, in one statement; None if it is not."""
    given = {_new(name): value for name, value in {**values, "version": version + 1}.items()}
    statement = _change_of(table, frozenset(values))
    result = await session.execute(statement, {**given, "of_row": row_id, "at_version": version})
    row: RowMapping | None = result.mappings().one_or_none()
    return row


def _new(name: str) -> str:
    return f"new_{name}"


@lru_cache(maxsize=KEPT_CHANGES)
def _change_of(table: Table, names: frozenset[str]) -> ReturningUpdate[Any]:
    """Return the statement for these columns. With the values in it, it would be another one each time."""
    given = {name: bindparam(_new(name), type_=table.c[name].type) for name in sorted({*names, "version"})}
    is_as_read = table.c.id == bindparam("of_row"), table.c.version == bindparam("at_version")
    statement = update(table).where(*is_as_read).values(given).returning(*table.c)
    return statement.execution_options(**MADE_ONCE)


async def fields_changed_since(session: AsyncSession, *, entity_id: UUID, version: int) -> set[str]:
    """Return the names of the fields that changed after a version, from the change log."""
    names = func.jsonb_array_elements(change.c.changes).op("->>")("field")
    query = select(names).where(change.c.entity_id == entity_id, change.c.version > version).distinct()
    return set((await session.execute(query)).scalars())
