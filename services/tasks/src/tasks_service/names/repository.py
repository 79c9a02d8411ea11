"""All SQL on things with a name, which are a workspace's or its owner's alone."""

from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from typing import Any
from uuid import UUID

from chassis.identity import Principal
from sqlalchemy import RowMapping, Select, Table, any_, bindparam, delete, func, or_, select
from sqlalchemy.dialects.postgresql import ARRAY, insert
from sqlalchemy.dialects.postgresql import UUID as PG_UUID
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncSession

from tasks_service.visibility.repository import (
    CALLER_ID,
    WORKSPACE_ROLE,
    Conditions,
    Sight,
    member,
    seen,
    seen_by,
    sight_of,
    workspace,
)

Reader = AsyncConnection | AsyncSession

WANTED = bindparam("wanted", type_=ARRAY(PG_UUID(as_uuid=True)))


def visible(table: Table, sight: Sight) -> Conditions:
    """Return the conditions for rows of a table, joined to `member`: the workspace's, and the caller's own."""
    return [*seen(sight), or_(table.c.owner_id.is_(None), table.c.owner_id == CALLER_ID)]


@cache
def _visible(table: Table, sight: Sight) -> Select[Any]:
    return (
        select(*table.c, WORKSPACE_ROLE, workspace.c.require_if_match)
        .join(member, member.c.workspace_id == table.c.workspace_id)
        .join(workspace, workspace.c.id == table.c.workspace_id)
        .where(*visible(table, sight))
    )


async def find_visible(reader: Reader, table: Table, *, caller: Principal, row_id: UUID) -> RowMapping | None:
    """Return the row with the caller's `workspace_role`, if the caller may see it."""
    statement = _visible(table, sight_of(caller)).where(table.c.id == bindparam("row_id"))
    result = await reader.execute(statement, {**seen_by(caller), "row_id": row_id})
    row: RowMapping | None = result.mappings().one_or_none()
    return row


async def lock_visible(
    session: AsyncSession, table: Table, *, caller: Principal, row_ids: Iterable[UUID]
) -> dict[UUID, RowMapping]:
    """Return the rows that the caller may see, by id, and lock them against being used or changed."""
    statement = _visible(table, sight_of(caller)).where(table.c.id == any_(WANTED))
    statement = statement.order_by(table.c.id).with_for_update(of=table)
    rows = await session.execute(statement, {**seen_by(caller), "wanted": sorted(row_ids)})
    return {row["id"]: row for row in rows.mappings()}


async def keep_usable(
    session: AsyncSession,
    table: Table,
    *,
    caller: Principal,
    workspace_id: UUID,
    row_ids: Iterable[UUID],
    shared_only: bool = False,
) -> set[UUID]:
    """Return which of the rows tasks of a workspace may have, and lock those against being deleted meanwhile."""
    place = [table.c.workspace_id == bindparam("of_workspace"), table.c.id == any_(WANTED)]
    if shared_only:
        place.append(table.c.owner_id.is_(None))
    statement = (
        select(table.c.id)
        .join(member, member.c.workspace_id == table.c.workspace_id)
        .where(*visible(table, sight_of(caller)), *place)
        .order_by(table.c.id)
        .with_for_update(of=table, read=True, key_share=True)
    )
    parameters = {**seen_by(caller), "of_workspace": workspace_id, "wanted": sorted(row_ids)}
    return set((await session.execute(statement, parameters)).scalars())


async def list_visible(
    reader: AsyncConnection, table: Table, *, caller: Principal, workspace_id: UUID | None, limit: int, offset: int
) -> tuple[Sequence[RowMapping], int]:
    """Return the rows that the caller may see, by name, and how many there are."""
    mine, parameters = visible(table, sight_of(caller)), seen_by(caller)
    if workspace_id is not None:
        mine.append(table.c.workspace_id == workspace_id)
    joined = table.join(member, member.c.workspace_id == table.c.workspace_id)
    total = await reader.scalar(select(func.count()).select_from(joined).where(*mine), parameters)
    query = select(*table.c).select_from(joined).where(*mine)
    query = query.order_by(table.c.name_key, table.c.id).limit(limit).offset(offset)
    return (await reader.execute(query, parameters)).mappings().all(), total or 0


async def add(session: AsyncSession, table: Table, values: Mapping[str, Any]) -> RowMapping | None:
    """Insert a row; None when its name is in use, waiting for a concurrent insert to decide."""
    statement = insert(table).values(**values)
    statement = statement.on_conflict_do_nothing(index_elements=["workspace_id", "owner_id", "name_key"])
    return (await session.execute(statement.returning(*table.c))).mappings().one_or_none()


async def remove(session: AsyncSession, table: Table, row_id: UUID) -> None:
    """Delete a row, which nothing names any more."""
    await session.execute(delete(table).where(table.c.id == row_id))
