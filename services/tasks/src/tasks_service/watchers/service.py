"""Who hears of a task. None of it changes the task, or its version."""

from collections.abc import Collection, Iterable, Sequence
from uuid import UUID

from chassis.clock import utcnow
from chassis.errors import Forbidden
from chassis.identity import Principal
from sqlalchemy import RowMapping
from sqlalchemy.ext.asyncio import AsyncSession

from tasks_service.changes import service as changes
from tasks_service.changes.schemas import ChangeDraft
from tasks_service.permissions.policies import role_allows
from tasks_service.projects.errors import ProjectArchived
from tasks_service.visibility.repository import hold_members
from tasks_service.watchers import repository
from tasks_service.watchers.errors import WatcherNoAccess
from tasks_service.watchers.events import watcher_added, watcher_muted, watcher_removed
from tasks_service.watchers.rules import Rule


async def watch_by_rule(
    session: AsyncSession, *, task: RowMapping, user_ids: Iterable[UUID], rule: Rule
) -> list[ChangeDraft]:
    """Make these users watch the task, each of whom can see it and has a rule for that, and return what changed.

    Who has stopped watching it, or muted it, stays as they are.
    """
    rows = await repository.begin_by_rule(session, task_id=task["id"], user_ids=user_ids, rule=rule, now=utcnow())
    return [watcher_added(row, task) for row in sorted(rows, key=lambda row: row["user_id"])]


async def let_makers_watch(session: AsyncSession, *, task_ids: Collection[UUID]) -> dict[UUID, UUID]:
    """Make who made new tasks watch them by the rule for that; return who does, by task: its creation tells it."""
    rows = await repository.begin_for_new(session, task_ids=task_ids, rule="created", now=utcnow())
    return {row["task_id"]: row["user_id"] for row in rows}


async def let_assignees_watch(session: AsyncSession, *, tasks: Sequence[RowMapping]) -> list[ChangeDraft]:
    """Make who is to do new tasks watch them by their rule, and return what changed."""
    by_id = {one["id"]: one for one in tasks}
    rows = await repository.begin_for_new(session, task_ids=by_id, rule="assigned", now=utcnow())
    return [watcher_added(row, by_id[row["task_id"]]) for row in sorted(rows, key=lambda row: row["task_id"])]


async def watch(session: AsyncSession, *, task: RowMapping, user_id: UUID, actor: Principal) -> tuple[RowMapping, bool]:
    """Make somebody watch a task; return how, and whether that is new. Raises Forbidden, ProjectArchived.

    Raises WatcherNoAccess for who can't see it.
    """
    _refuse_for_others(task, user_id, actor)
    await hold_members(session, workspace_id=task["workspace_id"], user_ids=[user_id])
    begun = await repository.begin(session, task_id=task["id"], user_id=user_id, now=utcnow())
    row = await repository.find(session, task_id=task["id"], user_id=user_id)
    if row is None or not row["is_watching"]:
        raise WatcherNoAccess(field="user_id")
    if begun is not None:
        await _record(session, task, actor, watcher_added(row, task))
    return row, begun is not None


async def unwatch(session: AsyncSession, *, task: RowMapping, user_id: UUID, actor: Principal) -> None:
    """End somebody's watching, if there is any. Raises Forbidden, ProjectArchived."""
    _refuse_for_others(task, user_id, actor)
    row = await repository.end(session, task_id=task["id"], user_id=user_id)
    if row is not None:
        await _record(session, task, actor, watcher_removed(row, task))


async def mute(session: AsyncSession, *, task: RowMapping, actor: Principal) -> RowMapping:
    """Let the actor hear nothing of a task; return how they watch it. Raises WatcherNoAccess."""
    await hold_members(session, workspace_id=task["workspace_id"], user_ids=[actor.user_id])
    row = await repository.mute(session, task_id=task["id"], user_id=actor.user_id, now=utcnow())
    if row is not None:
        await _record(session, task, actor, watcher_muted(row, task))
        return row
    found = await repository.find(session, task_id=task["id"], user_id=actor.user_id)
    if found is None:
        raise WatcherNoAccess
    return found


async def unmute(session: AsyncSession, *, task: RowMapping, actor: Principal) -> None:
    """Let the actor hear of a task again."""
    row = await repository.unmute(session, task_id=task["id"], user_id=actor.user_id)
    if row is not None:
        await _record(session, task, actor, watcher_muted(row, task))


def _refuse_for_others(task: RowMapping, user_id: UUID, actor: Principal) -> None:
    """Raise Forbidden or ProjectArchived where somebody else is concerned: that is for who may edit the task."""
    if user_id == actor.user_id:
        return
    if not role_allows(task["role"], "task.edit"):
        raise Forbidden
    if task["is_archived"]:
        raise ProjectArchived


async def _record(session: AsyncSession, task: RowMapping, actor: Principal, draft: ChangeDraft) -> None:
    await changes.record(session, workspace_id=task["workspace_id"], actor=actor, drafts=[draft])
