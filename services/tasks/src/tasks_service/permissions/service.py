"""Answering what a caller may do."""

from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

from chassis.identity import Principal
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncSession

from tasks_service.permissions import repository
from tasks_service.permissions.policies import can, held_for
from tasks_service.permissions.schemas import Check, Decision


async def decide(reader: AsyncConnection, *, caller: Principal, checks: Sequence[Check]) -> list[Decision]:
    """Answer each question, in order."""
    references = [(check.resource.type, check.resource.id) for check in checks]
    found = await repository.find(reader, caller, references)
    return [
        can(caller, check.action, held_for(check.action, found.get(reference)))
        for check, reference in zip(checks, references, strict=True)
    ]


async def sees_shown(
    session: AsyncSession, caller: Principal, workspace_ids: set[UUID], shown: Sequence[Mapping[str, Any]]
) -> bool:
    """Tell whether a caller still sees all these workspaces, and the tasks and projects that resources are about.

    What is gone for good hides nothing any more; what it was in decides.
    """
    if not await repository.sees_workspaces(session, caller, workspace_ids):
        return False
    # A relation shows its other task.
    resources = [*shown, *(one["task"] for one in shown if isinstance(one.get("task"), dict))]
    about = [
        (UUID(one.get("task_id") or name), UUID(one.get("project_id") or name))
        for one in resources
        if (name := one.get("id") or one.get("task_id"))
    ]
    if not about:
        return True
    tasks = await repository.seen_tasks_among(session, caller, {task_id for task_id, _ in about})
    projects = await repository.seen_projects_among(session, caller, {project_id for _, project_id in about})
    return all(tasks.get(task_id, projects.get(project_id, True)) for task_id, project_id in about)
