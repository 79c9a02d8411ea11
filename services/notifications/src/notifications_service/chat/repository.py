"""All SQL on connections to chats: one's own, and those of workspaces and projects for who manages these."""

from collections.abc import Collection, Mapping, Sequence
from typing import Any
from uuid import UUID

from chassis.db.arrays import given_uuids
from chassis.db.base import table_of
from chassis.db.purging import delete_batch
from chassis.db.sealed import SealedColumn
from sqlalchemy import ColumnElement, RowMapping, and_, any_, delete, func, or_, select, tuple_, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncSession

from notifications_service.chat.models import ChatConnection
from notifications_service.chat.rules import url_place
from notifications_service.live.repository import event, head, place
from notifications_service.scopes.repository import has_ended, is_managed

connection = table_of(ChatConnection)
URL = SealedColumn(connection.c.url_sealed, lambda row: url_place(row["id"]))
Reader = AsyncConnection | AsyncSession

# Asked whenever something happens: making it anew takes longer than what it does.
POSTED_AMONG = select(connection.c.workspace_id).where(
    connection.c.workspace_id == any_(given_uuids("of_streams")), connection.c.enabled
)


def managed_by(user_id: UUID) -> ColumnElement[bool]:
    """Return the condition for connections that a user may see and change: their own, and of what they manage."""
    is_own = and_(connection.c.scope == "user", connection.c.owner_id == user_id)
    return or_(is_own, is_managed(user_id, workspace_id=connection.c.workspace_id, project_id=connection.c.project_id))


async def count_of(session: AsyncSession, *, scope: str, scope_id: UUID) -> int:
    """Return how many connections a scope has; until the end of the transaction nobody else adds one to it."""
    lock = func.hashtextextended(f"chat:{scope}:{scope_id}", 0)
    await session.execute(select(func.pg_advisory_xact_lock(lock)))
    column = {"user": connection.c.owner_id, "workspace": connection.c.workspace_id}.get(scope, connection.c.project_id)
    query = select(func.count()).where(connection.c.scope == scope, column == scope_id)
    return (await session.execute(query)).scalar_one()


async def add(session: AsyncSession, values: Mapping[str, Any]) -> RowMapping:
    """Add a connection, which begins where its workspace is now."""
    here = select(head.c.contiguous_seq).where(head.c.workspace_id == values["workspace_id"]).scalar_subquery()
    statement = insert(connection).values(**values, begins_after=here).returning(*connection.c)
    return (await session.execute(statement)).mappings().one()


async def find_managed(reader: Reader, *, user_id: UUID, connection_id: UUID, lock: bool = False) -> RowMapping | None:
    """Return a connection that a user may see; locked, nobody else changes it."""
    query = select(connection).where(connection.c.id == connection_id, managed_by(user_id))
    if lock:
        query = query.with_for_update()
    return (await reader.execute(query)).mappings().one_or_none()


async def list_managed(
    reader: Reader,
    *,
    user_id: UUID,
    workspace_id: UUID | None,
    scope: str | None,
    after: UUID | None,
    before: UUID | None,
    limit: int,
) -> Sequence[RowMapping]:
    """Return connections that a user may see, the oldest first, and backwards from `before`."""
    query = select(connection).where(managed_by(user_id))
    if workspace_id is not None:
        query = query.where(connection.c.workspace_id == workspace_id)
    if scope is not None:
        query = query.where(connection.c.scope == scope)
    if after is not None:
        query = query.where(connection.c.id > after)
    if before is not None:
        query = query.where(connection.c.id < before)
    order = connection.c.id.asc() if before is None else connection.c.id.desc()
    return (await reader.execute(query.order_by(order).limit(limit))).mappings().all()


async def change(session: AsyncSession, connection_id: UUID, values: Mapping[str, Any]) -> RowMapping:
    """Change a connection that the session holds."""
    statement = update(connection).where(connection.c.id == connection_id)
    changed = statement.values(**values, version=connection.c.version + 1).returning(*connection.c)
    return (await session.execute(changed)).mappings().one()


async def remove(session: AsyncSession, connection_id: UUID) -> None:
    """Delete a connection."""
    await session.execute(delete(connection).where(connection.c.id == connection_id))


async def remove_of_user(session: AsyncSession, user_id: UUID) -> None:
    """Delete all connections that somebody made."""
    await session.execute(delete(connection).where(connection.c.owner_id == user_id))


async def remove_of_ended_workspaces(session: AsyncSession) -> bool:
    """Delete a batch of connections of workspaces that have ended; return whether there may be more."""
    return await delete_batch(session, connection, has_ended(connection.c.workspace_id))


async def disable_unscoped(session: AsyncSession, connection_id: UUID, values: Mapping[str, Any]) -> RowMapping | None:
    """Turn a connection off; None where it is so already, or is gone."""
    statement = update(connection).where(connection.c.id == connection_id, connection.c.enabled)
    turned = statement.values(**values, enabled=False, version=connection.c.version + 1).returning(*connection.c)
    return (await session.execute(turned)).mappings().one_or_none()


async def find_all_unscoped(reader: Reader, ids: Sequence[UUID]) -> dict[UUID, RowMapping]:
    """Return connections by id."""
    rows = (await reader.execute(select(connection).where(connection.c.id.in_(ids)))).mappings()
    return {row["id"]: row for row in rows}


async def own_of(reader: Reader, user_ids: Sequence[UUID]) -> Sequence[RowMapping]:
    """Return the connections for these users' own notifications that anything is posted to."""
    query = select(connection).where(
        connection.c.owner_id.in_(user_ids), connection.c.scope == "user", connection.c.enabled
    )
    return (await reader.execute(query.order_by(connection.c.id))).mappings().all()


async def of_workspace(reader: Reader, workspace_id: UUID) -> Sequence[RowMapping]:
    """Return the connections for the events of a workspace or its projects that anything is posted to."""
    query = select(connection).where(connection.c.workspace_id == workspace_id, connection.c.enabled)
    return (await reader.execute(query.order_by(connection.c.id))).mappings().all()


async def posted_among(reader: Reader, stream_ids: Collection[UUID]) -> set[UUID]:
    """Return those of some streams that are of workspaces whose events are posted anywhere."""
    return set((await reader.execute(POSTED_AMONG, {"of_streams": list(stream_ids)})).scalars())


async def private_among(reader: Reader, project_ids: Sequence[UUID]) -> set[UUID]:
    """Return those of some projects that only their members see."""
    query = select(place.c.project_id).where(place.c.project_id.in_(project_ids), place.c.is_private)
    return set((await reader.execute(query)).scalars())


async def find_events(reader: Reader, keys: Sequence[tuple[UUID, int]]) -> Sequence[RowMapping]:
    """Return events by their streams and numbers, as far as they are kept."""
    query = select(event).where(tuple_(event.c.workspace_id, event.c.seq).in_(keys))
    return (await reader.execute(query)).mappings().all()
