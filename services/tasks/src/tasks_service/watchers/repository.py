"""All SQL on watchers. Nothing here changes the task itself."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from chassis.db.base import table_of
from sqlalchemy import ColumnElement, any_, bindparam, false, func, literal, select, true
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.engine import RowMapping
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncSession

from tasks_service.directory.models import Person
from tasks_service.visibility.repository import IDS, TASKS, member, project, task, task_rank
from tasks_service.watchers.models import Watcher, WatchRule
from tasks_service.watchers.rules import Reason, Rule

watcher = table_of(Watcher)
watch_rule = table_of(WatchRule)
person = table_of(Person)

Reader = AsyncConnection | AsyncSession

READS: Sequence[ColumnElement[bool]] = (
    task.c.id == bindparam("of_task"),
    member.c.user_id == any_(bindparam("of_users", type_=IDS)),
    project.c.deleted_at.is_(None),
    task_rank(member.c.user_id) > 0,
)
"""Conditions for rows of TASKS: these users, as far as they can see this task."""
COLUMNS = [column.name for column in watcher.c]


async def begin_by_rule(
    session: AsyncSession, *, task_id: UUID, user_ids: Iterable[UUID], rule: Rule, now: datetime
) -> Sequence[RowMapping]:
    """Make those watch who can see the task, whose rules say so, and who have not said anything; return them."""
    wanted = (
        select(*_row(rule, now))
        .select_from(TASKS.outerjoin(watch_rule, watch_rule.c.user_id == member.c.user_id))
        .where(*READS, func.coalesce(watch_rule.c[rule], true()))
        .order_by(member.c.user_id)
    )
    statement = insert(watcher).from_select(COLUMNS, wanted).on_conflict_do_nothing().returning(*watcher.c)
    result = await session.execute(statement, {"of_task": task_id, "of_users": sorted(user_ids)})
    return result.mappings().all()


def _row(reason: Reason, now: datetime) -> Sequence[ColumnElement[Any]]:
    values = (literal(reason), true(), false(), literal(now))
    return (task.c.workspace_id, task.c.id, member.c.user_id, *values)
