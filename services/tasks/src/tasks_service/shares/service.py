"""Showing a task to somebody who need not see its project. It changes nothing of the task."""

from typing import Any
from uuid import UUID

from chassis.clock import utcnow
from chassis.identity import Principal
from chassis.ids import uuid7
from sqlalchemy import RowMapping
from sqlalchemy.ext.asyncio import AsyncSession

from tasks_service.access_losses.service import drop_hidden, lock_losers
from tasks_service.changes import service as changes
from tasks_service.changes.schemas import ChangeDraft
from tasks_service.shares import repository
from tasks_service.shares.errors import ShareeNotFound
from tasks_service.shares.events import task_share_added, task_share_removed, task_share_updated
from tasks_service.tasks.service import lock_task
from tasks_service.visibility.repository import hold_members


async def put_share(
    session: AsyncSession, *, task: RowMapping, user_id: UUID, role: str, actor: Principal
) -> RowMapping:
    """Share a task with a member of its workspace, in that role; return the share.

    Raises ShareeNotFound, TaskNotFound.
    """
    workspace_id = task["workspace_id"]
    await hold_members(session, workspace_id=workspace_id, user_ids=[user_id])
    if not await repository.is_member(session, workspace_id=workspace_id, user_id=user_id):
        raise ShareeNotFound(field="user_id")
    task = await lock_task(session, task=task, actor=actor)
    before = await repository.find(session, task_id=task["id"], user_id=user_id)
    if before is not None and before["role"] == role:
        return before
    if before is None:
        await repository.add(session, _new_share(task, user_id, role, actor))
    else:
        await repository.change_role(session, before["id"], role)
    row = await repository.find(session, task_id=task["id"], user_id=user_id)
    if row is None:
        raise ShareeNotFound(field="user_id")
    await changes.record(session, workspace_id=workspace_id, actor=actor, drafts=[_put(row, task, before)])
    return row


async def end_share(session: AsyncSession, *, task: RowMapping, user_id: UUID, actor: Principal) -> None:
    """Share a task no more with somebody, who loses what of it they had by seeing it. Raises TaskNotFound."""
    workspace_id = task["workspace_id"]
    await lock_losers(session, workspace_id=workspace_id, user_ids=[user_id])
    task = await lock_task(session, task=task, actor=actor)
    row = await repository.remove(session, task_id=task["id"], user_id=user_id)
    if row is None:
        return
    lost = await drop_hidden(session, workspace_id=workspace_id, task_ids=[task["id"]])
    drafts = [task_share_removed(row, task), *lost]
    await changes.record(session, workspace_id=workspace_id, actor=actor, drafts=drafts)


def _put(row: RowMapping, task: RowMapping, before: RowMapping | None) -> ChangeDraft:
    if before is None:
        return task_share_added(row, task)
    return task_share_updated(row, task, former_role=before["role"])


def _new_share(task: RowMapping, user_id: UUID, role: str, actor: Principal) -> dict[str, Any]:
    return {
        "id": uuid7(),
        "workspace_id": task["workspace_id"],
        "task_id": task["id"],
        "user_id": user_id,
        "role": role,
        "shared_by": actor.user_id,
        "version": 1,
        "created_at": utcnow(),
    }
