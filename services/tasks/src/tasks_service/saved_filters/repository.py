"""All SQL on saved filters: a workspace's are for its members, and personal ones for their owner."""

from collections.abc import Sequence
from functools import cache
from typing import Any, cast
from uuid import UUID

from chassis.db.base import table_of
from chassis.identity import Principal
from sqlalchemy import CursorResult, RowMapping, Select, and_, bindparam, delete, false, func, or_, select, text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncSession

from tasks_service.permissions.rules import MEMBERS
from tasks_service.saved_filters.models import SavedFilter
from tasks_service.saved_filters.rules import Scope
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

saved_filter = table_of(SavedFilter)
IS_SHARED = saved_filter.c.owner_id.is_(None)
LOCK = text("SELECT pg_advisory_xact_lock(hashtextextended('saved_filter:' || :workspace_id || :user_id, 0))")

Reader = AsyncConnection | AsyncSession


def visible(sight: Sight) -> Conditions:
    """Return the conditions for rows joined to `member`: what is shared, unless the caller is a guest, and its own.

    What somebody keeps for themselves may tell of any project, so it is not for a token that is restricted to some.
    """
    shared = and_(IS_SHARED, member.c.role.in_(sorted(MEMBERS)))
    own = false() if sight.in_projects else saved_filter.c.owner_id == CALLER_ID
    return [*seen(sight), or_(shared, own)]


@cache
def _visible(sight: Sight) -> Select[Any]:
    return (
        select(*saved_filter.c, WORKSPACE_ROLE, workspace.c.require_if_match)
        .join(member, member.c.workspace_id == saved_filter.c.workspace_id)
        .join(workspace, workspace.c.id == saved_filter.c.workspace_id)
        .where(*visible(sight))
    )


async def find_visible(reader: Reader, *, caller: Principal, filter_id: UUID, lock: bool = False) -> RowMapping | None:
    """Return the row with the caller's `workspace_role`, if the caller may see it; locked, nobody else changes it."""
    statement = _visible(sight_of(caller)).where(saved_filter.c.id == bindparam("filter_id"))
    if lock:
        statement = statement.with_for_update(of=saved_filter)
    result = await reader.execute(statement, {**seen_by(caller), "filter_id": filter_id})
    row: RowMapping | None = result.mappings().one_or_none()
    return row


async def list_visible(
    reader: AsyncConnection,
    *,
    caller: Principal,
    workspace_id: UUID | None,
    scope: Scope | None,
    limit: int,
    offset: int,
) -> tuple[Sequence[RowMapping], int]:
    """Return the rows that the caller may see, by name, and how many there are."""
    mine, parameters = visible(sight_of(caller)), seen_by(caller)
    if workspace_id is not None:
        mine.append(saved_filter.c.workspace_id == workspace_id)
    if scope is not None:
        mine.append(IS_SHARED if scope == "shared" else ~IS_SHARED)
    joined = saved_filter.join(member, member.c.workspace_id == saved_filter.c.workspace_id)
    total = await reader.scalar(select(func.count()).select_from(joined).where(*mine), parameters)
    query = select(*saved_filter.c).select_from(joined).where(*mine)
    query = query.order_by(saved_filter.c.name_key, saved_filter.c.id).limit(limit).offset(offset)
    return (await reader.execute(query, parameters)).mappings().all(), total or 0


async def count_of(session: AsyncSession, *, workspace_id: UUID, user_id: UUID) -> int:
    """Return how many somebody has in a workspace, shared ones too; until the end they make no more elsewhere."""
    await session.execute(LOCK, {"workspace_id": str(workspace_id), "user_id": str(user_id)})
    query = select(func.count()).where(
        saved_filter.c.workspace_id == workspace_id, saved_filter.c.created_by == user_id
    )
    return (await session.execute(query)).scalar_one()


async def delete_personal(session: AsyncSession, *, workspace_id: UUID, user_id: UUID) -> int:
    """Delete what somebody has for themselves in a workspace; return how many there were."""
    statement = delete(saved_filter).where(
        saved_filter.c.workspace_id == workspace_id, saved_filter.c.owner_id == user_id
    )
    return cast("CursorResult[Any]", await session.execute(statement)).rowcount
