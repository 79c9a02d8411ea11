"""All SQL on where many operations are at home."""

from collections.abc import Collection
from uuid import UUID

from chassis.identity import Principal
from sqlalchemy import Select, any_, bindparam, select
from sqlalchemy.ext.asyncio import AsyncSession

from tasks_service.visibility.repository import (
    IDS,
    PROJECTS,
    TASKS,
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


async def find_workspace(
    session: AsyncSession, caller: Principal, *, task_ids: Collection[UUID], project_ids: Collection[UUID]
) -> UUID | None:
    """Return a workspace of these tasks or projects that the caller sees, else the caller's own, or any that it sees.

    None for a caller who is in no workspace.
    """
    sight = sight_of(caller)
    of_task = (
        select(task.c.workspace_id)
        .select_from(TASKS)
        .where(*seen_tasks(sight, in_trash=None), task.c.id == any_(bindparam("of_tasks", type_=IDS)))
    )
    of_project = (
        select(project.c.workspace_id)
        .select_from(PROJECTS)
        .where(*seen_projects(sight), project.c.id == any_(bindparam("of_projects", type_=IDS)))
    )
    personal = workspace.c.personal_owner_id == caller.user_id
    of_caller = (
        select(member.c.workspace_id)
        .join(workspace, workspace.c.id == member.c.workspace_id)
        .where(*seen(sight), workspace.c.deleted_at.is_(None))
        .order_by(personal.desc().nulls_last(), member.c.workspace_id)
    )
    named = {"of_tasks": list(task_ids), "of_projects": list(project_ids), **seen_by(caller)}
    for query in (of_task, of_project, of_caller):
        found: UUID | None = await session.scalar(_first(query), named)
        if found is not None:
            return found
    return None


def _first(query: Select[tuple[UUID]]) -> Select[tuple[UUID]]:
    return query.limit(1)
