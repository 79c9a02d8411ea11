"""Stars on tasks: whose they are, nobody else is told, and the task stays as it is."""

from chassis.clock import utcnow
from chassis.identity import Principal
from sqlalchemy import RowMapping
from sqlalchemy.ext.asyncio import AsyncSession

from tasks_service.changes import service as changes
from tasks_service.stars import repository
from tasks_service.stars.events import star_added, star_removed
from tasks_service.tasks.errors import TaskNotFound
from tasks_service.visibility.repository import hold_members


async def star(session: AsyncSession, *, task: RowMapping, actor: Principal) -> RowMapping:
    """Give a task the actor's star, unless it has it, and return that. Raises TaskNotFound."""
    await hold_members(session, workspace_id=task["workspace_id"], user_ids=[actor.user_id])
    row = await repository.add(session, task_id=task["id"], user_id=actor.user_id, now=utcnow())
    if row is not None:
        draft = star_added(row, task)
        await changes.record(session, workspace_id=task["workspace_id"], actor=actor, drafts=[draft])
        return row
    found = await repository.find(session, task_id=task["id"], user_id=actor.user_id)
    if found is None:
        raise TaskNotFound
    return found


async def unstar(session: AsyncSession, *, task: RowMapping, actor: Principal) -> None:
    """Take the actor's star away from a task, if it has it."""
    row = await repository.remove(session, task_id=task["id"], user_id=actor.user_id)
    if row is not None:
        draft = star_removed(row, task)
        await changes.record(session, workspace_id=task["workspace_id"], actor=actor, drafts=[draft])
