"""All SQL on service accounts."""

from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

from chassis.db.base import table_of
from sqlalchemy import RowMapping, delete, exists, func, insert, select, update
from sqlalchemy.dialects.postgresql import insert as insert_or_skip
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncSession

from auth_service.service_accounts.models import DeletedWorkspace, ServiceAccount

service_account = table_of(ServiceAccount)
deleted_workspace = table_of(DeletedWorkspace)


async def add(session: AsyncSession, values: Mapping[str, Any]) -> RowMapping:
    """Insert a service account, whose account is there."""
    statement = insert(service_account).values(**values).returning(*service_account.c)
    return (await session.execute(statement)).mappings().one()


async def find(reader: AsyncSession | AsyncConnection, account_id: UUID) -> RowMapping | None:
    """Return a service account."""
    query = select(service_account).where(service_account.c.account_id == account_id)
    return (await reader.execute(query)).mappings().one_or_none()


async def lock_workspace(session: AsyncSession, workspace_id: UUID) -> None:
    """Let service accounts of one workspace be made one after the other."""
    key = func.hashtextextended(f"service accounts {workspace_id}", 0)
    await session.execute(select(func.pg_advisory_xact_lock(key)))


async def count_of(session: AsyncSession, workspace_id: UUID) -> int:
    """Return how many service accounts a workspace has; it gets no more while it is locked."""
    return await session.scalar(select(func.count()).where(service_account.c.workspace_id == workspace_id)) or 0


async def is_deleted(session: AsyncSession, workspace_id: UUID) -> bool:
    """Tell whether a workspace is gone; sure to stay so while it is locked."""
    return bool(await session.scalar(select(exists().where(deleted_workspace.c.workspace_id == workspace_id))))


async def mark_deleted(session: AsyncSession, workspace_id: UUID) -> None:
    """Note that a workspace is gone."""
    statement = insert_or_skip(deleted_workspace).values(workspace_id=workspace_id)
    await session.execute(statement.on_conflict_do_nothing())


async def ids_of(session: AsyncSession, workspace_id: UUID) -> Sequence[UUID]:
    """Return all service accounts of a workspace, in the order of their ids."""
    query = select(service_account.c.account_id).where(service_account.c.workspace_id == workspace_id)
    return (await session.execute(query.order_by(service_account.c.account_id))).scalars().all()


async def list_of(
    reader: AsyncConnection, workspace_id: UUID, *, limit: int, offset: int
) -> tuple[Sequence[RowMapping], int]:
    """Return some of a workspace's service accounts, the newest first, and how many there are."""
    there = service_account.c.workspace_id == workspace_id
    total = await reader.scalar(select(func.count()).where(there))
    query = select(service_account).where(there).order_by(service_account.c.account_id.desc())
    return (await reader.execute(query.limit(limit).offset(offset))).mappings().all(), total or 0


async def apply_changes(session: AsyncSession, account_id: UUID, values: Mapping[str, Any]) -> RowMapping:
    """Change a service account whose account is locked, and count its version on."""
    statement = update(service_account).where(service_account.c.account_id == account_id)
    statement = statement.values(**values, version=service_account.c.version + 1)
    return (await session.execute(statement.returning(*service_account.c))).mappings().one()


async def remove(session: AsyncSession, account_id: UUID) -> RowMapping:
    """Delete a service account whose account is locked, and return what it was."""
    statement = delete(service_account).where(service_account.c.account_id == account_id)
    return (await session.execute(statement.returning(*service_account.c))).mappings().one()
