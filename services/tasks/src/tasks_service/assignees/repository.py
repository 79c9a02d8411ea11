"""All SQL on assignees. Their rows and the arrays of their task change together, under the lock of the task's row."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from uuid import UUID

from chassis.db.base import table_of
from chassis.db.direct_writing import MADE_ONCE
from sqlalchemy import (
    any_,
    bindparam,
    delete,
    insert,
    select,
    update,
)
from sqlalchemy.engine import RowMapping
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncSession

from tasks_service.assignees.models import Assignee
from tasks_service.directory.repository import SHOWN_NAME
from tasks_service.visibility.repository import (
    IDS,
    IS_ACTIVE,
    PROJECTS,
    READERS_OF_TASK,
    TASKS,
    member,
    person,
    project,
    project_rank,
)

assignee = table_of(Assignee)

Reader = AsyncConnection | AsyncSession

NAMED = select(*assignee.c, SHOWN_NAME).select_from(assignee.outerjoin(person, person.c.id == assignee.c.user_id))
OF_TASKS = NAMED.where(assignee.c.task_id == any_(bindparam("of_tasks", type_=IDS)))
READERS = (
    select(member.c.user_id)
    .select_from(TASKS.outerjoin(person, person.c.id == member.c.user_id))
    .where(*READERS_OF_TASK, IS_ACTIVE)
)
TAKE_BACK_DONE = (
    update(assignee)
    .where(assignee.c.task_id == any_(bindparam("of_tasks", type_=IDS)), assignee.c.state == "done")
    .values(state="pending")
    .returning(*assignee.c)
    .execution_options(**MADE_ONCE)
)
SEEING_PROJECT = (
    select(member.c.user_id)
    .select_from(PROJECTS.outerjoin(person, person.c.id == member.c.user_id))
    .where(
        project.c.id == bindparam("of_project"),
        member.c.user_id == any_(bindparam("of_users", type_=IDS)),
        project_rank(member.c.user_id) > 0,
        IS_ACTIVE,
    )
)


async def list_of(reader: Reader, task_ids: Iterable[UUID]) -> Sequence[RowMapping]:
    """Return the assignees of these tasks, with their names."""
    return (await reader.execute(OF_TASKS, {"of_tasks": sorted(task_ids)})).mappings().all()


async def states_of(session: AsyncSession, task_id: UUID) -> dict[UUID, str]:
    """Return what the assignees of a task have said."""
    query = select(assignee.c.user_id, assignee.c.state).where(assignee.c.task_id == task_id)
    return {row.user_id: row.state for row in await session.execute(query)}


async def readers_among(session: AsyncSession, *, task_id: UUID, user_ids: Iterable[UUID]) -> set[UUID]:
    """Return those who can see the task and whose accounts are active."""
    rows = await session.execute(READERS, {"of_task": task_id, "of_users": sorted(user_ids)})
    return set(rows.scalars())


async def members_seeing(session: AsyncSession, *, project_id: UUID, user_ids: Iterable[UUID]) -> set[UUID]:
    """Return those who can see all of a project and whose accounts are active."""
    rows = await session.execute(SEEING_PROJECT, {"of_project": project_id, "of_users": sorted(user_ids)})
    return set(rows.scalars())


async def add(
    session: AsyncSession, *, task: RowMapping, user_ids: Iterable[UUID], assigned_by: UUID, now: datetime
) -> None:
    """Note new assignees of a task."""
    common = {"workspace_id": task["workspace_id"], "task_id": task["id"], "state": "pending"}
    rows = [{**common, "user_id": one, "assigned_by": assigned_by, "assigned_at": now} for one in user_ids]
    await session.execute(insert(assignee), rows)


async def add_all(session: AsyncSession, *, tasks: Sequence[RowMapping], assigned_by: UUID) -> None:
    """Note the assignees of new tasks."""
    common = {"state": "pending", "assigned_by": assigned_by}
    rows = [
        {
            **common,
            "workspace_id": one["workspace_id"],
            "task_id": one["id"],
            "assigned_at": one["created_at"],
            "user_id": user_id,
        }
        for one in tasks
        for user_id in one["assignees"]
    ]
    await session.execute(insert(assignee), rows)


async def remove(session: AsyncSession, *, task_id: UUID, user_ids: Iterable[UUID]) -> None:
    """Delete the rows of those who are assignees no more."""
    await session.execute(delete(assignee).where(assignee.c.task_id == task_id, assignee.c.user_id.in_(user_ids)))


async def answer(session: AsyncSession, *, task_id: UUID, user_id: UUID, state: str) -> None:
    """Note what an assignee says."""
    own = (assignee.c.task_id == task_id, assignee.c.user_id == user_id)
    await session.execute(update(assignee).where(*own).values(state=state))


async def take_back_done(session: AsyncSession, task_ids: Iterable[UUID]) -> Sequence[RowMapping]:
    """Make those of tasks pending who were done, and return them."""
    rows = (await session.execute(TAKE_BACK_DONE, {"of_tasks": sorted(task_ids)})).mappings().all()
    return sorted(rows, key=lambda row: row["user_id"])
