"""All SQL on workspaces and their members."""

from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

from chassis.db.base import table_of
from chassis.identity import Principal
from sqlalchemy import RowMapping, delete, func, insert, select, update
from sqlalchemy.dialects.postgresql import insert as insert_or_skip
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncSession

from tasks_service.visibility.repository import seen, seen_by, sight_of
from tasks_service.workspaces.models import Member, ServiceAccount, Workspace

workspace = table_of(Workspace)
member = table_of(Member)
service_account = table_of(ServiceAccount)


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


async def add_new_member(session: AsyncSession, values: Mapping[str, Any]) -> RowMapping | None:
    """Insert a membership; None when there is one."""
    statement = insert_or_skip(member).values(**values)
    statement = statement.on_conflict_do_nothing(index_elements=["workspace_id", "user_id"])
    return (await session.execute(statement.returning(*member.c))).mappings().one_or_none()


async def change_role(session: AsyncSession, *, workspace_id: UUID, user_id: UUID, role: str) -> RowMapping | None:
    """Give a member another role; None when there is no such member, or it has that role."""
    statement = (
        update(member)
        .where(member.c.workspace_id == workspace_id, member.c.user_id == user_id, member.c.role != role)
        .values(role=role, version=member.c.version + 1)
    )
    return (await session.execute(statement.returning(*member.c))).mappings().one_or_none()


async def remove_member(session: AsyncSession, *, workspace_id: UUID, user_id: UUID) -> RowMapping | None:
    """Delete a membership and return it; None when there is none."""
    statement = delete(member).where(member.c.workspace_id == workspace_id, member.c.user_id == user_id)
    return (await session.execute(statement.returning(*member.c))).mappings().one_or_none()


async def exists(session: AsyncSession, workspace_id: UUID) -> bool:
    """Tell whether there is such a workspace."""
    return await session.scalar(select(workspace.c.id).where(workspace.c.id == workspace_id)) is not None


async def put_service_account(session: AsyncSession, *, account_id: UUID, workspace_id: UUID, version: int) -> bool:
    """Note a state of a service account; False for one that is not news, of another workspace, or after its end."""
    statement = insert_or_skip(service_account).values(
        id=account_id, workspace_id=workspace_id, version=version, deleted=False
    )
    statement = statement.on_conflict_do_update(
        index_elements=["id"],
        set_={"version": version},
        where=(service_account.c.workspace_id == workspace_id)
        & ~service_account.c.deleted
        & (service_account.c.version < version),
    )
    return await session.scalar(statement.returning(service_account.c.id)) is not None


async def delete_service_account(session: AsyncSession, *, account_id: UUID, workspace_id: UUID) -> bool:
    """Note that a service account is gone, known or not; False when it was, or when it is another workspace's."""
    statement = insert_or_skip(service_account).values(
        id=account_id, workspace_id=workspace_id, version=0, deleted=True
    )
    statement = statement.on_conflict_do_update(
        index_elements=["id"],
        set_={"deleted": True},
        where=(service_account.c.workspace_id == workspace_id) & ~service_account.c.deleted,
    )
    return await session.scalar(statement.returning(service_account.c.id)) is not None


async def is_service_account(session: AsyncSession, user_id: UUID) -> bool:
    """Tell whether this is a service account, or was."""
    found = await session.scalar(select(service_account.c.id).where(service_account.c.id == user_id))
    return found is not None


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
