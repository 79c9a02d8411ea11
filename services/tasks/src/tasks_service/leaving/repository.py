"""All SQL on what goes with a membership: each statement is about all rows at once, however many there are."""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Any, cast
from uuid import UUID

from chassis.db.base import table_of
from chassis.ids import uuid7
from sqlalchemy import (
    ColumnElement,
    CursorResult,
    RowMapping,
    Table,
    case,
    delete,
    func,
    literal,
    select,
    true,
    union,
    update,
)
from sqlalchemy.dialects.postgresql import ARRAY, insert
from sqlalchemy.dialects.postgresql import UUID as PG_UUID
from sqlalchemy.ext.asyncio import AsyncSession

from tasks_service.assignees.models import Assignee
from tasks_service.checklists.models import ChecklistItem
from tasks_service.labels.models import PersonalLabel
from tasks_service.projects.models import ProjectMember
from tasks_service.shares.models import TaskShare
from tasks_service.stars.models import Star
from tasks_service.tasks.repository import LEAVES_FIRST, SHOWN, task
from tasks_service.visibility.repository import TASKS, member, project, project_rank, task_rank
from tasks_service.watchers.models import Watcher, WatchRule

assignee = table_of(Assignee)
checklist_item = table_of(ChecklistItem)
personal_label = table_of(PersonalLabel)
project_member = table_of(ProjectMember)
star = table_of(Star)
task_share = table_of(TaskShare)
watcher = table_of(Watcher)
watch_rule = table_of(WatchRule)

CLOSED = ("done", "cancelled")
ONE_USER = PG_UUID(as_uuid=True)
USERS = ARRAY(ONE_USER)
Values = Mapping[str, Any]


async def lock_assigned(session: AsyncSession, *, workspace_id: UUID, user_id: UUID) -> Sequence[RowMapping]:
    """Return all tasks that are assigned to somebody, in the trash, too, locked leaves first."""
    query = (
        select(*SHOWN)
        .select_from(task.join(project, project.c.id == task.c.project_id))
        .join(assignee, assignee.c.task_id == task.c.id)
        .where(assignee.c.user_id == user_id, assignee.c.workspace_id == workspace_id)
        .order_by(*LEAVES_FIRST)
        .with_for_update(of=task, key_share=True)
    )
    return (await session.execute(query)).mappings().all()


async def open_for(session: AsyncSession, *, user_id: UUID, workspace_id: UUID, task_ids: Sequence[UUID]) -> set[UUID]:
    """Return which of these tasks are still to be done and seen by somebody."""
    query = (
        select(task.c.id)
        .select_from(TASKS)
        .where(
            member.c.user_id == user_id,
            member.c.workspace_id == workspace_id,
            task.c.id == func.any(literal(list(task_ids), USERS)),
            task.c.deleted_at.is_(None),
            task.c.status_category.not_in(CLOSED),
            project.c.deleted_at.is_(None),
            task_rank(member.c.user_id) > 0,
        )
    )
    return set((await session.execute(query)).scalars())


async def unassign(
    session: AsyncSession,
    *,
    task_ids: Sequence[UUID],
    user_id: UUID,
    successor: UUID | None,
    given: Sequence[UUID],
    now: datetime,
) -> dict[UUID, RowMapping]:
    """Take somebody off tasks, of those that are `given` in favour of the successor; return what changed, by task.

    The next assignee is the primary one, unless the successor takes that place.
    """
    statement = (
        update(task)
        .where(task.c.id == func.any(literal(list(task_ids), USERS)))
        .values(**_left(user_id, successor, given), version=task.c.version + 1, updated_at=now)
        .returning(task.c.id, task.c.assignees, task.c.assigned_to, task.c.version, task.c.updated_at)
    )
    return {row["id"]: row for row in (await session.execute(statement)).mappings()}


def _left(user_id: UUID, successor: UUID | None, given: Sequence[UUID]) -> dict[str, ColumnElement[Any]]:
    """Return who is left on a task, and the first of them."""
    gone = literal(user_id, ONE_USER)
    without = func.array_remove(task.c.assignees, gone, type_=USERS)
    if successor is None:
        return {"assignees": without, "assigned_to": without[1]}
    heir = literal(successor, ONE_USER)
    replaced = func.array_replace(func.array_remove(task.c.assignees, heir, type_=USERS), gone, heir, type_=USERS)
    is_given = task.c.id == func.any(literal(list(given), USERS))
    return {
        "assignees": case((is_given, replaced), else_=without),
        "assigned_to": case((is_given, replaced[1]), else_=without[1]),
    }


async def assign(session: AsyncSession, *, workspace_id: UUID, task_ids: Sequence[UUID], values: Values) -> None:
    """Note somebody as an assignee of tasks; what they have said of one already stays."""
    rows = [{**values, "workspace_id": workspace_id, "task_id": one} for one in task_ids]
    await session.execute(insert(assignee).on_conflict_do_nothing(), rows)


async def watch(
    session: AsyncSession, *, user_id: UUID, workspace_id: UUID, task_ids: Sequence[UUID], now: datetime
) -> Sequence[RowMapping]:
    """Make somebody watch the tasks that they got, unless they have said otherwise; return the rows that are new."""
    wanted = (
        select(task.c.workspace_id, task.c.id, member.c.user_id, *map(literal, ("assigned", True, False, now)))
        .select_from(TASKS.outerjoin(watch_rule, watch_rule.c.user_id == member.c.user_id))
        .where(
            member.c.user_id == user_id,
            member.c.workspace_id == workspace_id,
            task.c.id == func.any(literal(list(task_ids), USERS)),
            func.coalesce(watch_rule.c.assigned, true()),
        )
    )
    statement = insert(watcher).from_select([one.name for one in watcher.c], wanted).on_conflict_do_nothing()
    return (await session.execute(statement.returning(*watcher.c))).mappings().all()


async def lock_orphaned_projects(session: AsyncSession, *, workspace_id: UUID, user_id: UUID) -> list[UUID]:
    """Return the private projects that nobody but this user manages, locked in the order of their ids."""
    other = project_member.alias("other")
    another = select(other.c.id).where(
        other.c.project_id == project.c.id, other.c.role == "manager", other.c.user_id != user_id
    )
    query = (
        select(project.c.id)
        .join(project_member, project_member.c.project_id == project.c.id)
        .where(
            project.c.workspace_id == workspace_id,
            project.c.visibility == "private",
            project_member.c.user_id == user_id,
            project_member.c.role == "manager",
            ~another.exists(),
        )
        .order_by(project.c.id)
        .with_for_update(of=project, key_share=True)
    )
    return list((await session.execute(query)).scalars())


async def roles_in(session: AsyncSession, *, user_id: UUID, project_ids: Sequence[UUID]) -> dict[UUID, str]:
    """Return the roles of its own that somebody has in these projects."""
    query = select(project_member.c.project_id, project_member.c.role).where(
        project_member.c.user_id == user_id, project_member.c.project_id.in_(project_ids)
    )
    return {row.project_id: row.role for row in await session.execute(query)}


async def make_manager(
    session: AsyncSession, *, user_id: UUID, workspace_id: UUID, project_ids: Sequence[UUID], now: datetime
) -> Sequence[RowMapping]:
    """Give somebody the role of a manager in projects, whatever they have there; return what changed."""
    common = {"workspace_id": workspace_id, "user_id": user_id, "role": "manager", "version": 1, "created_at": now}
    statement = insert(project_member).values([{**common, "id": uuid7(), "project_id": one} for one in project_ids])
    statement = statement.on_conflict_do_update(
        index_elements=["project_id", "user_id"],
        set_={"role": "manager", "version": project_member.c.version + 1},
        where=project_member.c.role != "manager",
    )
    return (await session.execute(statement.returning(*project_member.c))).mappings().all()


async def projects_seen(session: AsyncSession, *, workspace_id: UUID, user_id: UUID) -> set[UUID]:
    """Return the projects of a workspace that a member sees, but for those in the trash."""
    query = (
        select(project.c.id)
        .join(member, member.c.workspace_id == project.c.workspace_id)
        .where(project.c.workspace_id == workspace_id, project.c.deleted_at.is_(None))
        .where(member.c.user_id == user_id, project_rank(member.c.user_id) > 0)
    )
    return set((await session.execute(query)).scalars())


async def hold_projects(session: AsyncSession, project_ids: Collection[UUID]) -> Sequence[RowMapping]:
    """Return projects as they are until the commit: what is told of them last is how they are."""
    query = select(*project.c).where(project.c.id.in_(project_ids)).order_by(project.c.id).with_for_update(read=True)
    return (await session.execute(query)).mappings().all()


async def touched_by(session: AsyncSession, *, workspace_id: UUID, user_id: UUID) -> list[UUID]:
    """Return the tasks on which somebody has anything of their own."""
    parts = [
        select(table.c.task_id).where(table.c.workspace_id == workspace_id, table.c.user_id == user_id)
        for table in (assignee, watcher, star, personal_label)
    ]
    parts.append(
        select(checklist_item.c.task_id).where(
            checklist_item.c.workspace_id == workspace_id, checklist_item.c.assignee_id == user_id
        )
    )
    return list((await session.execute(union(*parts))).scalars())


async def delete_of(session: AsyncSession, table: Table, *, workspace_id: UUID, user_id: UUID) -> int:
    """Delete somebody's rows of a table in a workspace; return how many there were."""
    statement = delete(table).where(table.c.workspace_id == workspace_id, table.c.user_id == user_id)
    return cast("CursorResult[Any]", await session.execute(statement)).rowcount
