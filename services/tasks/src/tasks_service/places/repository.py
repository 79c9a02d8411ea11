"""SQL of a caller's places: the projects in which the caller has a role; what is shared one by one is beside them.

All that is found among many tasks is found in these, and no index is walked past what the caller does not see.
"""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import CTE, ColumnElement, Select, any_, bindparam, exists, func, literal_column, or_, select
from sqlalchemy.dialects.postgresql import UUID as PG_UUID
from sqlalchemy.dialects.postgresql import array

from tasks_service.places.rules import Reach
from tasks_service.visibility.repository import (
    CALLER,
    CALLER_ID,
    IDS,
    IN_WORKSPACE,
    PROJECT_RANK,
    PROJECTS,
    WORKSPACE_ROLE,
    Sight,
    project,
    seen_in_project,
    task,
    task_share,
)

Condition = ColumnElement[bool]
Conditions = Sequence[Condition]

MANY = 10_000
"""More tasks than this, which a filter finds by whom or what it names, are not worth looking at one by one."""
OF_PLACE: ColumnElement[Any] = literal_column("place.id", PG_UUID(as_uuid=True))
"""The place, in what is joined to it for each."""


def places(sight: Sight, reach: Reach) -> CTE:
    """Return the projects that a list is of, with the caller's rank in each; 0 where there is none."""
    archived = project.c.archived_at.is_not(None)
    conditions = [CALLER, *([IN_WORKSPACE] if sight.in_workspace else []), *seen_in_project(sight)]
    if reach.in_workspaces:
        conditions.append(project.c.workspace_id == any_(bindparam("of_workspaces", type_=IDS)))
    if reach.in_projects:
        conditions.append(project.c.id == any_(bindparam("of_projects", type_=IDS)))
    if reach.is_archived is not None:
        conditions.append(archived if reach.is_archived else ~archived)
    columns = (project.c.id, project.c.prefix, project.c.next_number, archived.label("is_archived"), WORKSPACE_ROLE)
    query = select(*columns, PROJECT_RANK.label("rank")).select_from(PROJECTS)
    return query.where(*conditions, project.c.purged_at.is_(None)).cte("place").prefix_with("MATERIALIZED")


def few_of(among: Select[Any]) -> tuple[CTE, Condition]:
    """Return what a filter finds by whom or what it names, and whether it is little enough to be looked at."""
    reached = among.limit(literal_column(str(MANY + 1))).cte("reached").prefix_with("MATERIALIZED")
    is_few = select(func.count() <= literal_column(str(MANY))).select_from(reached).scalar_subquery()
    return select(reached.c.task_id).distinct().cte("few").prefix_with("MATERIALIZED"), is_few


def shared_of(place: CTE, columns: Sequence[ColumnElement[Any]]) -> Select[Any]:
    """Return columns of the tasks that are shared with the caller outside of places."""
    # An array of one, as in `some_of`.
    is_one = task.c.id == any_(array([task_share.c.task_id]))
    shared = task_share.join(task, is_one).join(place, place.c.id == task.c.project_id)
    query = select(*(columns or (task.c.id,))).select_from(shared)
    return query.where(task_share.c.user_id == CALLER_ID, place.c.rank == 0)


def some_of(place: CTE, few: CTE, columns: Sequence[ColumnElement[Any]]) -> Select[Any]:
    """Return columns of those of the tasks found that the caller sees."""
    # An array of one, so that each is looked up by its id, and all tasks are never read to be joined.
    is_one = task.c.id == any_(array([few.c.task_id]))
    some = few.join(task, is_one).join(place, place.c.id == task.c.project_id)
    share = exists().where(task_share.c.task_id == task.c.id, task_share.c.user_id == CALLER_ID).correlate(task)
    return select(*columns).select_from(some).where(or_(place.c.rank > 0, share))


def live(condition: Condition) -> Conditions:
    """Return the conditions for tasks that are not in the trash, beside another."""
    return [task.c.deleted_at.is_(None), condition]
