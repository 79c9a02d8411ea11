"""All SQL on the projection of tasks and memberships."""

from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

from chassis.db.base import table_of
from chassis.identity import Principal
from sqlalchemy import ColumnElement, RowMapping, Table, and_, any_, literal, or_, select
from sqlalchemy.dialects.postgresql import ARRAY, insert
from sqlalchemy.dialects.postgresql import UUID as PG_UUID
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncSession

from attachments_service.locations.models import Membership, TaskLocation

location = table_of(TaskLocation)
membership = table_of(Membership)


async def put_location(session: AsyncSession, values: Mapping[str, Any]) -> None:
    """Take in where a task lives unless a later state is known."""
    await _put(session, location, ["task_id"], values)


async def put_membership(session: AsyncSession, values: Mapping[str, Any]) -> None:
    """Take in a membership unless a later state is known."""
    await _put(session, membership, ["workspace_id", "user_id"], values)


async def _put(session: AsyncSession, table: Table, keys: list[str], values: Mapping[str, Any]) -> None:
    statement = insert(table).values(**values)
    statement = statement.on_conflict_do_update(
        index_elements=keys,
        set_={name: statement.excluded[name] for name in values if name not in keys},
        where=table.c.changed_seq < statement.excluded.changed_seq,
    )
    await session.execute(statement)


async def find_visible(reader: AsyncConnection, *, task_id: UUID, caller: Principal) -> RowMapping | None:
    """Return a task's `workspace_id`, whether it is `deleted`, and the caller's `role`, within a token's restriction.

    None when that is not known; a deleted task needs no role.
    """
    is_member = and_(
        membership.c.workspace_id == location.c.workspace_id,
        membership.c.user_id == caller.user_id,
        ~membership.c.removed,
    )
    query = (
        select(location.c.workspace_id, location.c.deleted, membership.c.role)
        .select_from(location.outerjoin(membership, is_member))
        .where(
            location.c.task_id == task_id,
            or_(membership.c.role.is_not(None), location.c.deleted),
            *_within_reach(caller),
        )
    )
    return (await reader.execute(query)).mappings().one_or_none()


def _within_reach(caller: Principal) -> list[ColumnElement[bool]]:
    """Return the conditions that an API token's restriction adds; a project that is not known is not within it."""
    conditions: list[ColumnElement[bool]] = []
    if caller.workspace_id is not None:
        conditions.append(location.c.workspace_id == caller.workspace_id)
    if caller.project_ids is not None:
        projects = literal(sorted(caller.project_ids), ARRAY(PG_UUID(as_uuid=True)))
        conditions.append(location.c.project_id == any_(projects))
    return conditions


async def members_of(session: AsyncSession, workspace_id: UUID) -> Sequence[UUID]:
    """Return the users who may see a workspace, in the order of their ids."""
    query = (
        select(membership.c.user_id)
        .where(membership.c.workspace_id == workspace_id, ~membership.c.removed)
        .order_by(membership.c.user_id)
    )
    return (await session.execute(query)).scalars().all()
