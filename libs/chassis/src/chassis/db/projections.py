"""Keeping what another service's events tell: they come twice and out of order, and the latest state wins (R48)."""

from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

from sqlalchemy import Table
from sqlalchemy.dialects.postgresql import Insert, insert
from sqlalchemy.ext.asyncio import AsyncSession


async def put_unless_newer(
    session: AsyncSession, table: Table, values: Mapping[str, Any], *, keys: Sequence[str]
) -> None:
    """Insert or replace the row of these `keys`, unless the one that is there has the same `changed_seq` or a later."""
    await put_all_unless_newer(session, table, [values], keys=keys)


async def put_all_unless_newer(
    session: AsyncSession, table: Table, rows: Sequence[Mapping[str, Any]], *, keys: Sequence[str]
) -> None:
    """Do the same with rows that have the same columns, in the order of their keys, in one round trip."""
    if not rows:
        return
    ordered = sorted(rows, key=lambda row: [row[name] for name in keys])
    await session.execute(_put(table, tuple(rows[0]), tuple(keys)), [dict(row) for row in ordered])


@cache
def _put(table: Table, names: tuple[str, ...], keys: tuple[str, ...]) -> Insert:
    statement = insert(table)
    return statement.on_conflict_do_update(
        index_elements=list(keys),
        set_={name: statement.excluded[name] for name in names if name not in keys},
        where=table.c.changed_seq < statement.excluded.changed_seq,
    )
