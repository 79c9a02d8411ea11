"""All SQL on watchers. Nothing here changes the task itself."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from functools import cache
from typing import Any
from uuid import UUID

from chassis.db.base import table_of
from sqlalchemy import (
    CTE,
    ColumnElement,
    FromClause,
    any_,
    bindparam,
    false,
    func,
    literal,
    select,
    true,
    update,
)
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.engine import RowMapping
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncSession
from sqlalchemy.sql.dml import ReturningInsert

from tasks_service.directory.repository import SHOWN_NAME, person
from tasks_service.visibility.repository import (
    IDS,
    READERS_OF_TASK,
    TASKS,
    member,
    project,
    project_rank,
    task,
    task_rank,
)
from tasks_service.watchers.models import Watcher, WatchRule
from tasks_service.watchers.rules import Reason, Rule

watcher = table_of(Watcher)
watch_rule = table_of(WatchRule)

Reader = AsyncConnection | AsyncSession

COLUMNS = [column.name for column in watcher.c]
RULES = (watch_rule.c.created, watch_rule.c.assigned, watch_rule.c.mentioned, watch_rule.c.commented)
WATCHERS = TASKS.join(watcher, (watcher.c.task_id == task.c.id) & (watcher.c.user_id == member.c.user_id)).outerjoin(
    person, person.c.id == watcher.c.user_id
)
OF_TASK: Sequence[ColumnElement[bool]] = (
    task.c.id == bindparam("of_task"),
    watcher.c.is_watching,
    task_rank(member.c.user_id) > 0,
)


async def begin_by_rule(
    session: AsyncSession, *, task_id: UUID, user_ids: Iterable[UUID], rule: Rule, now: datetime
) -> Sequence[RowMapping]:
    """Make those watch who can see the task, whose rules say so, and who have not said anything; return them."""
    wanted = {"of_task": task_id, "of_users": sorted(user_ids), "now": now}
    begun: Sequence[RowMapping] = (await session.execute(_begin_by_rule(rule), wanted)).mappings().all()
    return begun


@cache
def _begin_by_rule(rule: Rule) -> ReturningInsert[Any]:
    wanted = (
        select(*_row(rule, bindparam("now", type_=watcher.c.created_at.type), is_watching=True, is_muted=False))
        .select_from(TASKS.outerjoin(watch_rule, watch_rule.c.user_id == member.c.user_id))
        .where(*READERS_OF_TASK, func.coalesce(watch_rule.c[rule], true()))
        .order_by(member.c.user_id)
    )
    return insert(watcher).from_select(COLUMNS, wanted).on_conflict_do_nothing().returning(*watcher.c)


def begun_by_maker(made: CTE) -> CTE:
    """Return SQL that does what begin_for_new does for who made a task, in the statement that inserts it as `made`.

    Nobody can have shared it yet, or said anything of it, so who sees it is who sees its project.
    """
    is_maker = (member.c.workspace_id == made.c.workspace_id) & (member.c.user_id == made.c.created_by)
    wanted = (
        select(*_row("created", made.c.created_at, is_watching=True, is_muted=False, of=made))
        .select_from(
            made.join(project, project.c.id == made.c.project_id)
            .join(member, is_maker)
            .outerjoin(watch_rule, watch_rule.c.user_id == member.c.user_id)
        )
        .where(project.c.deleted_at.is_(None), project_rank(member.c.user_id) > 0)
        .where(func.coalesce(watch_rule.c.created, true()))
    )
    return insert(watcher).from_select(COLUMNS, wanted).returning(watcher.c.user_id).cte("watching")


async def begin_for_new(
    session: AsyncSession, *, task_ids: Iterable[UUID], rule: Rule, now: datetime
) -> Sequence[RowMapping]:
    """Make those watch new tasks who made them, or are to do them, and whose rules say so; return them."""
    wanted = {"of_tasks": sorted(task_ids), "now": now}
    begun: Sequence[RowMapping] = (await session.execute(_begin_for_new(rule), wanted)).mappings().all()
    return begun


@cache
def _begin_for_new(rule: Rule) -> ReturningInsert[Any]:
    concerned = member.c.user_id == (task.c.created_by if rule == "created" else any_(task.c.assignees))
    wanted = (
        select(*_row(rule, bindparam("now", type_=watcher.c.created_at.type), is_watching=True, is_muted=False))
        .select_from(TASKS.outerjoin(watch_rule, watch_rule.c.user_id == member.c.user_id))
        .where(task.c.id == any_(bindparam("of_tasks", type_=IDS)), concerned, task_rank(member.c.user_id) > 0)
        .where(project.c.deleted_at.is_(None), func.coalesce(watch_rule.c[rule], true()))
        .order_by(task.c.id, member.c.user_id)
    )
    return insert(watcher).from_select(COLUMNS, wanted).on_conflict_do_nothing().returning(*watcher.c)


async def begin(session: AsyncSession, *, task_id: UUID, user_id: UUID, now: datetime) -> RowMapping | None:
    """Make somebody watch who can see the task; None for who does already, or can't see it."""
    anew: dict[str, Any] = {"is_watching": True, "reason": "manual", "created_at": now}
    shown = _row("manual", now, is_watching=True, is_muted=False)
    return await _put(session, shown, task_id, user_id, anew, unless=watcher.c.is_watching)


async def mute(session: AsyncSession, *, task_id: UUID, user_id: UUID, now: datetime) -> RowMapping | None:
    """Note that somebody wants to hear nothing of a task; None for who has said so, or can't see it."""
    shown = _row("manual", now, is_watching=False, is_muted=True)
    return await _put(session, shown, task_id, user_id, {"is_muted": True}, unless=watcher.c.is_muted)


async def end(session: AsyncSession, *, task_id: UUID, user_id: UUID) -> RowMapping | None:
    """Note that somebody watches no more; None for who did not."""
    statement = update(watcher).where(*_one(task_id, user_id), watcher.c.is_watching).values(is_watching=False)
    return (await session.execute(statement.returning(*watcher.c))).mappings().one_or_none()


async def unmute(session: AsyncSession, *, task_id: UUID, user_id: UUID) -> RowMapping | None:
    """Note that somebody wants to hear of a task again; None for who did."""
    statement = update(watcher).where(*_one(task_id, user_id), watcher.c.is_muted).values(is_muted=False)
    return (await session.execute(statement.returning(*watcher.c))).mappings().one_or_none()


async def find(reader: Reader, *, task_id: UUID, user_id: UUID) -> RowMapping | None:
    """Return what somebody has said of watching a task, with the name."""
    query = (
        select(*watcher.c, SHOWN_NAME)
        .select_from(watcher.outerjoin(person, person.c.id == watcher.c.user_id))
        .where(*_one(task_id, user_id))
    )
    return (await reader.execute(query)).mappings().one_or_none()


async def list_of(
    reader: AsyncConnection, task_id: UUID, *, limit: int, offset: int
) -> tuple[Sequence[RowMapping], int]:
    """Return who watches a task, the first ones first, with their names, and how many they are."""
    query = select(*watcher.c, SHOWN_NAME).select_from(WATCHERS).where(*OF_TASK)
    query = query.order_by(watcher.c.created_at, watcher.c.user_id).limit(limit).offset(offset)
    total = await reader.scalar(select(func.count()).select_from(WATCHERS).where(*OF_TASK), {"of_task": task_id})
    return (await reader.execute(query, {"of_task": task_id})).mappings().all(), total or 0


async def find_watching(reader: AsyncConnection, *, task_id: UUID, user_id: UUID) -> RowMapping | None:
    """Return one who watches a task, with the name."""
    query = select(*watcher.c, SHOWN_NAME).select_from(WATCHERS).where(*OF_TASK, watcher.c.user_id == user_id)
    return (await reader.execute(query, {"of_task": task_id})).mappings().one_or_none()


async def find_rules(reader: Reader, user_id: UUID) -> RowMapping | None:
    """Return somebody's rules; None for who has said nothing."""
    query = select(*RULES).where(watch_rule.c.user_id == user_id)
    return (await reader.execute(query)).mappings().one_or_none()


async def put_rules(session: AsyncSession, user_id: UUID, rules: Mapping[str, bool]) -> None:
    """Note somebody's rules."""
    statement = insert(watch_rule).values(user_id=user_id, **rules)
    await session.execute(statement.on_conflict_do_update(index_elements=["user_id"], set_=dict(rules)))


async def _put(
    session: AsyncSession,
    shown: Sequence[ColumnElement[Any]],
    task_id: UUID,
    user_id: UUID,
    anew: Mapping[str, Any],
    *,
    unless: ColumnElement[bool],
) -> RowMapping | None:
    wanted = select(*shown).select_from(TASKS).where(*READERS_OF_TASK)
    statement = insert(watcher).from_select(COLUMNS, wanted)
    statement = statement.on_conflict_do_update(
        index_elements=["task_id", "user_id"], set_=dict(anew), where=unless.is_(false())
    )
    result = await session.execute(statement.returning(*watcher.c), {"of_task": task_id, "of_users": [user_id]})
    return result.mappings().one_or_none()


def _one(task_id: UUID, user_id: UUID) -> Sequence[ColumnElement[bool]]:
    return watcher.c.task_id == task_id, watcher.c.user_id == user_id


def _row(
    reason: Reason,
    now: datetime | ColumnElement[datetime],
    *,
    is_watching: bool,
    is_muted: bool,
    of: FromClause = task,
) -> Sequence[ColumnElement[Any]]:
    said = (true() if is_watching else false(), true() if is_muted else false())
    since = now if isinstance(now, ColumnElement) else literal(now)
    return (of.c.workspace_id, of.c.id, member.c.user_id, literal(reason), *said, since)
