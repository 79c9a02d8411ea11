"""What a caller may see, in one place: every query of visible rows has these conditions.

They are a join on current memberships, narrowed to what an API token is restricted to; nothing is checked afterwards.
"""

from typing import Any, NamedTuple
from uuid import UUID

from chassis.db.base import table_of
from chassis.identity import Principal
from sqlalchemy import ColumnElement, any_, bindparam, exists
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.dialects.postgresql import UUID as PG_UUID

from tasks_service.projects.models import Project
from tasks_service.workspaces.models import Member

member = table_of(Member)
# Of its own name, so that a query on projects does not take it for its own.
reached = table_of(Project).alias("reached_project")

Conditions = list[ColumnElement[bool]]

CALLER = member.c.user_id == bindparam("caller_id")
IN_WORKSPACE = member.c.workspace_id == bindparam("only_workspace")


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


def seen(sight: Sight, *, project_id: ColumnElement[UUID] | None = None) -> Conditions:
    """Return the conditions on `member`, which the query joins, and on the column that says what project a row is in.

    Without a column the rows are in no project: then one project within reach is enough to see a workspace.
    """
    conditions: Conditions = [CALLER]
    if sight.in_workspace:
        conditions.append(IN_WORKSPACE)
    if sight.in_projects and project_id is None:
        conditions.append(exists().where(reached.c.workspace_id == member.c.workspace_id, _is_one(reached.c.id)))
    return conditions if project_id is None else [*conditions, *seen_project(sight, project_id)]


def seen_project(sight: Sight, project_id: ColumnElement[UUID]) -> Conditions:
    """Return the condition on the column alone, for a part of a query that does not have `member`."""
    return [_is_one(project_id)] if sight.in_projects else []


def seen_by(caller: Principal) -> dict[str, Any]:
    """Return the parameters of the conditions."""
    parameters: dict[str, Any] = {"caller_id": caller.user_id}
    if caller.workspace_id is not None:
        parameters["only_workspace"] = caller.workspace_id
    if caller.project_ids is not None:
        parameters["only_projects"] = sorted(caller.project_ids)
    return parameters


def _is_one(project_id: ColumnElement[UUID]) -> ColumnElement[bool]:
    return project_id == any_(bindparam("only_projects", type_=ARRAY(PG_UUID(as_uuid=True))))
