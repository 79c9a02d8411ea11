"""All SQL on what permissions are decided from."""

from collections.abc import Iterable
from functools import cache
from typing import Any
from uuid import UUID

from chassis.identity import Principal
from sqlalchemy import (
    ColumnElement,
    CompoundSelect,
    any_,
    bindparam,
    func,
    literal_column,
    null,
    select,
    type_coerce,
    union_all,
)
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.dialects.postgresql import UUID as PG_UUID
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncSession

from tasks_service.permissions.rules import ResourceType
from tasks_service.permissions.schemas import Held
from tasks_service.visibility.repository import (
    CALLER,
    PROJECT_RANK,
    PROJECT_ROLE,
    PROJECTS,
    TASK_RANK,
    TASK_ROLE,
    TASKS,
    Sight,
    member,
    project,
    seen,
    seen_by,
    seen_projects,
    seen_tasks,
    sight_of,
    task,
)

Reference = tuple[ResourceType, UUID]


async def find_held(
    reader: AsyncConnection, caller: Principal, references: Iterable[Reference]
) -> dict[Reference, Held]:
    """Return what the caller sees of these, in one statement however many they are."""
    wanted: dict[str, list[UUID]] = {"task": [], "project": [], "workspace": []}
    for kind, one in sorted(set(references)):
        wanted[kind].append(one)
    rows = await reader.execute(_held(sight_of(caller)), {**seen_by(caller), **wanted})
    return {(row.kind, row.id): Held(row.role, row.workspace_id, row.project_id) for row in rows}


async def sees_workspaces(session: AsyncSession, caller: Principal, workspace_ids: set[UUID]) -> bool:
    """Tell whether a caller may see all these workspaces."""
    query = select(func.count()).where(*seen(sight_of(caller)), member.c.workspace_id.in_(workspace_ids))
    return (await session.execute(query, seen_by(caller))).scalar_one() == len(workspace_ids)


async def seen_tasks_among(session: AsyncSession, caller: Principal, ids: Iterable[UUID]) -> dict[UUID, bool]:
    """Return which of the ids are tasks of the caller's workspaces, in the trash or not, and whether it sees each."""
    query = select(task.c.id, TASK_RANK > 0).select_from(TASKS).where(CALLER, _is_wanted("task", task.c.id))
    rows = await session.execute(query, {"caller_id": caller.user_id, "task": sorted(ids)})
    return {row[0]: row[1] for row in rows}


async def seen_projects_among(session: AsyncSession, caller: Principal, ids: Iterable[UUID]) -> dict[UUID, bool]:
    """Return the same of projects."""
    query = select(project.c.id, PROJECT_RANK > 0).select_from(PROJECTS)
    query = query.where(CALLER, _is_wanted("project", project.c.id))
    rows = await session.execute(query, {"caller_id": caller.user_id, "project": sorted(ids)})
    return {row[0]: row[1] for row in rows}


@cache
def _held(sight: Sight) -> CompoundSelect[Any]:
    in_workspace = member.c.workspace_id
    nowhere = type_coerce(null(), PG_UUID(as_uuid=True)).label("project_id")
    tasks = (
        select(_kind("task"), task.c.id, task.c.workspace_id, task.c.project_id, TASK_ROLE)
        .select_from(TASKS)
        .where(*seen_tasks(sight), _is_wanted("task", task.c.id))
    )
    projects = (
        select(_kind("project"), project.c.id, project.c.workspace_id, project.c.id, PROJECT_ROLE)
        .select_from(PROJECTS)
        .where(*seen_projects(sight), _is_wanted("project", project.c.id))
    )
    workspaces = select(_kind("workspace"), in_workspace, in_workspace, nowhere, member.c.role).where(
        *seen(sight), _is_wanted("workspace", in_workspace)
    )
    return union_all(tasks, projects, workspaces)


def _kind(name: ResourceType) -> ColumnElement[str]:
    return literal_column(f"'{name}'").label("kind")


def _is_wanted(name: ResourceType, column: ColumnElement[UUID]) -> ColumnElement[bool]:
    return column == any_(bindparam(name, type_=ARRAY(PG_UUID(as_uuid=True))))
