"""All SQL that changes many locked tasks at once, each to values of its own."""

from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

from chassis.clock import utcnow
from sqlalchemy import RowMapping, String, Text, Update, bindparam, column, func, update
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.ext.asyncio import AsyncSession

from tasks_service.visibility.repository import task

Values = Mapping[str, Any]


async def change_rows(session: AsyncSession, wanted: Mapping[UUID, Values]) -> dict[UUID, RowMapping]:
    """Give locked tasks other values by column, as new versions; return them by id.

    A statement for each set of columns, which is one where all are changed alike.
    """
    alike: dict[Sequence[str], list[UUID]] = {}
    for task_id, values in wanted.items():
        alike.setdefault(tuple(sorted(values)), []).append(task_id)
    changed: dict[UUID, RowMapping] = {}
    for names, ids in alike.items():
        rows = [{"id": str(one), **wanted[one]} for one in ids]
        found = await session.execute(_change(names), {"given_rows": rows, "now": utcnow()})
        changed |= {row["id"]: row for row in found.mappings()}
    return changed


def _change(names: Sequence[str]) -> Update:
    # What is too long for a column is refused by it; a text in JSON is cut for none.
    kinds = {name: Text() if isinstance(task.c[name].type, String) else task.c[name].type for name in names}
    given = (
        func.jsonb_to_recordset(bindparam("given_rows", type_=JSONB))
        .table_valued(column("id", task.c.id.type), *(column(name, kinds[name]) for name in names), name="given")
        .render_derived(with_types=True)
    )
    values: dict[str, Any] = {name: given.c[name] for name in names}
    values |= {"version": task.c.version + 1, "updated_at": bindparam("now")}
    return update(task).where(task.c.id == given.c.id).values(values).returning(*task.c)
