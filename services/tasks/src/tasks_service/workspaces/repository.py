"""All SQL on workspaces and their members."""

from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

from chassis.db.base import table_of
from chassis.identity import Principal
from sqlalchemy import RowMapping, func, insert, select
from sqlalchemy.dialects.postgresql import insert as insert_or_skip
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncSession

from tasks_service.visibility.repository import seen, seen_by, sight_of
from tasks_service.workspaces.models import Member, Workspace

workspace = table_of(Workspace)
member = table_of(Member)


async def add_personal(session: AsyncSession, values: Mapping[str, Any]) -> RowMapping | None:
    """Insert a personal workspace; None when its owner has one, waiting for a concurrent insert to decide."""
    statement = insert_or_skip(workspace).values(**values).on_conflict_do_nothing(index_elements=["personal_owner_id"])
    return (await session.execute(statement.returning(*workspace.c))).mappings().one_or_none()


async def add(session: AsyncSession, values: Mapping[str, Any]) -> RowMapping:
    """Insert a workspace."""
    return (await session.execute(insert(workspace).values(**values).returning(*workspace.c))).mappings().one()


async def add_member(session: AsyncSession, values: Mapping[str, Any]) -> RowMapping:
    """Insert a membership."""
    return (await session.execute(insert(member).values(**values).returning(*member.c))).mappings().one()


async def list_for(
    reader: AsyncConnection, caller: Principal, *, limit: int, offset: int
) -> tuple[Sequence[RowMapping], int]:
    """Return the caller's workspaces with the caller's `role`, oldest first, and how many there are."""
    mine, parameters = seen(sight_of(caller)), seen_by(caller)
    query = (
        select(*workspace.c, member.c.role)
        .join(member, member.c.workspace_id == workspace.c.id)
        .where(*mine)
        .order_by(workspace.c.id)
        .limit(limit)
        .offset(offset)
    )
    total = await reader.scalar(select(func.count()).select_from(member).where(*mine), parameters)
    return (await reader.execute(query, parameters)).mappings().all(), total or 0


async def sees_all(session: AsyncSession, caller: Principal, workspace_ids: set[UUID]) -> bool:
    """Tell whether a caller may see all these workspaces."""
    query = select(func.count()).where(*seen(sight_of(caller)), member.c.workspace_id.in_(workspace_ids))
    return (await session.execute(query, seen_by(caller))).scalar_one() == len(workspace_ids)


async def memberships_of(reader: AsyncConnection, caller: Principal) -> Sequence[RowMapping]:
    """Return the memberships of the caller whose workspaces it may see."""
    query = select(member.c.workspace_id, member.c.role, member.c.joined_seq).where(*seen(sight_of(caller)))
    return (await reader.execute(query, seen_by(caller))).mappings().all()
