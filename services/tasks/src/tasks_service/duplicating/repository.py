"""All SQL on what is copied with tasks."""

from collections.abc import Collection, Sequence
from uuid import UUID

from chassis.identity import Principal
from sqlalchemy import RowMapping, any_, bindparam, or_, select
from sqlalchemy.ext.asyncio import AsyncSession

from tasks_service.checklists.repository import item
from tasks_service.relations.repository import relation
from tasks_service.tasks.repository import HELD, SHOWN, task
from tasks_service.visibility.repository import (
    IDS,
    IS_ACTIVE,
    PROJECTS,
    TASKS,
    member,
    person,
    project,
    project_rank,
    seen_by,
    seen_tasks,
    sight_of,
)

OF_TASKS = bindparam("of_tasks", type_=IDS)


async def seeing_project(session: AsyncSession, *, project_id: UUID, user_ids: Collection[UUID]) -> set[UUID]:
    """Return those who can see a project and whose accounts are active."""
    query = (
        select(member.c.user_id)
        .select_from(PROJECTS.outerjoin(person, person.c.id == member.c.user_id))
        .where(
            project.c.id == project_id,
            member.c.user_id == any_(bindparam("of_users", type_=IDS)),
            project_rank(member.c.user_id) > 0,
            IS_ACTIVE,
        )
    )
    return set((await session.execute(query, {"of_users": sorted(user_ids)})).scalars())


async def items_of(session: AsyncSession, task_ids: Collection[UUID]) -> Sequence[RowMapping]:
    """Return the items of the checklists of tasks."""
    query = select(*item.c).where(item.c.task_id == any_(OF_TASKS)).order_by(item.c.task_id, item.c.position, item.c.id)
    return (await session.execute(query, {"of_tasks": sorted(task_ids)})).mappings().all()


async def relations_of(session: AsyncSession, task_ids: Collection[UUID]) -> Sequence[RowMapping]:
    """Return the relations of tasks to each other and to others, the oldest first."""
    ends = or_(relation.c.from_task_id == any_(OF_TASKS), relation.c.to_task_id == any_(OF_TASKS))
    query = select(*relation.c).where(ends).order_by(relation.c.id)
    return (await session.execute(query, {"of_tasks": sorted(task_ids)})).mappings().all()


async def seen_among(session: AsyncSession, caller: Principal, task_ids: Collection[UUID]) -> dict[UUID, RowMapping]:
    """Return those of the tasks that the caller sees, by id, with what the caller has in each."""
    query = select(*SHOWN, *HELD).select_from(TASKS).where(*seen_tasks(sight_of(caller)), task.c.id == any_(OF_TASKS))
    rows = await session.execute(query, {**seen_by(caller), "of_tasks": sorted(task_ids)})
    return {row["id"]: row for row in rows.mappings()}
