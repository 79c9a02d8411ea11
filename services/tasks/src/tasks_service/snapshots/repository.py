"""All SQL on snapshots: each kind of resources that a caller sees, walked by keys."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any
from uuid import UUID

from chassis.db.base import table_of
from chassis.identity import Principal
from sqlalchemy import ColumnElement, RowMapping, Select, Table, bindparam, or_, select, true, tuple_
from sqlalchemy.dialects.postgresql import UUID as PG_UUID
from sqlalchemy.ext.asyncio import AsyncConnection

from tasks_service.categories.models import Category
from tasks_service.comments.models import Comment
from tasks_service.labels.models import Label
from tasks_service.names.repository import visible
from tasks_service.permissions.rules import RULES
from tasks_service.snapshots.rules import Kind
from tasks_service.statuses.models import Status
from tasks_service.tasks.repository import SHOWN
from tasks_service.visibility.repository import (
    CALLER_ID,
    PROJECTS,
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
    workspace,
)

category = table_of(Category)
comment = table_of(Comment)
label = table_of(Label)
status = table_of(Status)
# Those who are shown, beside the caller's own membership.
colleague = member.alias("colleague")

ID: PG_UUID[UUID] = PG_UUID(as_uuid=True)
LISTS_MEMBERS = member.c.role.in_(RULES["workspace.list_members"].roles)


@dataclass(frozen=True, slots=True)
class Walk:
    """How a kind is walked: the query of all that is seen, what it is ordered by, and what the filters are about."""

    query: Callable[[Sight], Select[Any]]
    key: Sequence[ColumnElement[UUID]]
    workspace_id: ColumnElement[UUID]
    project_id: ColumnElement[UUID] | None = None


def _members(sight: Sight) -> Select[Any]:
    own = colleague.c.user_id == CALLER_ID
    # The people of a workspace are nothing for who is to see some projects of it.
    others = own if sight.in_projects else or_(LISTS_MEMBERS, own)
    both = member.join(colleague, colleague.c.workspace_id == member.c.workspace_id)
    return select(*colleague.c).select_from(both).where(*seen(sight), others)


def _workspaces(sight: Sight) -> Select[Any]:
    return select(*workspace.c).join(member, member.c.workspace_id == workspace.c.id).where(*seen(sight))


def _projects(sight: Sight) -> Select[Any]:
    return select(*project.c).select_from(PROJECTS).where(*seen_projects(sight))


def _statuses(sight: Sight) -> Select[Any]:
    placed = PROJECTS.join(status, status.c.project_id == project.c.id)
    return select(*status.c).select_from(placed).where(*seen_projects(sight))


def _named(table: Table) -> Callable[[Sight], Select[Any]]:
    def query(sight: Sight) -> Select[Any]:
        return (
            select(*table.c).join(member, member.c.workspace_id == table.c.workspace_id).where(*visible(table, sight))
        )

    return query


WALKS: Mapping[Kind, Walk] = {
    "workspace": Walk(_workspaces, (workspace.c.id,), workspace.c.id),
    "member": Walk(_members, (colleague.c.workspace_id, colleague.c.id), colleague.c.workspace_id),
    "project": Walk(_projects, (project.c.workspace_id, project.c.id), project.c.workspace_id, project.c.id),
    "status": Walk(_statuses, (status.c.project_id, status.c.id), status.c.workspace_id, status.c.project_id),
    "category": Walk(_named(category), (category.c.id,), category.c.workspace_id),
    "label": Walk(_named(label), (label.c.id,), label.c.workspace_id),
}


@cache
def _walked(kind: Kind, sight: Sight, *, by_workspace: bool, by_project: bool, goes_on: bool) -> Select[Any]:
    walk = WALKS[kind]
    narrowed = _narrowed(walk.workspace_id, walk.project_id, by_workspace=by_workspace, by_project=by_project)
    query = walk.query(sight).where(*narrowed)
    if goes_on:
        query = query.where(tuple_(*walk.key) > tuple_(*_afters(len(walk.key))))
    keys = [column.label(f"key_{number}") for number, column in enumerate(walk.key)]
    return query.add_columns(*keys).order_by(*walk.key).limit(bindparam("page_limit"))


def _narrowed(
    workspace_id: ColumnElement[UUID], project_id: ColumnElement[UUID] | None, *, by_workspace: bool, by_project: bool
) -> Conditions:
    wanted: Conditions = [workspace_id == bindparam("of_workspace", type_=ID)] if by_workspace else []
    if by_project and project_id is not None:
        wanted.append(project_id == bindparam("of_project", type_=ID))
    return wanted


def _afters(count: int) -> list[ColumnElement[Any]]:
    return [bindparam(f"after_{number}", type_=ID) for number in range(count)]


@cache
def _walked_tasks(
    sight: Sight, *, with_comments: bool, by_workspace: bool, by_project: bool, goes_on: bool
) -> Select[Any]:
    """Return the walk over tasks, or over their comments: workspace by workspace, each by its index of tasks."""
    source = task.join(project, project.c.id == task.c.project_id)
    conditions = [task.c.workspace_id == member.c.workspace_id, *seen_tasks(sight)]
    conditions += _narrowed(task.c.workspace_id, task.c.project_id, by_workspace=by_workspace, by_project=by_project)
    key = [task.c.workspace_id, task.c.id]
    columns: Sequence[ColumnElement[Any]] = SHOWN
    if with_comments:
        source = source.join(comment, comment.c.task_id == task.c.id)
        conditions.append(comment.c.deleted_at.is_(None))
        key, columns = [*key, comment.c.id], tuple(comment.c)
    if goes_on:
        conditions.append(tuple_(*key) > tuple_(*_afters(len(key))))
    keys = [column.label(f"key_{number}") for number, column in enumerate(key)]
    part = (
        select(*columns, *keys)
        .select_from(source)
        .where(*conditions)
        .order_by(*key[1:])
        .limit(bindparam("page_limit"))
        .correlate(member)
        .lateral("part")
    )
    query = select(*part.c).select_from(member.join(part, true())).where(member.c.user_id == CALLER_ID)
    if goes_on:
        query = query.where(member.c.workspace_id >= bindparam("after_0", type_=ID))
    return query.order_by(*(part.c[one.name] for one in keys)).limit(bindparam("page_limit"))


async def page_of(
    reader: AsyncConnection,
    kind: Kind,
    caller: Principal,
    *,
    workspace_id: UUID | None,
    project_id: UUID | None,
    after: Sequence[UUID],
    limit: int,
) -> Sequence[RowMapping]:
    """Return resources of a kind that come after a key, each with its own as `key_0` and so on."""
    filters = {"by_workspace": workspace_id is not None, "by_project": project_id is not None}
    sight, goes_on = sight_of(caller), bool(after)
    if kind in WALKS:
        query = _walked(kind, sight, goes_on=goes_on, **filters)
    else:
        query = _walked_tasks(sight, with_comments=kind == "comment", goes_on=goes_on, **filters)
    wanted = {**seen_by(caller), "page_limit": limit}
    wanted |= {f"after_{number}": one for number, one in enumerate(after)}
    if workspace_id is not None:
        wanted["of_workspace"] = workspace_id
    if project_id is not None:
        wanted["of_project"] = project_id
    rows: Sequence[RowMapping] = (await reader.execute(query, wanted)).mappings().all()
    return rows
