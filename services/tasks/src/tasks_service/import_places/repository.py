"""All SQL on projects, categories and labels that come from files."""

from collections.abc import Collection, Mapping, Sequence
from typing import Any
from uuid import UUID

from chassis.db.base import table_of
from sqlalchemy import RowMapping, Table, any_, bindparam, delete, or_, select, tuple_, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from tasks_service.projects.models import ProjectPrefix
from tasks_service.statuses.models import Status
from tasks_service.visibility.repository import IDS, project, project_member

prefix = table_of(ProjectPrefix)
status = table_of(Status)

Values = Mapping[str, Any]
WANTED = bindparam("wanted", type_=IDS)


async def add_project(session: AsyncSession, values: Values) -> RowMapping:
    """Insert a project; the database gives it its first statuses, and a prefix if it has none."""
    return (await session.execute(insert(project).values(**values).returning(*project.c))).mappings().one()


async def find_inbox(session: AsyncSession, workspace_id: UUID) -> RowMapping | None:
    """Return the Inbox of a workspace, if it has one."""
    query = select(*project.c).where(project.c.workspace_id == workspace_id, project.c.is_inbox)
    return (await session.execute(query)).mappings().one_or_none()


async def find_project(session: AsyncSession, *, workspace_id: UUID, project_id: UUID) -> RowMapping | None:
    """Return a project of a workspace that is not in the trash."""
    place = (project.c.workspace_id == workspace_id, project.c.id == project_id, project.c.deleted_at.is_(None))
    return (await session.execute(select(*project.c).where(*place))).mappings().one_or_none()


async def set_statuses(session: AsyncSession, project_id: UUID, rows: Sequence[Values]) -> None:
    """Let a new project have these statuses alone."""
    await session.execute(delete(status).where(status.c.project_id == project_id))
    await session.execute(insert(status).values([dict(one) for one in rows]))


async def add_statuses(session: AsyncSession, rows: Sequence[Values]) -> Sequence[RowMapping]:
    """Add statuses to a project whose keys it has not, and return those."""
    statement = insert(status).values([dict(one) for one in rows])
    statement = statement.on_conflict_do_nothing(index_elements=["project_id", "key"])
    return (await session.execute(statement.returning(*status.c))).mappings().all()


async def add_members(session: AsyncSession, rows: Sequence[Values]) -> Sequence[RowMapping]:
    """Add members to a new project."""
    statement = insert(project_member).values([dict(one) for one in rows]).on_conflict_do_nothing()
    return (await session.execute(statement.returning(*project_member.c))).mappings().all()


async def is_prefix_taken(session: AsyncSession, *, workspace_id: UUID, name: str) -> bool:
    """Tell whether a prefix is, or was, a project's."""
    query = select(prefix.c.project_id).where(prefix.c.workspace_id == workspace_id, prefix.c.prefix == name)
    return await session.scalar(query) is not None


async def keep_prefixes(session: AsyncSession, *, workspace_id: UUID, project_id: UUID, names: Collection[str]) -> None:
    """Keep prefixes for a project that it once had, unless they are another's."""
    rows = [{"workspace_id": workspace_id, "prefix": one, "project_id": project_id} for one in sorted(set(names))]
    if rows:
        await session.execute(insert(prefix).values(rows).on_conflict_do_nothing())


async def archive(session: AsyncSession, archived: Mapping[UUID, Any]) -> list[tuple[RowMapping, RowMapping]]:
    """Archive projects since when they are said to be, and return them before and after."""
    open_ones = select(*project.c).where(
        project.c.id == any_(WANTED), project.c.archived_at.is_(None), project.c.deleted_at.is_(None)
    )
    query = open_ones.order_by(project.c.id).with_for_update(key_share=True)
    found = (await session.execute(query, {"wanted": sorted(archived)})).mappings().all()
    pairs = []
    for row in found:
        statement = update(project).where(project.c.id == row["id"])
        # It is as it was elsewhere, since then.
        statement = statement.values(archived_at=archived[row["id"]], version=project.c.version + 1)
        pairs.append((row, (await session.execute(statement.returning(*project.c))).mappings().one()))
    return pairs


async def add_named(session: AsyncSession, table: Table, rows: Sequence[Values]) -> Sequence[RowMapping]:
    """Insert categories or labels, and return those whose names are new."""
    if not rows:
        return []
    statement = insert(table).values([dict(one) for one in rows])
    statement = statement.on_conflict_do_nothing(index_elements=["workspace_id", "owner_id", "name_key"])
    return (await session.execute(statement.returning(*table.c))).mappings().all()


async def find_named(
    session: AsyncSession, table: Table, *, workspace_id: UUID, owner_id: UUID, names: Collection[tuple[str, bool]]
) -> dict[tuple[str, bool], UUID]:
    """Return categories or labels by the key of their name, and whether they are personal."""
    keys = sorted({name for name, _ in names})
    mine = or_(table.c.owner_id.is_(None), table.c.owner_id == owner_id)
    query = select(table.c.id, table.c.name_key, table.c.owner_id).where(
        table.c.workspace_id == workspace_id, mine, tuple_(table.c.name_key).in_([(one,) for one in keys])
    )
    rows = await session.execute(query)
    return {(row.name_key, row.owner_id is not None): row.id for row in rows}
