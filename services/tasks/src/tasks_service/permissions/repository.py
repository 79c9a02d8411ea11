"""All SQL on what permissions are decided from."""

from collections.abc import Iterable
from functools import cache
from typing import Any, get_args
from uuid import UUID

from chassis.db.base import table_of
from chassis.identity import Principal
from sqlalchemy import (
    ColumnElement,
    CompoundSelect,
    Row,
    Select,
    String,
    Table,
    any_,
    bindparam,
    false,
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

from tasks_service.categories.models import Category
from tasks_service.comments.models import Comment
from tasks_service.labels.models import Label
from tasks_service.names.repository import visible
from tasks_service.permissions.rules import ResourceType
from tasks_service.permissions.schemas import Found, Held
from tasks_service.saved_filters.repository import saved_filter
from tasks_service.saved_filters.repository import visible as visible_filters
from tasks_service.visibility.repository import (
    CALLER,
    CALLER_ID,
    PROJECT_RANK,
    PROJECT_ROLE,
    PROJECTS,
    TASK_RANK,
    TASK_ROLE,
    TASKS,
    Conditions,
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

category = table_of(Category)
comment = table_of(Comment)
label = table_of(Label)

Reference = tuple[ResourceType, UUID]

NOWHERE = type_coerce(null(), PG_UUID(as_uuid=True)).label("project_id")
NO_ROLE = type_coerce(null(), String).label("role_in_project")


async def find(reader: AsyncConnection, caller: Principal, references: Iterable[Reference]) -> dict[Reference, Found]:
    """Return what the caller sees of these, in one statement however many they are."""
    wanted: dict[str, list[UUID]] = {kind: [] for kind in get_args(ResourceType)}
    for kind, one in sorted(set(references)):
        wanted[kind].append(one)
    rows = await reader.execute(_found(sight_of(caller)), {**seen_by(caller), **wanted})
    return {(row.kind, row.id): _as_found(row) for row in rows}


def _as_found(row: Row[Any]) -> Found:
    held = Held(row.role, row.workspace_id, row.project_id, is_own=row.is_own)
    return Found(held, row.role_in_project, row.in_trash)


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
def _found(sight: Sight) -> CompoundSelect[Any]:
    return union_all(
        _in_tasks("task", task.c.id, any_(task.c.assignees) == CALLER_ID)
        .add_columns(PROJECT_ROLE.label("role_in_project"), task.c.deleted_at.is_not(None).label("in_trash"))
        .select_from(TASKS)
        .where(*seen_tasks(sight, in_trash=None), _is_wanted("task", task.c.id)),
        _in_tasks("comment", comment.c.id, comment.c.author_id == CALLER_ID)
        .add_columns(NO_ROLE, false())
        .select_from(TASKS.join(comment, comment.c.task_id == task.c.id))
        .where(*seen_tasks(sight), _is_wanted("comment", comment.c.id)),
        select(_kind("project"), project.c.id, project.c.workspace_id, project.c.id, PROJECT_ROLE)
        .add_columns(false(), NO_ROLE, false())
        .select_from(PROJECTS)
        .where(*seen_projects(sight), _is_wanted("project", project.c.id)),
        select(_kind("workspace"), member.c.workspace_id, member.c.workspace_id, NOWHERE, member.c.role)
        .add_columns(false(), NO_ROLE, false())
        .where(*seen(sight), _is_wanted("workspace", member.c.workspace_id)),
        _named("label", label, label.c.owner_id, visible(label, sight)),
        _named("category", category, category.c.owner_id, visible(category, sight)),
        _named("filter", saved_filter, saved_filter.c.created_by, visible_filters(sight)),
    )


def _in_tasks(kind: ResourceType, row_id: ColumnElement[UUID], is_own: ColumnElement[bool]) -> Select[Any]:
    where = (task.c.workspace_id, task.c.project_id)
    return select(_kind(kind), row_id.label("id"), *where, TASK_ROLE, func.coalesce(is_own, false()).label("is_own"))


def _named(
    kind: ResourceType, table: Table, owner_id: ColumnElement[UUID | None], is_visible: Conditions
) -> Select[Any]:
    is_own = func.coalesce(owner_id == CALLER_ID, false())
    return (
        select(_kind(kind), table.c.id, table.c.workspace_id, NOWHERE, member.c.role, is_own, NO_ROLE, false())
        .join(member, member.c.workspace_id == table.c.workspace_id)
        .where(*is_visible, _is_wanted(kind, table.c.id))
    )


def _kind(name: ResourceType) -> ColumnElement[str]:
    return literal_column(f"'{name}'").label("kind")


def _is_wanted(name: ResourceType, column: ColumnElement[UUID]) -> ColumnElement[bool]:
    return column == any_(bindparam(name, type_=ARRAY(PG_UUID(as_uuid=True))))
