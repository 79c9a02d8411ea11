"""All SQL on workspaces and their members."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from functools import cache
from typing import Any
from uuid import UUID

from chassis.db.base import table_of
from chassis.identity import Principal
from sqlalchemy import RowMapping, Select, bindparam, delete, exists, func, insert, or_, select, update
from sqlalchemy.dialects.postgresql import insert as insert_or_skip
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncSession

from tasks_service.directory.rules import ACTIVE, DELETED
from tasks_service.visibility.repository import IS_ACTIVE, Sight, person, seen, seen_by, sight_of
from tasks_service.workspaces.models import Member, ServiceAccount, Workspace

workspace = table_of(Workspace)
member = table_of(Member)
service_account = table_of(ServiceAccount)

Reader = AsyncConnection | AsyncSession


async def add_personal(session: AsyncSession, values: Mapping[str, Any]) -> RowMapping | None:
    """Insert a personal workspace; None when its owner has one, waiting for a concurrent insert to decide."""
    statement = insert_or_skip(workspace).values(**values).on_conflict_do_nothing(index_elements=["personal_owner_id"])
    return (await session.execute(statement.returning(*workspace.c))).mappings().one_or_none()


async def add(session: AsyncSession, values: Mapping[str, Any]) -> RowMapping:
    """Insert a workspace."""
    return (await session.execute(insert(workspace).values(**values).returning(*workspace.c))).mappings().one()


async def mark_deleted(session: AsyncSession, *, workspace_id: UUID, now: datetime) -> RowMapping:
    """Mark a workspace as deleted."""
    statement = update(workspace).where(workspace.c.id == workspace_id)
    statement = statement.values(deleted_at=now, updated_at=now, version=workspace.c.version + 1)
    return (await session.execute(statement.returning(*workspace.c))).mappings().one()


async def add_member(session: AsyncSession, values: Mapping[str, Any]) -> RowMapping:
    """Insert a membership."""
    return (await session.execute(insert(member).values(**values).returning(*member.c))).mappings().one()


async def add_new_member(session: AsyncSession, values: Mapping[str, Any]) -> RowMapping | None:
    """Insert a membership; None when there is one."""
    statement = insert_or_skip(member).values(**values)
    statement = statement.on_conflict_do_nothing(index_elements=["workspace_id", "user_id"])
    return (await session.execute(statement.returning(*member.c))).mappings().one_or_none()


async def change_role(session: AsyncSession, *, workspace_id: UUID, user_id: UUID, role: str) -> RowMapping | None:
    """Give a member another role, and return it with the role that it `was`.

    None when there is no such member, or it has that role.
    """
    found = select(member.c.id, member.c.role.label("was")).where(
        member.c.workspace_id == workspace_id, member.c.user_id == user_id, member.c.role != role
    )
    was = found.with_for_update().subquery("was")
    statement = update(member).where(member.c.id == was.c.id).values(role=role, version=member.c.version + 1)
    return (await session.execute(statement.returning(*member.c, was.c.was))).mappings().one_or_none()


async def remove_member(session: AsyncSession, *, workspace_id: UUID, user_id: UUID) -> RowMapping | None:
    """Delete a membership and return it; None when there is none."""
    statement = delete(member).where(member.c.workspace_id == workspace_id, member.c.user_id == user_id)
    return (await session.execute(statement.returning(*member.c))).mappings().one_or_none()


async def remove_all_members(session: AsyncSession, workspace_id: UUID) -> Sequence[RowMapping]:
    """Delete all memberships of a workspace and return them, the oldest first."""
    statement = delete(member).where(member.c.workspace_id == workspace_id).returning(*member.c)
    rows = (await session.execute(statement)).mappings().all()
    return sorted(rows, key=lambda row: (row["created_at"], row["id"]))


async def lock(session: AsyncSession, workspace_id: UUID) -> RowMapping | None:
    """Return a workspace, whose members nobody else changes until the end; None for one that is not there any more.

    What refers to it is not held up.
    """
    query = select(*workspace.c).where(workspace.c.id == workspace_id, workspace.c.deleted_at.is_(None))
    return (await session.execute(query.with_for_update(key_share=True))).mappings().one_or_none()


async def lock_all_of(session: AsyncSession, user_id: UUID) -> Sequence[RowMapping]:
    """Return all workspaces that somebody is a member of, locked in the order of their ids."""
    query = (
        select(*workspace.c)
        .join(member, member.c.workspace_id == workspace.c.id)
        .where(member.c.user_id == user_id, workspace.c.deleted_at.is_(None))
        .order_by(workspace.c.id)
    )
    return (await session.execute(query.with_for_update(of=workspace, key_share=True))).mappings().all()


async def owners_and(session: AsyncSession, workspace_id: UUID, users: Iterable[UUID]) -> Sequence[RowMapping]:
    """Return the memberships of all owners, and of these users, and whether each `is_active`."""
    known = member.outerjoin(person, person.c.id == member.c.user_id)
    query = (
        select(*member.c, IS_ACTIVE.label("is_active"))
        .select_from(known)
        .where(member.c.workspace_id == workspace_id, or_(member.c.role == "owner", member.c.user_id.in_(tuple(users))))
    )
    return (await session.execute(query)).mappings().all()


async def find_member(session: AsyncSession, *, workspace_id: UUID, user_id: UUID) -> RowMapping | None:
    """Return a membership."""
    query = select(*member.c).where(member.c.workspace_id == workspace_id, member.c.user_id == user_id)
    return (await session.execute(query)).mappings().one_or_none()


async def find_successor(
    session: AsyncSession, *, workspace_id: UUID, user_id: UUID, is_active: bool = False
) -> UUID | None:
    """Return who is to own a workspace after its last owner: the admin who is longest in it, else the member.

    Who can't log in comes after all who can, or with `is_active` not at all. Machines, guests and who has been deleted
    own nothing.
    """
    is_machine = exists().where(service_account.c.id == member.c.user_id)
    is_gone = func.coalesce(person.c.status, ACTIVE) == DELETED
    query = (
        select(member.c.user_id)
        .select_from(member.outerjoin(person, person.c.id == member.c.user_id))
        .where(
            member.c.workspace_id == workspace_id,
            member.c.user_id != user_id,
            member.c.role.in_(("admin", "member")),
            ~is_machine,
            IS_ACTIVE if is_active else ~is_gone,
        )
        .order_by(IS_ACTIVE.desc(), member.c.role, member.c.created_at, member.c.id)
        .limit(1)
    )
    found: UUID | None = await session.scalar(query)
    return found


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


async def is_gone(session: AsyncSession, user_id: UUID) -> bool:
    """Tell whether somebody has been deleted."""
    return bool(await session.scalar(select(exists().where(person.c.id == user_id, person.c.status == DELETED))))


@cache
def _visible_by_id(sight: Sight) -> Select[Any]:
    return (
        select(*workspace.c, member.c.role)
        .join(member, member.c.workspace_id == workspace.c.id)
        .where(*seen(sight), workspace.c.id == bindparam("workspace_id"))
    )


async def find_with_role(reader: Reader, *, caller: Principal, workspace_id: UUID) -> RowMapping | None:
    """Return the workspace with the caller's `role`, if the caller may see it."""
    statement = _visible_by_id(sight_of(caller))
    result = await reader.execute(statement, {**seen_by(caller), "workspace_id": workspace_id})
    row: RowMapping | None = result.mappings().one_or_none()
    return row


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


async def find_visible(session: AsyncSession, *, caller: Principal, workspace_id: UUID | None) -> RowMapping | None:
    """Return a workspace with the caller's `workspace_role`, if the caller may see it; for None, its personal one."""
    wanted = workspace.c.personal_owner_id == caller.user_id if workspace_id is None else workspace.c.id == workspace_id
    query = (
        select(*workspace.c, member.c.role.label("workspace_role"))
        .join(member, member.c.workspace_id == workspace.c.id)
        .where(*seen(sight_of(caller)), wanted)
    )
    return (await session.execute(query, seen_by(caller))).mappings().one_or_none()


async def memberships_of(reader: AsyncConnection, caller: Principal) -> Sequence[RowMapping]:
    """Return the memberships of the caller whose workspaces it may see."""
    query = select(member.c.workspace_id, member.c.role, member.c.joined_seq).where(*seen(sight_of(caller)))
    return (await reader.execute(query, seen_by(caller))).mappings().all()
