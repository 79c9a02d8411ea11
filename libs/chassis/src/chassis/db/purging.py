"""Forgetting old rows, a batch at a time, so that no backlog outlasts the statement timeout."""

from collections.abc import Sequence
from typing import Any, cast

from sqlalchemy import ColumnElement, CursorResult, Table, delete, select, tuple_
from sqlalchemy.ext.asyncio import AsyncSession

BATCH = 1_000


async def delete_batch(
    session: AsyncSession, table: Table, *conditions: ColumnElement[bool], order: Sequence[ColumnElement[Any]] = ()
) -> bool:
    """Delete at most 1,000 rows that meet all conditions, the first of an order; return whether there may be more.

    Rows that somebody else holds are left for the next time. The conditions need an index, and so does an order.
    """
    key = tuple(table.primary_key.columns)
    chosen = select(*key).where(*conditions).order_by(*order).limit(BATCH).with_for_update(skip_locked=True)
    statement = delete(table).where(tuple_(*key).in_(chosen))
    result = cast("CursorResult[Any]", await session.execute(statement))
    return result.rowcount == BATCH
