"""All SQL on the projection of tasks and memberships."""

from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

from chassis.db.base import table_of
from sqlalchemy import Table, select
from sqlalchemy.dialects.postgresql import insert
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


async def find_location(reader: AsyncConnection, task_id: UUID) -> tuple[UUID, bool] | None:
    """Return a task's workspace and whether the task is deleted; None for an unknown task."""
    query = select(location.c.workspace_id, location.c.deleted).where(location.c.task_id == task_id)
    row = (await reader.execute(query)).one_or_none()
    return None if row is None else (row.workspace_id, row.deleted)


async def members_of(session: AsyncSession, workspace_id: UUID) -> Sequence[UUID]:
    """Return the users who may see a workspace, in the order of their ids."""
    query = (
        select(membership.c.user_id)
        .where(membership.c.workspace_id == workspace_id, ~membership.c.removed)
        .order_by(membership.c.user_id)
    )
    return (await session.execute(query)).scalars().all()


async def find_role(reader: AsyncConnection, *, workspace_id: UUID, user_id: UUID) -> str | None:
    """Return a member's role."""
    query = select(membership.c.role).where(
        membership.c.workspace_id == workspace_id, membership.c.user_id == user_id, ~membership.c.removed
    )
    role: str | None = (await reader.execute(query)).scalar_one_or_none()
    return role
