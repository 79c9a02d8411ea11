"""What a caller may see, in one place: every query of visible rows has these conditions.

They are a join on current memberships and roles, narrowed to what an API token is restricted to; nothing is checked
afterwards. A row comes with the caller's `role`: that in the project for what is in one, else that in the workspace.
"""

from collections.abc import Iterable
from typing import Any, NamedTuple
from uuid import UUID

from chassis.db.base import table_of
from chassis.identity import Principal
from sqlalchemy import (
    ColumnElement,
    FromClause,
    Integer,
    String,
    and_,
    any_,
    bindparam,
    case,
    exists,
    func,
    literal_column,
    or_,
    select,
    true,
)
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.dialects.postgresql import UUID as PG_UUID
from sqlalchemy.ext.asyncio import AsyncSession

from tasks_service.directory.models import Person
from tasks_service.directory.rules import ACTIVE
from tasks_service.permissions.rules import PROJECT_ROLES
from tasks_service.projects.models import Project, ProjectMember
from tasks_service.shares.models import TaskShare
from tasks_service.tasks.models import Task
from tasks_service.workspaces.models import Member, Workspace

member = table_of(Member)
person = table_of(Person)
project = table_of(Project)
project_member = table_of(ProjectMember)
task = table_of(Task)
task_share = table_of(TaskShare)
workspace = table_of(Workspace)
# Of its own name, so that a query on projects does not take it for its own.
reached = project.alias("reached_project")

Conditions = list[ColumnElement[bool]]

CALLER_ID = bindparam("caller_id", type_=PG_UUID(as_uuid=True))
CALLER = member.c.user_id == CALLER_ID
IS_ACTIVE: ColumnElement[bool] = func.coalesce(person.c.status, ACTIVE) == ACTIVE
"""Of rows outer joined to `person`: whether they can log in, as far as the directory knows of them."""
IN_WORKSPACE = member.c.workspace_id == bindparam("only_workspace")

RANKS = {role: rank for rank, role in enumerate(reversed(PROJECT_ROLES), start=1)}
"""Of roles in projects, from 1; 0 is none."""
MANAGER, EDITOR = RANKS["manager"], RANKS["editor"]


def _told(value: str | int) -> ColumnElement[Any]:
    """Return one of our own names or numbers as SQL: as a parameter it would be sent with every statement."""
    return literal_column(
        f"'{value}'" if isinstance(value, str) else str(value), String() if isinstance(value, str) else Integer()
    )


ROLES: ColumnElement[Any] = literal_column(f"(ARRAY[{', '.join(repr(name) for name in RANKS)}])", ARRAY(String))
"""The roles in projects by their ranks."""


class Sight(NamedTuple):
    """What narrows a caller's memberships. A statement is made once for each sight: people all have the same."""

    in_workspace: bool = False
    in_projects: bool = False


WHOLE = Sight()


def sight_of(caller: Principal) -> Sight:
    """Return how the caller's sight is narrowed."""
    if not caller.is_restricted:
        return WHOLE
    return Sight(caller.workspace_id is not None, caller.project_ids is not None)


def seen_by(caller: Principal) -> dict[str, Any]:
    """Return the parameters of the conditions."""
    parameters: dict[str, Any] = {"caller_id": caller.user_id}
    if caller.workspace_id is not None:
        parameters["only_workspace"] = caller.workspace_id
    if caller.project_ids is not None:
        parameters["only_projects"] = sorted(caller.project_ids)
    return parameters


def rank_of(role: ColumnElement[str]) -> ColumnElement[int]:
    """Return the rank of a role in a project, as SQL."""
    return case(*((role == _told(name), _told(rank)) for name, rank in RANKS.items()), else_=_told(0))


def role_of(rank: ColumnElement[int]) -> ColumnElement[str]:
    """Return the role in a project of a rank, as SQL; null of none. The rank is looked at once."""
    return ROLES[rank]


def project_rank(user_id: ColumnElement[UUID]) -> ColumnElement[int]:
    """Return the rank that the user of a row of `member` has in a row of `project`, as SQL."""
    by_membership = (
        select(rank_of(project_member.c.role))
        .where(project_member.c.project_id == project.c.id, project_member.c.user_id == user_id)
        .correlate(project, member)
        .scalar_subquery()
    )
    is_open = and_(member.c.role == _told("member"), project.c.visibility == _told("workspace"))
    by_workspace = case((is_open, rank_of(project.c.member_role)), else_=_told(0))
    return case(
        (or_(member.c.role == _told("owner"), member.c.role == _told("admin")), _told(MANAGER)),
        else_=func.greatest(by_workspace, func.coalesce(by_membership, 0)),
    )


def task_rank(user_id: ColumnElement[UUID]) -> ColumnElement[int]:
    """Return the rank that the user of a row of `member` has in a row of `task` joined to its `project`, as SQL."""
    return _with_share(project_rank(user_id), user_id)


def _with_share(in_project: ColumnElement[int], user_id: ColumnElement[UUID]) -> ColumnElement[int]:
    by_share = (
        select(rank_of(task_share.c.role))
        .where(task_share.c.task_id == task.c.id, task_share.c.user_id == user_id)
        .correlate(task, member)
        .scalar_subquery()
    )
    # A share gives no more than an editor has.
    return case((in_project >= EDITOR, in_project), else_=func.greatest(in_project, func.coalesce(by_share, 0)))


PROJECT_RANK = project_rank(CALLER_ID)
TASK_RANK = task_rank(CALLER_ID)
PROJECT_ROLE = role_of(PROJECT_RANK).label("role")
TASK_ROLE = role_of(TASK_RANK).label("role")
WORKSPACE_ROLE = member.c.role.label("workspace_role")

PROJECTS: FromClause = project.join(member, member.c.workspace_id == project.c.workspace_id)
"""Where projects are looked for, with the conditions of `seen_projects`."""
TASKS: FromClause = task.join(project, project.c.id == task.c.project_id).join(
    member, member.c.workspace_id == task.c.workspace_id
)
"""Where tasks are looked for, and what hangs on them, with the conditions of `seen_tasks`."""


def _computed_once(rank: ColumnElement[int], name: str, *of: FromClause) -> FromClause:
    """Return a rank as a table of one row. OFFSET 0 keeps PostgreSQL from writing it out wherever it is used."""
    return select(rank.label("rank")).correlate(*of).offset(_told(0)).lateral(name)


_IN_PROJECT = _computed_once(PROJECT_RANK, "in_project", project, member)
_OF_ONE = _computed_once(_with_share(_IN_PROJECT.c.rank, CALLER_ID), "of_one", task, member, _IN_PROJECT)
ONE_TASK: FromClause = TASKS.join(_IN_PROJECT, true()).join(_OF_ONE, true())
"""Where tasks are looked for by their ids, with the conditions of `seen_by_id`.

In what is asked of TASKS the rank stands twice, and the one in the project in each three times, with its look-ups;
getting these ready costs PostgreSQL more than to find one task.
"""
ONE_TASK_ROLE = role_of(_OF_ONE.c.rank).label("role")


def seen(sight: Sight) -> Conditions:
    """Return the conditions on `member`, which the query joins, for what is in a workspace and in no project.

    With a restriction to projects, one project within reach is enough to see a workspace.
    """
    conditions: Conditions = [CALLER]
    if sight.in_workspace:
        conditions.append(IN_WORKSPACE)
    if sight.in_projects:
        conditions.append(exists().where(reached.c.workspace_id == member.c.workspace_id, _is_reached(reached.c.id)))
    return conditions


def seen_projects(sight: Sight, *, in_trash: bool | None = False) -> Conditions:
    """Return the conditions for rows of PROJECTS: of those in the trash, those that are not, or with None of both.

    What is deleted for good is never seen.
    """
    places = {
        False: project.c.deleted_at.is_(None),
        True: project.c.deleted_at.is_not(None),
        None: true(),
    }
    kept = [places[in_trash], project.c.purged_at.is_(None), *_in_reach(sight)]
    return [*_seen_members(sight), *kept, PROJECT_RANK > 0]


def known_projects(sight: Sight) -> Conditions:
    """Return the conditions for rows of PROJECTS that are seen, or would be were they not deleted, also for good.

    For what tells that they are gone.
    """
    return [*_seen_members(sight), *_in_reach(sight), PROJECT_RANK > 0]


def seen_tasks(sight: Sight, *, in_trash: bool | None = False) -> Conditions:
    """Return the conditions for rows of TASKS: of those in the trash, those that are not, or with None of both."""
    return [*_seen_members(sight), *seen_in_project(sight), TASK_RANK > 0, _task_place(in_trash=in_trash)]


def seen_by_id(sight: Sight, *, in_trash: bool | None = False) -> Conditions:
    """Return the same conditions for rows of ONE_TASK."""
    return [*_seen_members(sight), *seen_in_project(sight), _OF_ONE.c.rank > 0, _task_place(in_trash=in_trash)]


def _task_place(*, in_trash: bool | None) -> ColumnElement[bool]:
    places = {False: task.c.deleted_at.is_(None), True: task.c.deleted_at.is_not(None), None: true()}
    return places[in_trash]


def seen_in_project(sight: Sight) -> Conditions:
    """Return the conditions on `project` alone, for a part of a query."""
    return [project.c.deleted_at.is_(None), *_in_reach(sight)]


def _in_reach(sight: Sight) -> Conditions:
    return [_is_reached(project.c.id)] if sight.in_projects else []


def _seen_members(sight: Sight) -> Conditions:
    return [CALLER, IN_WORKSPACE] if sight.in_workspace else [CALLER]


def _is_reached(project_id: ColumnElement[UUID]) -> ColumnElement[bool]:
    return project_id == any_(bindparam("only_projects", type_=ARRAY(PG_UUID(as_uuid=True))))


IDS: ARRAY[UUID] = ARRAY(PG_UUID(as_uuid=True))
HOLD = (
    select(member.c.user_id)
    .where(
        member.c.workspace_id == bindparam("of_workspace"), member.c.user_id == any_(bindparam("of_users", type_=IDS))
    )
    .order_by(member.c.user_id)
    .with_for_update(read=True)
)


HOLD_ALL = (
    select(member.c.user_id)
    .where(
        member.c.workspace_id == any_(bindparam("of_workspaces", type_=IDS)),
        member.c.user_id == any_(bindparam("of_users", type_=IDS)),
    )
    .order_by(member.c.workspace_id, member.c.user_id)
    .with_for_update(read=True)
)


async def hold_members(session: AsyncSession, *, workspace_id: UUID, user_ids: Iterable[UUID]) -> None:
    """Keep what these members see from becoming less until the transaction ends.

    For what is given to somebody who has to see it, such as a task to do: to be called before the task is locked, and
    what they see is to be looked at afterwards. Whoever takes access away locks the membership first.
    """
    await session.execute(HOLD, {"of_workspace": workspace_id, "of_users": sorted(set(user_ids))})


async def hold_members_of_all(
    session: AsyncSession, *, workspace_ids: Iterable[UUID], user_ids: Iterable[UUID]
) -> None:
    """Keep what these users see in these workspaces from becoming less, as hold_members does."""
    wanted = {"of_workspaces": sorted(set(workspace_ids)), "of_users": sorted(set(user_ids))}
    await session.execute(HOLD_ALL, wanted)


READERS_OF_TASK: Conditions = [
    task.c.id == bindparam("of_task"),
    member.c.user_id == any_(bindparam("of_users", type_=IDS)),
    project.c.deleted_at.is_(None),
    task_rank(member.c.user_id) > 0,
]
"""Conditions for rows of TASKS: these users, as far as they can see this task."""
