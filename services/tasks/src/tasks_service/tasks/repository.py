"""All SQL on tasks. What a caller may see is a join on current memberships, never a check afterwards."""

import typing
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from typing import Any
from uuid import UUID

from chassis.clock import utcnow
from chassis.db.base import table_of
from chassis.db.direct import BINDS_ITSELF, DirectReader
from chassis.db.direct_writing import MADE_ONCE
from chassis.identity import Principal
from sqlalchemy import (
    CompoundSelect,
    FromClause,
    RowMapping,
    Select,
    String,
    and_,
    any_,
    bindparam,
    cast,
    exists,
    func,
    literal,
    literal_column,
    select,
    true,
    union_all,
    update,
)
from sqlalchemy.dialects.postgresql import ARRAY, insert
from sqlalchemy.dialects.postgresql import UUID as PG_UUID
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncSession
from sqlalchemy.sql.elements import ColumnElement

from tasks_service.statuses.repository import STATUSES
from tasks_service.subtasks.rules import MAX_DEPTH
from tasks_service.tasks.models import Task, TaskKeyAlias
from tasks_service.tasks.rules import Key
from tasks_service.visibility.repository import (
    IDS,
    ONE_TASK,
    ONE_TASK_ROLE,
    TASK_ROLE,
    TASKS,
    WORKSPACE_ROLE,
    Sight,
    project,
    seen_by,
    seen_by_id,
    seen_tasks,
    sight_of,
    workspace,
)
from tasks_service.watchers.repository import begun_by_maker

task = table_of(Task)
alias = table_of(TaskKeyAlias)
WATCHED_BY = "watched_by"

EXTERNAL_INDEX: Sequence[ColumnElement[Any]] = (task.c.project_id, task.c.external_source, task.c.external_id)
EXTERNAL_WHERE = and_(task.c.external_source.is_not(None), task.c.deleted_at.is_(None))
"""What uq_task_external is on: tasks in the trash leave their place there to others."""

Reader = AsyncConnection | AsyncSession


def _depth(of: FromClause, levels: int) -> ColumnElement[int]:
    """Return how many tasks are above a row, as SQL."""
    if levels == 0:
        return literal(0)
    parent = task.alias(f"above_{levels}")
    above = select(_depth(parent, levels - 1) + 1).where(parent.c.id == of.c.parent_id).correlate(of).scalar_subquery()
    return func.coalesce(above, 0)


LEAVES_FIRST: Sequence[ColumnElement[Any]] = (_depth(task, MAX_DEPTH).desc(), task.c.id)
"""The order in which tasks are locked: whoever changes one counts it in its parent afterwards."""

KEY = (project.c.prefix + "-" + cast(task.c.number, String)).label("key")
SORTED_BY = frozenset({"priority_rank", "due_sort", "title_sort"})
"""Columns that are made of others by the database, and that nobody is shown."""
SHOWN = (*(column for column in task.c if column.name not in SORTED_BY), KEY)
HELD = (TASK_ROLE, WORKSPACE_ROLE, project.c.archived_at.is_not(None).label("is_archived"))
HELD_BY_ID = (ONE_TASK_ROLE, *HELD[1:])
"""What a caller has in a task: the role, the one in the workspace, and whether the project takes changes."""
OF_TASKS: ColumnElement[Any] = bindparam("of_tasks", type_=IDS)
HAD_ANOTHER_KEY = exists().where(alias.c.task_id == task.c.id).label("had_another_key")
"""Whether its key, which is its project's to say, may have changed without its version."""


@cache
def visible_by_id(sight: Sight) -> Select[Any]:
    """Return the statement of find_visible; that for a whole sight is also in a function, which a test compares."""
    query = select(*SHOWN, *HELD_BY_ID, HAD_ANOTHER_KEY).select_from(ONE_TASK)
    return query.where(*seen_by_id(sight), task.c.id == bindparam("task_id"))


@cache
def _visible_by_ids(sight: Sight) -> Select[Any]:
    query = select(*SHOWN, *HELD_BY_ID, HAD_ANOTHER_KEY).select_from(ONE_TASK)
    return query.where(*seen_by_id(sight), task.c.id == any_(OF_TASKS))


@cache
def _writable_by_id(sight: Sight, *, in_trash: bool) -> Select[Any]:
    query = _writable(sight, in_trash=in_trash).where(task.c.id == bindparam("task_id"))
    return query.execution_options(**MADE_ONCE)


@cache
def _writable_by_ids(sight: Sight) -> Select[Any]:
    return _writable(sight, in_trash=None).where(task.c.id == any_(OF_TASKS))


def _writable(sight: Sight, *, in_trash: bool | None) -> Select[Any]:
    return (
        select(*SHOWN, *HELD_BY_ID, workspace.c.require_if_match, STATUSES)
        .select_from(ONE_TASK.join(workspace, workspace.c.id == task.c.workspace_id))
        .where(*seen_by_id(sight, in_trash=in_trash))
    )


@cache
def _by_key(sight: Sight, *, in_trash: bool, in_workspace: bool) -> CompoundSelect[Any]:
    def found(*, is_former: bool) -> Select[Any]:
        query = select(task.c.id, literal(is_former).label("is_former")).where(*seen_tasks(sight, in_trash=in_trash))
        return query.where(task.c.workspace_id == bindparam("of_workspace")) if in_workspace else query

    now = found(is_former=False).select_from(TASKS)
    now = now.where(project.c.prefix == bindparam("prefix"), task.c.number == bindparam("number"))
    once = found(is_former=True).select_from(TASKS.join(alias, alias.c.task_id == task.c.id))
    once = once.where(alias.c.key == bindparam("key"), alias.c.workspace_id == task.c.workspace_id)
    return union_all(now, once).order_by("id")


async def find_by_key(
    reader: Reader, *, caller: Principal, key: Key, workspace_id: UUID | None, in_trash: bool = False
) -> Sequence[RowMapping]:
    """Return the `id` of each task that the caller sees and that has this key, or had it (`is_former`)."""
    statement = _by_key(sight_of(caller), in_trash=in_trash, in_workspace=workspace_id is not None)
    named = {"prefix": key.prefix, "number": key.number, "key": str(key)}
    within = {} if workspace_id is None else {"of_workspace": workspace_id}
    result = await reader.execute(statement, {**seen_by(caller), **named, **within})
    rows: Sequence[RowMapping] = result.mappings().all()
    return rows


async def find_writable(
    session: AsyncSession, *, caller: Principal, task_id: UUID, in_trash: bool = False
) -> RowMapping | None:
    """Return the same with what a change needs to know: `require_if_match`, and the `statuses` of the project."""
    statement = _writable_by_id(sight_of(caller), in_trash=in_trash)
    result = await session.execute(statement, {**seen_by(caller), "task_id": task_id})
    row: RowMapping | None = result.mappings().one_or_none()
    return row


async def find_all_writable(
    session: AsyncSession, *, caller: Principal, task_ids: Iterable[UUID]
) -> dict[UUID, RowMapping]:
    """Return what find_writable does of tasks, in the trash or not, by id."""
    wanted = {**seen_by(caller), "of_tasks": sorted(task_ids)}
    rows = await session.execute(_writable_by_ids(sight_of(caller)), wanted)
    return {row["id"]: row for row in rows.mappings()}


async def find_all_visible(
    session: AsyncSession, *, caller: Principal, task_ids: Iterable[UUID]
) -> dict[UUID, RowMapping]:
    """Return what find_visible does of tasks, by id."""
    wanted = {**seen_by(caller), "of_tasks": sorted(task_ids)}
    rows = await session.execute(_visible_by_ids(sight_of(caller)), wanted)
    return {row["id"]: row for row in rows.mappings()}


async def lock(session: AsyncSession, task_ids: Iterable[UUID]) -> None:
    """Lock tasks until the end, leaves first: then nobody else changes them."""
    query = select(task.c.id).where(task.c.id.in_(sorted(task_ids))).order_by(*LEAVES_FIRST)
    await session.execute(query.with_for_update(key_share=True))


async def find_visible(reader: Reader | DirectReader, *, caller: Principal, task_id: UUID) -> RowMapping | None:
    """Return the task with its `key` and the caller's `role`, if the caller may see it."""
    statement = visible_by_id(sight_of(caller))
    result = await reader.execute(statement, {**seen_by(caller), "task_id": task_id})
    row: RowMapping | None = result.mappings().one_or_none()
    return row


VISIBLE_TASKS: Select[Any] = (
    select(literal_column("*"))
    .select_from(func.tasks.visible_tasks(bindparam("of_callers", type_=IDS), OF_TASKS))
    .execution_options(**{BINDS_ITSELF: True})
)
"""What find_visible asks for callers with a whole sight, in a function that binds it to each of them (migration 0041).

It binds the transaction that it is called in, so that is one of its own.
"""


async def find_visible_together(
    reader: DirectReader, asked: Sequence[tuple[UUID, UUID]]
) -> Sequence[RowMapping | None]:
    """Return what find_visible does, for callers with a whole sight, each with a task, by their ids."""
    values = {"of_callers": [caller for caller, _ in asked], "of_tasks": [wanted for _, wanted in asked]}
    found = {row["asked_at"]: row for row in await reader.execute(VISIBLE_TASKS, values)}
    return [found.get(place) for place in range(1, len(asked) + 1)]


async def add(session: AsyncSession, values: Mapping[str, Any]) -> RowMapping | None:
    """Insert a task, and let its maker watch it by the rule for that; return it with that user in WATCHED_BY, if so.

    The database gives it a number, a position and the category of its status. None when another task of the project has
    its external id.
    """
    statement = _add_watched(frozenset(values))
    parameters = {_new(name): value for name, value in values.items()}
    row: RowMapping | None = (await session.execute(statement, parameters)).mappings().one_or_none()
    return row


def _new(name: str) -> str:
    return f"new_{name}"


@cache
def _add_watched(names: frozenset[str]) -> Select[Any]:
    """Return the statement for these columns. With the values in it, it would be another one each time."""
    given = {name: bindparam(_new(name), type_=task.c[name].type) for name in sorted(names)}
    add = insert(task).values(given).on_conflict_do_nothing(index_elements=EXTERNAL_INDEX, index_where=EXTERNAL_WHERE)
    made = add.returning(*task.c).cte("made")
    watching = begun_by_maker(made)
    query = select(*made.c, watching.c.user_id.label(WATCHED_BY)).select_from(made.outerjoin(watching, true()))
    return query.execution_options(**MADE_ONCE)


async def add_all(session: AsyncSession, values: Sequence[Mapping[str, Any]]) -> Sequence[RowMapping]:
    """Insert tasks without external ids as `add` does, and return them in whatever order."""
    return (await session.execute(insert(task).returning(*task.c), [dict(one) for one in values])).mappings().all()


async def rewrite(
    session: AsyncSession, condition: ColumnElement[bool], values: Mapping[str, Any]
) -> list[tuple[RowMapping, RowMapping]]:
    """Change all tasks of a condition, whoever sees them and wherever they are; return them before and after.

    Two statements, however many there are: the first locks them, leaves first.
    """
    locked = select(*SHOWN).join(project, project.c.id == task.c.project_id).where(condition)
    found = (await session.execute(locked.order_by(*LEAVES_FIRST).with_for_update(of=task))).mappings().all()
    if not found:
        return []
    statement = (
        update(task)
        .where(task.c.id == any_(bindparam("wanted", type_=ARRAY(PG_UUID(as_uuid=True)))))
        .values(**values, version=task.c.version + 1, updated_at=utcnow())
        .returning(*task.c)
    )
    changed = (await session.execute(statement, {"wanted": [row["id"] for row in found]})).mappings()
    after = {row["id"]: row for row in changed}
    return [(row, typing.cast("RowMapping", {**row, **after[row["id"]]})) for row in found]
