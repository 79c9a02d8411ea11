"""All SQL on tasks. What a caller may see is a join on current memberships, never a check afterwards."""

from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any
from uuid import UUID

from chassis.db.base import table_of
from chassis.identity import Principal
from sqlalchemy import RowMapping, Select, bindparam, func, insert, select, true, update
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncSession
from sqlalchemy.sql.elements import ColumnElement

from tasks_service.changes.models import Change
from tasks_service.projects.models import Project
from tasks_service.projects.repository import ProjectAccess
from tasks_service.tasks.filters import TaskFilter
from tasks_service.tasks.models import Task
from tasks_service.visibility.repository import Sight, seen, seen_by, seen_project, sight_of
from tasks_service.workspaces.models import Member

task = table_of(Task)
member = table_of(Member)
project = table_of(Project)
change = table_of(Change)

Reader = AsyncConnection | AsyncSession


@cache
def _visible_by_id(sight: Sight) -> Select[Any]:
    return (
        select(*task.c, member.c.role)
        .join(member, member.c.workspace_id == task.c.workspace_id)
        .where(
            *seen(sight, project_id=task.c.project_id),
            task.c.deleted_at.is_(None),
            task.c.id == bindparam("task_id"),
        )
    )


@cache
def _visible_project(sight: Sight) -> Select[Any]:
    return (
        select(project.c.id, project.c.workspace_id, member.c.role)
        .join(member, member.c.workspace_id == project.c.workspace_id)
        .where(*seen(sight, project_id=project.c.id), project.c.id == bindparam("project_id"))
    )


async def find_visible(reader: Reader, *, caller: Principal, task_id: UUID) -> RowMapping | None:
    """Return the task with the caller's `role`, if the caller may see it."""
    result = await reader.execute(_visible_by_id(sight_of(caller)), {**seen_by(caller), "task_id": task_id})
    row: RowMapping | None = result.mappings().one_or_none()
    return row


async def find_visible_project(reader: Reader, *, caller: Principal, project_id: UUID) -> ProjectAccess | None:
    """Return a project that the caller may see."""
    statement = _visible_project(sight_of(caller))
    row = (await reader.execute(statement, {**seen_by(caller), "project_id": project_id})).one_or_none()
    return None if row is None else ProjectAccess(*row)


async def list_visible(
    reader: Reader,
    *,
    caller: Principal,
    wanted: TaskFilter,
    limit: int,
    offset: int = 0,
    before: UUID | None = None,
    after: UUID | None = None,
) -> Sequence[RowMapping]:
    """Return the newest tasks first, with the caller's `role`; `before` and `after` bound the ids.

    `after` walks back in time order. Each workspace gives at most `limit + offset` rows from its index, so the cost
    does not grow with its size.
    """
    sight = sight_of(caller)
    ascending = after is not None
    order = task.c.id.asc() if ascending else task.c.id.desc()
    part = (
        select(task)
        .where(
            task.c.workspace_id == member.c.workspace_id,
            task.c.deleted_at.is_(None),
            *seen_project(sight, task.c.project_id),
            *_conditions(wanted),
            *([] if before is None else [task.c.id < before]),
            *([] if after is None else [task.c.id > after]),
        )
        .order_by(order)
        .limit(limit + offset)
        .lateral("part")
    )
    outer = part.c.id.asc() if ascending else part.c.id.desc()
    query = (
        select(*part.c, member.c.role)
        .select_from(member.join(part, true()))
        .where(*seen(sight))
        .order_by(outer)
        .limit(limit)
        .offset(offset)
    )
    return (await reader.execute(query, seen_by(caller))).mappings().all()


async def count_visible(reader: Reader, *, caller: Principal, wanted: TaskFilter) -> int:
    """Count what `list_visible` would walk through."""
    query = (
        select(func.count())
        .select_from(task.join(member, member.c.workspace_id == task.c.workspace_id))
        .where(*seen(sight_of(caller), project_id=task.c.project_id), task.c.deleted_at.is_(None), *_conditions(wanted))
    )
    return (await reader.execute(query, seen_by(caller))).scalar_one()


async def add(session: AsyncSession, values: Mapping[str, Any]) -> RowMapping:
    """Insert a task."""
    return (await session.execute(insert(task).returning(*task.c), [dict(values)])).mappings().one()


async def apply_changes(
    session: AsyncSession, *, task_id: UUID, expected_version: int, values: Mapping[str, Any]
) -> RowMapping | None:
    """Change the task if it is still at the expected version, in one statement; None if it is not."""
    statement = (
        update(task)
        .where(task.c.id == task_id, task.c.version == expected_version, task.c.deleted_at.is_(None))
        .values(**values, version=expected_version + 1)
        .returning(*task.c)
    )
    return (await session.execute(statement)).mappings().one_or_none()


async def fields_changed_since(session: AsyncSession, *, task_id: UUID, version: int) -> list[str]:
    """Return the names of the fields that changed after `version`, from the change log."""
    names = func.jsonb_array_elements(change.c.changes).op("->>")("field")
    query = select(names).where(change.c.entity_id == task_id, change.c.version > version).distinct()
    return sorted((await session.execute(query)).scalars())


def _conditions(wanted: TaskFilter) -> list[ColumnElement[bool]]:
    conditions: list[ColumnElement[bool]] = []
    if wanted.workspace_id is not None:
        conditions.append(task.c.workspace_id == wanted.workspace_id)
    if wanted.project_id is not None:
        conditions.append(task.c.project_id == wanted.project_id)
    if wanted.status:
        conditions.append(task.c.status.in_(wanted.status))
    if wanted.priority:
        conditions.append(task.c.priority.in_(wanted.priority))
    return conditions
