"""All SQL on what hangs on tasks and comes from files."""

from collections.abc import Collection, Mapping, Sequence
from typing import Any
from uuid import UUID

from chassis.db.base import table_of
from sqlalchemy import ColumnElement, RowMapping, Table, any_, bindparam, func, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from tasks_service.checklists.models import ChecklistItem
from tasks_service.comments.models import Comment, Reaction
from tasks_service.labels.models import Label, PersonalLabel
from tasks_service.metadata.models import TaskMetadata
from tasks_service.stars.models import Star
from tasks_service.tasks.repository import SHOWN
from tasks_service.visibility.repository import IDS, IS_ACTIVE, TASKS, member, person, project, task, task_rank
from tasks_service.watchers.models import Watcher

comment = table_of(Comment)
entry = table_of(TaskMetadata)
item = table_of(ChecklistItem)
label = table_of(Label)
personal_label = table_of(PersonalLabel)
reaction = table_of(Reaction)
star = table_of(Star)
watcher = table_of(Watcher)

Values = Mapping[str, Any]
WANTED = bindparam("wanted", type_=IDS)


async def lock_tasks(session: AsyncSession, ids: Collection[UUID]) -> dict[UUID, RowMapping]:
    """Lock tasks that are not in the trash, and return them, with whether their projects take changes."""
    query = (
        select(*SHOWN, project.c.archived_at.is_not(None).label("is_archived"))
        .join(project, project.c.id == task.c.project_id)
        .where(task.c.id == any_(WANTED), task.c.deleted_at.is_(None), project.c.deleted_at.is_(None))
        .order_by(task.c.id)
        .with_for_update(of=task, key_share=True)
    )
    return {row["id"]: row for row in (await session.execute(query, {"wanted": sorted(ids)})).mappings()}


async def readers_of(
    session: AsyncSession, task_ids: Collection[UUID], user_ids: Collection[UUID]
) -> set[tuple[UUID, UUID]]:
    """Return who of these sees which of the tasks, with an account that is active."""
    if not task_ids or not user_ids:
        return set()
    query = (
        select(task.c.id, member.c.user_id)
        .select_from(TASKS.outerjoin(person, person.c.id == member.c.user_id))
        .where(
            task.c.id == any_(WANTED),
            member.c.user_id == any_(bindparam("of_users", type_=IDS)),
            task_rank(member.c.user_id) > 0,
            IS_ACTIVE,
        )
    )
    rows = await session.execute(query, {"wanted": sorted(task_ids), "of_users": sorted(user_ids)})
    return {(row.id, row.user_id) for row in rows}


async def add(session: AsyncSession, table: Table, rows: Sequence[Values]) -> list[RowMapping]:
    """Insert rows, and return those that were not there."""
    if not rows:
        return []
    statement = insert(table).on_conflict_do_nothing().returning(*table.c)
    return list((await session.execute(statement, [dict(one) for one in rows])).mappings().all())


async def there(
    session: AsyncSession, on: ColumnElement[UUID], ids: Collection[UUID], columns: Sequence[ColumnElement[Any]]
) -> set[tuple[Any, ...]]:
    """Return what there is on some things already, as these columns say it."""
    rows = await session.execute(select(*columns).where(on == any_(WANTED)), {"wanted": sorted(ids)})
    return {tuple(row) for row in rows}


async def last_items(session: AsyncSession, task_ids: Collection[UUID]) -> dict[UUID, tuple[int, str]]:
    """Return how many items checklists have, and where the last of them stands."""
    query = select(item.c.task_id, func.count(), func.max(item.c.position)).where(item.c.task_id == any_(WANTED))
    rows = await session.execute(query.group_by(item.c.task_id), {"wanted": sorted(task_ids)})
    return {row[0]: (row[1], row[2]) for row in rows}


async def comments_by_id(session: AsyncSession, ids: Collection[UUID]) -> dict[UUID, RowMapping]:
    """Return comments with the projects of their tasks, and whether those take changes."""
    query = (
        select(*comment.c, task.c.project_id, project.c.archived_at.is_not(None).label("is_archived"))
        .join(task, task.c.id == comment.c.task_id)
        .join(project, project.c.id == task.c.project_id)
        .where(comment.c.id == any_(WANTED), task.c.deleted_at.is_(None), project.c.deleted_at.is_(None))
    )
    return {row["id"]: row for row in (await session.execute(query, {"wanted": sorted(ids)})).mappings()}


async def emoji_on(session: AsyncSession, comment_ids: Collection[UUID]) -> dict[UUID, set[str]]:
    """Return which emoji are on comments."""
    query = select(reaction.c.comment_id, func.array_agg(reaction.c.emoji.distinct())).where(
        reaction.c.comment_id == any_(WANTED)
    )
    rows = await session.execute(query.group_by(reaction.c.comment_id), {"wanted": sorted(comment_ids)})
    return {row[0]: set(row[1]) for row in rows}


async def own_labels(session: AsyncSession, ids: Collection[UUID], owner_id: UUID) -> dict[UUID, RowMapping]:
    """Return which of these are somebody's personal labels."""
    query = select(*label.c).where(label.c.id == any_(WANTED), label.c.owner_id == owner_id)
    return {row["id"]: row for row in (await session.execute(query, {"wanted": sorted(ids)})).mappings()}


async def entries_of(session: AsyncSession, task_ids: Collection[UUID]) -> dict[UUID, int]:
    """Return how many namespaces tasks have metadata of."""
    query = select(entry.c.task_id, func.count()).where(entry.c.task_id == any_(WANTED)).group_by(entry.c.task_id)
    return {row[0]: row[1] for row in await session.execute(query, {"wanted": sorted(task_ids)})}
