"""All SQL on projects."""

from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any
from uuid import UUID

from chassis.clock import utcnow
from chassis.db.base import table_of
from chassis.db.direct_writing import MADE_ONCE
from chassis.identity import Principal
from sqlalchemy import (
    CTE,
    ColumnElement,
    RowMapping,
    Select,
    String,
    bindparam,
    cast,
    func,
    insert,
    literal,
    literal_column,
    select,
)
from sqlalchemy.dialects.postgresql import insert as insert_or
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncSession

from tasks_service.projects.filters import ProjectFilter
from tasks_service.projects.models import Project, ProjectPrefix
from tasks_service.projects.rules import MAX_DEPTH
from tasks_service.statuses.repository import STATUSES
from tasks_service.tasks.models import Task, TaskKeyAlias
from tasks_service.visibility.repository import (
    PROJECT_ROLE,
    PROJECTS,
    WORKSPACE_ROLE,
    Sight,
    member,
    seen,
    seen_by,
    seen_projects,
    sight_of,
    workspace,
)

project = table_of(Project)
project_prefix = table_of(ProjectPrefix)
task = table_of(Task)
task_key_alias = table_of(TaskKeyAlias)

Reader = AsyncConnection | AsyncSession

IN_WORKSPACES = PROJECTS.join(workspace, workspace.c.id == project.c.workspace_id)
# More than there can be, so that no mistake of ours makes a query endless.
DEPTH_LOOKED_AT = 3 * MAX_DEPTH


def _conditions(wanted: ProjectFilter) -> list[ColumnElement[bool]]:
    found: list[ColumnElement[bool]] = [] if wanted.archived else [project.c.archived_at.is_(None)]
    if wanted.workspace_id is not None:
        found.append(project.c.workspace_id == wanted.workspace_id)
    if wanted.parent_id is not None:
        found.append(project.c.parent_id == (None if wanted.parent_id == "none" else wanted.parent_id))
    return found


def _visible(sight: Sight, *, in_trash: bool | None = False) -> Select[Any]:
    return (
        select(*project.c, PROJECT_ROLE, WORKSPACE_ROLE, workspace.c.require_if_match, STATUSES)
        .select_from(IN_WORKSPACES)
        .where(*seen_projects(sight, in_trash=in_trash))
    )


@cache
def _visible_by_id(sight: Sight, *, in_trash: bool | None) -> Select[Any]:
    query = _visible(sight, in_trash=in_trash).where(project.c.id == bindparam("project_id"))
    return query.execution_options(**MADE_ONCE)


@cache
def _inbox(sight: Sight) -> Select[Any]:
    query = _visible(sight).where(workspace.c.personal_owner_id == bindparam("owner_id"), project.c.is_inbox)
    return query.execution_options(**MADE_ONCE)


async def add(session: AsyncSession, values: Mapping[str, Any]) -> RowMapping:
    """Insert a project; the database gives it a prefix, unless it has one, and statuses."""
    return (await session.execute(insert(project).values(**values).returning(*project.c))).mappings().one()


async def find_visible(
    reader: Reader, *, caller: Principal, project_id: UUID, in_trash: bool | None = False
) -> RowMapping | None:
    """Return the project with the caller's `role` in it, if the caller may see it.

    It is looked for among those that are not in the trash, those that are, or with None among both.
    """
    statement = _visible_by_id(sight_of(caller), in_trash=in_trash)
    result = await reader.execute(statement, {**seen_by(caller), "project_id": project_id})
    row: RowMapping | None = result.mappings().one_or_none()
    return row


async def find_unscoped(session: AsyncSession, project_id: UUID) -> RowMapping | None:
    """Return a project, whoever may see it: for what depends on it and shows nothing of it."""
    result = await session.execute(select(*project.c).where(project.c.id == project_id))
    row: RowMapping | None = result.mappings().one_or_none()
    return row


async def find_inbox(session: AsyncSession, owner: Principal) -> RowMapping | None:
    """Return the Inbox of the caller's personal workspace, if the caller may see it."""
    statement = _inbox(sight_of(owner))
    result = await session.execute(statement, {**seen_by(owner), "owner_id": owner.user_id})
    row: RowMapping | None = result.mappings().one_or_none()
    return row


async def list_visible(
    reader: AsyncConnection, caller: Principal, *, wanted: ProjectFilter, limit: int, offset: int
) -> tuple[Sequence[RowMapping], int]:
    """Return the projects that the caller may see, oldest first, and how many there are."""
    mine = [*seen_projects(sight_of(caller)), *_conditions(wanted)]
    total = await reader.scalar(select(func.count()).select_from(PROJECTS).where(*mine), seen_by(caller))
    query = select(*project.c, PROJECT_ROLE).select_from(PROJECTS).where(*mine)
    query = query.order_by(project.c.id).limit(limit).offset(offset)
    return (await reader.execute(query, seen_by(caller))).mappings().all(), total or 0


async def lock_target(session: AsyncSession, caller: Principal, workspace_id: UUID | None) -> RowMapping | None:
    """Lock a workspace that the caller may see, or the caller's personal one, and return it with the caller's `role`.

    The lock is what makes the number of projects and their tree stay as they were looked at.
    """
    wanted = workspace.c.personal_owner_id == caller.user_id if workspace_id is None else workspace.c.id == workspace_id
    query = (
        select(workspace.c.id, member.c.role)
        .join(member, member.c.workspace_id == workspace.c.id)
        .where(*seen(sight_of(caller)), wanted, workspace.c.deleted_at.is_(None))
        .with_for_update(of=workspace, key_share=True)
    )
    return (await session.execute(query, seen_by(caller))).mappings().one_or_none()


async def lock_tree(session: AsyncSession, workspace_id: UUID) -> None:
    """Lock the workspace's row: until the end nobody else moves, archives or deletes projects of it."""
    query = select(workspace.c.id).where(workspace.c.id == workspace_id).with_for_update(key_share=True)
    await session.execute(query)


async def lock(session: AsyncSession, project_id: UUID) -> None:
    """Lock a project's row: until the end its members, statuses and visibility stay as they are looked at."""
    query = select(project.c.id).where(project.c.id == project_id).with_for_update(key_share=True)
    await session.execute(query)


async def count_in(session: AsyncSession, workspace_id: UUID) -> int:
    """Count the projects of a workspace, those in the trash, too."""
    mine = (project.c.workspace_id == workspace_id, project.c.purged_at.is_(None))
    return await session.scalar(select(func.count()).select_from(project).where(*mine)) or 0


async def claim_prefix(session: AsyncSession, *, workspace_id: UUID, prefix: str, project_id: UUID) -> bool:
    """Make a prefix the project's for ever; False when it is, or was, another's, waiting for one who is about to."""
    statement = insert_or(project_prefix).values(workspace_id=workspace_id, prefix=prefix, project_id=project_id)
    statement = statement.on_conflict_do_update(
        index_elements=["workspace_id", "prefix"],
        set_={"project_id": project_id},
        where=project_prefix.c.project_id == project_id,
    )
    return await session.scalar(statement.returning(project_prefix.c.project_id)) is not None


async def keep_keys(session: AsyncSession, *, project_id: UUID, prefix: str) -> None:
    """Note the keys that the project's tasks had with a prefix, so that they are still found by those."""
    keys = select(
        task.c.workspace_id, literal(f"{prefix}-") + cast(task.c.number, String), task.c.id, literal(utcnow())
    ).where(task.c.project_id == project_id)
    statement = insert_or(task_key_alias).from_select(["workspace_id", "key", "task_id", "created_at"], keys)
    await session.execute(statement.on_conflict_do_nothing())


async def line_of(session: AsyncSession, project_id: UUID) -> Sequence[UUID]:
    """Return the project and those that it is in, the nearest first."""
    start = select(project.c.id, project.c.parent_id, literal_column("1").label("step"))
    line = start.where(project.c.id == project_id).cte("line", recursive=True)
    above = project.alias("above")
    line = line.union_all(
        select(above.c.id, above.c.parent_id, line.c.step + 1).where(
            above.c.id == line.c.parent_id, line.c.step < DEPTH_LOOKED_AT
        )
    )
    return (await session.execute(select(line.c.id).order_by(line.c.step))).scalars().all()


def tree_of(project_id: UUID) -> CTE:
    """Return the project and all that is in it, with the `step` that each is down, in the trash or not, as SQL."""
    start = select(project.c.id, literal_column("1").label("step")).where(project.c.id == project_id)
    tree = start.cte("tree", recursive=True)
    below = project.alias("below")
    return tree.union_all(
        select(below.c.id, tree.c.step + 1).where(
            below.c.parent_id == tree.c.id, below.c.purged_at.is_(None), tree.c.step < DEPTH_LOOKED_AT
        )
    )


async def height_of(session: AsyncSession, project_id: UUID) -> int:
    """Return how many deep the project and what is in it are; 1 is the project alone."""
    return await session.scalar(select(func.max(tree_of(project_id).c.step))) or 1
