"""All SQL on the trash."""

from collections.abc import Collection, Sequence
from datetime import datetime
from functools import cache
from uuid import UUID

from chassis.identity import Principal
from sqlalchemy import (
    RowMapping,
    Select,
    Subquery,
    any_,
    bindparam,
    delete,
    exists,
    func,
    literal,
    null,
    select,
    tuple_,
    type_coerce,
    union_all,
)
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncSession

from tasks_service.tasks.repository import KEY, SHOWN, task
from tasks_service.visibility.repository import (
    IDS,
    IS_ACTIVE,
    PROJECTS,
    TASKS,
    Sight,
    member,
    person,
    project,
    seen_by,
    seen_projects,
    seen_tasks,
    sight_of,
    task_rank,
)

BATCH = 500
OF_TASKS = bindparam("of_tasks", type_=IDS)


async def list_visible(
    reader: AsyncConnection, caller: Principal, *, workspace_id: UUID | None, limit: int, offset: int
) -> tuple[Sequence[RowMapping], int]:
    """Return what is in the trash and the caller may see, last deleted first, and how much there is."""
    found = _entries(sight_of(caller))
    mine = [] if workspace_id is None else [found.c.workspace_id == workspace_id]
    total = await reader.scalar(select(func.count()).select_from(found).where(*mine), seen_by(caller))
    query = select(*found.c).where(*mine).order_by(found.c.deleted_at.desc(), found.c.id.desc())
    rows = await reader.execute(query.limit(limit).offset(offset), seen_by(caller))
    return rows.mappings().all(), total or 0


@cache
def _entries(sight: Sight) -> Subquery:
    tasks = (
        select(
            literal("task").label("type"),
            task.c.id,
            task.c.workspace_id,
            task.c.project_id,
            KEY,
            task.c.title,
            task.c.deleted_at,
            task.c.deleted_by,
        )
        .select_from(TASKS)
        .where(*seen_tasks(sight, in_trash=True), task.c.deleted_with.is_(None))
    )
    mine = select(*project.c).select_from(PROJECTS).where(*seen_projects(sight, in_trash=True)).cte("trashed_project")
    above, between = mine.alias("above"), project.alias("between")
    projects = select(
        literal("project"),
        mine.c.id,
        mine.c.workspace_id,
        mine.c.id,
        type_coerce(null(), KEY.type),
        mine.c.name,
        mine.c.deleted_at,
        mine.c.deleted_by,
    )
    # Projects nest three deep.
    further = select(between.c.parent_id).where(between.c.id == mine.c.parent_id, between.c.deleted_at.is_not(None))
    is_within = above.c.id.in_((mine.c.parent_id, further.correlate(mine).scalar_subquery()))
    projects = projects.where(~select(above.c.id).where(is_within).correlate(mine).exists())
    return union_all(tasks, projects).subquery("entry")


async def those_in_trash(session: AsyncSession, task_ids: Collection[UUID]) -> set[UUID]:
    """Return which of these tasks are in the trash."""
    if not task_ids:
        return set()
    query = select(task.c.id).where(task.c.id == any_(OF_TASKS), task.c.deleted_at.is_not(None))
    return set((await session.execute(query, {"of_tasks": sorted(task_ids)})).scalars())


async def readers_of(session: AsyncSession, task_ids: Collection[UUID]) -> set[tuple[UUID, UUID]]:
    """Return which assignees of which of these tasks can see them, and have active accounts."""
    query = (
        select(task.c.id, member.c.user_id)
        .select_from(TASKS.outerjoin(person, person.c.id == member.c.user_id))
        .where(
            task.c.id == any_(OF_TASKS),
            member.c.user_id == any_(task.c.assignees),
            task_rank(member.c.user_id) > 0,
            IS_ACTIVE,
        )
    )
    return {(row[0], row[1]) for row in await session.execute(query, {"of_tasks": sorted(task_ids)})}


async def is_any_taken(session: AsyncSession, rows: Sequence[RowMapping]) -> bool:
    """Tell whether another task, or another one of these, has the external id of one of these in its project."""
    named = [
        (row["project_id"], row["external_source"], row["external_id"])
        for row in rows
        if row["external_source"] is not None
    ]
    if len(set(named)) < len(named):
        return True
    if not named:
        return False
    query = select(task.c.id).where(
        task.c.deleted_at.is_(None),
        tuple_(task.c.project_id, task.c.external_source, task.c.external_id).in_(named),
    )
    return await session.scalar(query.limit(1)) is not None


async def lock_expired(session: AsyncSession, *, deleted_before: datetime) -> Sequence[RowMapping]:
    """Lock and return tasks of one workspace that were deleted before an instant, those first that have none below.

    What another transaction has is left to that.
    """
    expired = _expired(deleted_before)
    workspace_id = await session.scalar(
        expired.with_only_columns(task.c.workspace_id).order_by(task.c.deleted_at).limit(1)
    )
    if workspace_id is None:
        return []
    query = expired.where(task.c.workspace_id == workspace_id).order_by(task.c.deleted_at, task.c.id).limit(BATCH)
    return (await session.execute(query.with_for_update(of=task, skip_locked=True))).mappings().all()


def _expired(deleted_before: datetime) -> Select[tuple[object, ...]]:
    below = task.alias("below")
    return (
        select(*SHOWN)
        .join(project, project.c.id == task.c.project_id)
        .where(task.c.deleted_at < deleted_before, ~exists(select(below.c.id).where(below.c.parent_id == task.c.id)))
    )


async def delete_rows(session: AsyncSession, task_ids: Collection[UUID]) -> None:
    """Delete tasks with all that hangs on them, of which the database takes care; the change log keeps its entries."""
    await session.execute(delete(task).where(task.c.id == any_(OF_TASKS)), {"of_tasks": sorted(task_ids)})
