"""Who hears of a task."""

from collections.abc import Iterable
from uuid import UUID

from chassis.clock import utcnow
from sqlalchemy import RowMapping
from sqlalchemy.ext.asyncio import AsyncSession

from tasks_service.changes.schemas import ChangeDraft
from tasks_service.watchers import repository
from tasks_service.watchers.events import watcher_added
from tasks_service.watchers.rules import Rule


async def watch_by_rule(
    session: AsyncSession, *, task: RowMapping, user_ids: Iterable[UUID], rule: Rule
) -> list[ChangeDraft]:
    """Make these users watch the task, each of whom can see it and has a rule for that, and return what changed.

    Who has stopped watching it, or muted it, stays as they are.
    """
    rows = await repository.begin_by_rule(session, task_id=task["id"], user_ids=user_ids, rule=rule, now=utcnow())
    return [watcher_added(row, task) for row in sorted(rows, key=lambda row: row["user_id"])]
