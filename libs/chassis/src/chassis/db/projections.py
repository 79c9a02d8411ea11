"""Keeping what another service's events tell: they come twice and out of order, and the latest state wins (R48)."""

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Table
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession


async def put_unless_newer(
    session: AsyncSession, table: Table, values: Mapping[str, Any], *, keys: Sequence[str]
) -> None:
    """Insert or replace the row of these `keys`, unless the one that is there has the same `changed_seq` or a later."""
    statement = insert(table).values(**values)
    statement = statement.on_conflict_do_update(
        index_elements=list(keys),
        set_={name: statement.excluded[name] for name in values if name not in keys},
        where=table.c.changed_seq < statement.excluded.changed_seq,
    )
    await session.execute(statement)
