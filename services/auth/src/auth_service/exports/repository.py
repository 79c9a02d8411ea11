"""Reading all that there is of an account, in whatever table."""

from typing import Any

from sqlalchemy import RowMapping, select
from sqlalchemy.ext.asyncio import AsyncSession

from auth_service.exports.rules import NOT_TOLD, told_columns
from auth_service.leaving.repository import own_rows

MOST = 10_000
"""Rows of one table; an account that has more is no person's."""


async def records_of(session: AsyncSession, row: RowMapping) -> dict[str, list[dict[str, Any]]]:
    """Return the rows that would go with the account, by table, without secrets and without what is another's, too.

    What is deleted with an account is what is told of it: a new table is in both, or in neither. Of a table there is
    one row more than `MOST` where it has more.
    """
    found: dict[str, list[dict[str, Any]]] = {}
    for table, condition in own_rows(row):
        if table.name not in NOT_TOLD:
            order = table.primary_key.columns
            query = select(*told_columns(table)).where(condition).order_by(*order).limit(MOST + 1)
            rows = (await session.execute(query)).mappings().all()
            found[table.name] = [dict(one) for one in rows]
    return dict(sorted(found.items()))
