from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

from chassis.identity import Principal
from sqlalchemy.ext.asyncio import AsyncSession

from notifications_service.live import repository


async def sees_shown(
    session: AsyncSession, caller: Principal, workspace_ids: set[UUID], shown: Sequence[Mapping[str, Any]]
) -> bool:
    """Tell whether a caller still sees all these workspaces, and where the resources are that a first answer shows."""
    reader = await session.connection()
    held = {row["workspace_id"] for row in await repository.memberships(reader, [caller.user_id])}
    if not workspace_ids <= held:
        return False
    places = {
        (UUID(one["workspace_id"]), UUID(one["project_id"]), one.get("task_id"))
        for one in shown
        if one.get("project_id") is not None
    }
    for workspace in {place[0] for place in places}:
        projects = {project for where, project, _ in places if where == workspace}
        seen = await repository.projects_seen(reader, projects, workspace_id=workspace, user_id=caller.user_id)
        tasks = {UUID(task) for where, project, task in places if where == workspace and project not in seen and task}
        shared = await repository.tasks_shared(reader, tasks, user_id=caller.user_id) if tasks else set()
        hidden = {place for place in places if place[0] == workspace and place[1] not in seen}
        if any(task is None or UUID(task) not in shared for _, _, task in hidden):
            return False
    return True
