"""All SQL on tasks that come from files."""

from collections.abc import Collection, Mapping, Sequence
from typing import Any, cast
from uuid import UUID

from chassis.db.base import table_of
from sqlalchemy import RowMapping, any_, bindparam, case, func, literal, select, tuple_, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from tasks_service.assignees.models import Assignee
from tasks_service.categories.models import Category
from tasks_service.labels.models import Label
from tasks_service.shares.models import TaskShare
from tasks_service.statuses.repository import STATUSES
from tasks_service.subtasks.repository import Pair
from tasks_service.tasks.models import TaskKeyAlias
from tasks_service.tasks.repository import SHOWN
from tasks_service.visibility.repository import IDS, IS_ACTIVE, PROJECTS, member, person, project, project_rank, task

alias = table_of(TaskKeyAlias)
assignee = table_of(Assignee)
category = table_of(Category)
label = table_of(Label)
share = table_of(TaskShare)

Values = Mapping[str, Any]
WANTED = bindparam("wanted", type_=IDS)
DEEPEST = 20


async def lock_projects(session: AsyncSession, ids: Collection[UUID]) -> None:
    """Lock projects until the end: nobody else makes, moves or deletes tasks in them."""
    query = select(project.c.id).where(project.c.id == any_(WANTED)).order_by(project.c.id)
    await session.execute(query.with_for_update(key_share=True), {"wanted": sorted(ids)})


async def projects_by_id(session: AsyncSession, ids: Collection[UUID]) -> dict[UUID, RowMapping]:
    """Return projects that are not in the trash, with their statuses."""
    query = select(*project.c, STATUSES).where(project.c.id == any_(WANTED), project.c.deleted_at.is_(None))
    rows = await session.execute(query, {"wanted": sorted(ids)})
    return {row["id"]: row for row in rows.mappings()}


async def depths_of(session: AsyncSession, ids: Collection[UUID]) -> dict[UUID, tuple[UUID, int]]:
    """Return the project of each task that is not in the trash, and how many are above it."""
    first = select(task.c.id, task.c.project_id, task.c.parent_id, literal(0).label("depth")).where(
        task.c.id == any_(WANTED), task.c.deleted_at.is_(None)
    )
    line = first.cte("line", recursive=True)
    above = task.alias("above")
    further = select(line.c.id, line.c.project_id, above.c.parent_id, line.c.depth + 1)
    further = further.join(above, above.c.id == line.c.parent_id).where(line.c.depth < DEEPEST)
    line = line.union_all(further)
    query = select(line.c.id, line.c.project_id, func.max(line.c.depth).label("depth"))
    rows = await session.execute(query.group_by(line.c.id, line.c.project_id), {"wanted": sorted(ids)})
    return {row.id: (row.project_id, row.depth) for row in rows}


async def keep_categories(session: AsyncSession, ids: Collection[UUID]) -> dict[UUID, UUID | None]:
    """Return whose these categories are, and keep them until the end."""
    query = select(category.c.id, category.c.owner_id).where(category.c.id == any_(WANTED)).order_by(category.c.id)
    rows = await session.execute(query.with_for_update(read=True, key_share=True), {"wanted": sorted(ids)})
    return {row.id: row.owner_id for row in rows}


async def keep_labels(session: AsyncSession, ids: Collection[UUID]) -> set[UUID]:
    """Return which of these are labels that a workspace shares, and keep them until the end."""
    query = select(label.c.id).where(label.c.id == any_(WANTED), label.c.owner_id.is_(None)).order_by(label.c.id)
    rows = await session.execute(query.with_for_update(read=True, key_share=True), {"wanted": sorted(ids)})
    return set(rows.scalars())


async def readers_of(
    session: AsyncSession, project_ids: Collection[UUID], user_ids: Collection[UUID]
) -> set[tuple[UUID, UUID]]:
    """Return who of these sees which of the projects, with an account that is active."""
    query = (
        select(project.c.id, member.c.user_id)
        .select_from(PROJECTS.outerjoin(person, person.c.id == member.c.user_id))
        .where(
            project.c.id == any_(WANTED),
            member.c.user_id == any_(bindparam("of_users", type_=IDS)),
            project_rank(member.c.user_id) > 0,
            IS_ACTIVE,
        )
    )
    rows = await session.execute(query, {"wanted": sorted(project_ids), "of_users": sorted(user_ids)})
    return {(row.id, row.user_id) for row in rows}


async def numbers_taken(session: AsyncSession, wanted: Collection[tuple[UUID, int]]) -> set[tuple[UUID, int]]:
    """Return which numbers tasks of projects have, in the trash or not."""
    if not wanted:
        return set()
    query = select(task.c.project_id, task.c.number).where(tuple_(task.c.project_id, task.c.number).in_(list(wanted)))
    return {(row.project_id, row.number) for row in await session.execute(query)}


async def externals_taken(
    session: AsyncSession, wanted: Collection[tuple[UUID, str, str]]
) -> set[tuple[UUID, str, str]]:
    """Return which ids of other systems tasks of projects have."""
    if not wanted:
        return set()
    columns = (task.c.project_id, task.c.external_source, task.c.external_id)
    query = select(*columns).where(tuple_(*columns).in_(list(wanted)), task.c.deleted_at.is_(None))
    return {(row[0], row[1], row[2]) for row in await session.execute(query)}


async def pass_numbers(session: AsyncSession, numbers: Mapping[UUID, int]) -> None:
    """Let projects, which are locked, give only numbers after these."""
    for project_id in sorted(numbers):
        statement = update(project).where(project.c.id == project_id, project.c.next_number <= numbers[project_id])
        await session.execute(statement.values(next_number=numbers[project_id] + 1))


async def add_assignees(session: AsyncSession, rows: Sequence[Values]) -> None:
    """Note the assignees of new tasks."""
    if rows:
        await session.execute(insert(assignee), [dict(one) for one in rows])


async def add_shares(session: AsyncSession, rows: Sequence[Values]) -> Sequence[RowMapping]:
    """Note with whom new tasks are shared."""
    if not rows:
        return []
    statement = insert(share).on_conflict_do_nothing().returning(*share.c)
    return (await session.execute(statement, [dict(one) for one in rows])).mappings().all()


async def add_former_keys(session: AsyncSession, rows: Sequence[Values]) -> None:
    """Note keys that new tasks once had, unless they are another's."""
    if rows:
        await session.execute(insert(alias).on_conflict_do_nothing(), [dict(one) for one in rows])


async def add_progress(session: AsyncSession, progress: Mapping[UUID, tuple[int, int]]) -> list[Pair]:
    """Count new subtasks, done and in all, in tasks that were there before; return those before and after.

    When they last changed is as it was elsewhere.
    """
    if not progress:
        return []
    locked = select(*SHOWN).join(project, project.c.id == task.c.project_id).where(task.c.id == any_(WANTED))
    locked = locked.order_by(task.c.id).with_for_update(of=task)
    before = (await session.execute(locked, {"wanted": sorted(progress)})).mappings().all()
    done = case({one: count[0] for one, count in progress.items()}, value=task.c.id)
    total = case({one: count[1] for one, count in progress.items()}, value=task.c.id)
    statement = (
        update(task)
        .where(task.c.id == any_(WANTED))
        .values(
            subtasks_done=task.c.subtasks_done + done,
            subtasks_total=task.c.subtasks_total + total,
            version=task.c.version + 1,
        )
        .returning(*task.c)
    )
    after = {row["id"]: row for row in (await session.execute(statement, {"wanted": sorted(progress)})).mappings()}
    return [(row, cast("RowMapping", {**row, **after[row["id"]]})) for row in before]
