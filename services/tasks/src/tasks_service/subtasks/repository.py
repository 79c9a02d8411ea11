"""All SQL on trees of tasks. Whoever changes a tree locks its project first, and then tasks, leaves up."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from functools import cache
from typing import Any, cast
from uuid import UUID

from chassis.clock import utcnow
from chassis.db.direct_writing import MADE_ONCE
from chassis.identity import Principal
from sqlalchemy import (
    CTE,
    ColumnElement,
    Integer,
    RowMapping,
    Select,
    Update,
    and_,
    any_,
    bindparam,
    case,
    func,
    literal,
    or_,
    select,
    update,
)
from sqlalchemy import cast as sql_cast
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.ext.asyncio import AsyncSession

from tasks_service.tasks.repository import SHOWN, task
from tasks_service.visibility.repository import CALLER, IDS, TASK_ROLE, TASKS, project, seen_by

# Deeper than any tree is: a walk ends even where the data is wrong.
DEEPEST = 20

OF_PARENTS = bindparam("of_parents", type_=IDS)
NUMBERS: ARRAY[int] = ARRAY(Integer)

LOCKED_PARENTS = (
    select(*SHOWN)
    .join(project, project.c.id == task.c.project_id)
    .where(task.c.id == any_(OF_PARENTS))
    .order_by(func.array_position(OF_PARENTS, task.c.id))
    .with_for_update(of=task, key_share=True)
    .execution_options(**MADE_ONCE)
)
counted_child = task.alias("counted_child")
IS_COUNTED = and_(counted_child.c.deleted_at.is_(None), counted_child.c.status_category != "cancelled")
COUNTS = (
    select(
        counted_child.c.parent_id,
        sql_cast(func.count().filter(IS_COUNTED), Integer).label("total"),
        sql_cast(func.count().filter(IS_COUNTED, counted_child.c.status_category == "done"), Integer).label("done"),
    )
    .where(counted_child.c.parent_id == any_(OF_PARENTS))
    .group_by(counted_child.c.parent_id)
    .execution_options(**MADE_ONCE)
)
its_count = (
    func.unnest(bindparam("of_rows", type_=IDS), bindparam("totals", type_=NUMBERS), bindparam("dones", type_=NUMBERS))
    .table_valued("id", "total", "done", name="its_count")
    .render_derived()
)
SET_COUNTS = (
    update(task)
    .where(task.c.id == its_count.c.id)
    .values(
        subtasks_total=its_count.c.total,
        subtasks_done=its_count.c.done,
        version=task.c.version + 1,
        updated_at=bindparam("changed_at", type_=task.c.updated_at.type),
    )
    .returning(*task.c)
    .execution_options(**MADE_ONCE)
)

Pair = tuple[RowMapping, RowMapping]
"""A row before and after."""


async def lock_tree(session: AsyncSession, project_id: UUID) -> None:
    """Lock the trees of a project until the end: nobody else makes, moves or deletes tasks in it."""
    query = select(project.c.id).where(project.c.id == project_id).with_for_update(key_share=True)
    await session.execute(query)


async def lock_trees(session: AsyncSession, project_ids: Iterable[UUID]) -> None:
    """Lock the trees of projects until the end, in the order of their ids."""
    query = select(project.c.id).where(project.c.id == any_(bindparam("of_projects", type_=IDS))).order_by(project.c.id)
    await session.execute(query.with_for_update(key_share=True), {"of_projects": sorted(project_ids)})


async def ancestors(session: AsyncSession, task_id: UUID) -> list[UUID]:
    """Return a task and those above it, upwards."""
    first = select(task.c.id, task.c.parent_id, literal(0).label("distance")).where(task.c.id == task_id)
    above = first.cte("above", recursive=True)
    parent = task.alias("parent")
    further = select(parent.c.id, parent.c.parent_id, above.c.distance + 1)
    further = further.join(above, parent.c.id == above.c.parent_id).where(above.c.distance < DEEPEST)
    above = above.union_all(further)
    return list((await session.execute(select(above.c.id).order_by(above.c.distance))).scalars())


async def height(session: AsyncSession, task_id: UUID) -> int:
    """Return how many levels there are below a task."""
    below = _below(in_trash=None)
    found = await session.scalar(select(func.coalesce(func.max(below.c.depth), 0)), {"of_roots": [task_id]})
    return int(found or 0)


async def lock_below(session: AsyncSession, *, caller: Principal, task_id: UUID) -> Sequence[RowMapping]:
    """Lock and return all below a task that is not in the trash, leaves first, with the caller's `role` in each.

    The role is null in what the caller does not see.
    """
    query = _rows_below(in_trash=False).with_for_update(of=task, key_share=True)
    return await _rows(session, query, caller, task_id)


async def list_below(session: AsyncSession, *, caller: Principal, task_id: UUID, limit: int) -> Sequence[RowMapping]:
    """Return at most so many of all below a task that is not in the trash, leaves first, as lock_below does."""
    return await _rows(session, _rows_below(in_trash=False).limit(limit), caller, task_id)


async def lock_all_below(session: AsyncSession, *, caller: Principal, task_id: UUID) -> Sequence[RowMapping]:
    """Lock and return all below a task, in the trash or not, leaves first, with the caller's `role` in each."""
    query = _rows_below(in_trash=None).with_for_update(of=task)
    return await _rows(session, query, caller, task_id)


async def find_deleted_with(
    session: AsyncSession, *, caller: Principal, task_ids: Iterable[UUID]
) -> Sequence[RowMapping]:
    """Return what is below tasks in the trash and went there with them, leaves first; `root_id` is which of them."""
    query = _rows_below(in_trash=True, of_groups=True)
    return await _rows_of_all(session, query, caller, task_ids)


async def find_below(session: AsyncSession, *, caller: Principal, task_ids: Iterable[UUID]) -> Sequence[RowMapping]:
    """Return all below tasks that is not in the trash, leaves first; `root_id` is below which of them."""
    return await _rows_of_all(session, _rows_below(in_trash=False), caller, task_ids)


async def find_all_below(session: AsyncSession, *, caller: Principal, task_ids: Iterable[UUID]) -> Sequence[RowMapping]:
    """Return all below tasks, in the trash or not, as find_below does."""
    return await _rows_of_all(session, _rows_below(in_trash=None), caller, task_ids)


async def open_below(session: AsyncSession, *, caller: Principal, task_ids: Iterable[UUID]) -> Sequence[RowMapping]:
    """Return the `id` of all below these tasks that is open, at any level, with the caller's `role` in each."""
    return await _rows_of_all(session, _open_below(), caller, task_ids)


@cache
def _open_below() -> Select[Any]:
    below = _below(in_trash=False)
    return (
        select(task.c.id, TASK_ROLE)
        .select_from(TASKS.join(below, below.c.id == task.c.id))
        .where(CALLER, task.c.status_category != "done", task.c.status_category != "cancelled")
        .order_by(below.c.depth, task.c.id)
        .execution_options(**MADE_ONCE)
    )


async def complete(session: AsyncSession, rows: Sequence[RowMapping], *, status: str, by: UUID) -> list[Pair]:
    """Give locked tasks a status of the category done, those of them that are open; the trees below them are done."""
    now = utcnow()
    is_open = task.c.status_category.not_in(("done", "cancelled"))
    return await _change(
        session,
        rows,
        {
            "status": case((is_open, status), else_=task.c.status),
            "completed_at": case((is_open, now), else_=task.c.completed_at),
            "completed_by": case((is_open, by), else_=task.c.completed_by),
            "subtasks_done": task.c.subtasks_total,
        },
        where=or_(is_open, task.c.subtasks_done < task.c.subtasks_total),
    )


async def trash(
    session: AsyncSession, rows: Sequence[RowMapping], *, roots: Mapping[UUID, UUID], by: UUID
) -> list[Pair]:
    """Move locked tasks to the trash, each with the task of `roots` that it is below, if there is one."""
    groups = {"of_rows": [row["id"] for row in rows], "of_groups": [roots.get(row["id"]) for row in rows]}
    given = func.unnest(bindparam("of_rows", type_=IDS), bindparam("of_groups", type_=IDS))
    group = given.table_valued("id", "root_id", name="its_group").render_derived()
    statement = update(task).where(task.c.id == group.c.id)
    statement = statement.values(deleted_at=utcnow(), deleted_by=by, deleted_with=group.c.root_id)
    return await _changed(session, rows, statement, groups)


async def take_out(session: AsyncSession, rows: Sequence[RowMapping], **values: Any) -> list[Pair]:
    """Take locked tasks out of the trash, and set these columns."""
    return await _change(session, rows, {**values, "deleted_at": None, "deleted_by": None, "deleted_with": None})


async def recount(session: AsyncSession, parent_ids: Sequence[UUID]) -> list[Pair]:
    """Count the subtasks of these tasks anew; lock them in this order, and return those whose counts changed.

    Whoever changes what counts holds the row of the parent from then on, so a statement that begins after the lock
    sees all of it.
    """
    wanted = {"of_parents": [*parent_ids]}
    rows = (await session.execute(LOCKED_PARENTS, wanted)).mappings().all()
    counts = (await session.execute(COUNTS, wanted)).mappings().all()
    found = {row["parent_id"]: (row["total"], row["done"]) for row in counts}
    now = {row["id"]: found.get(row["id"], (0, 0)) for row in rows}
    wrong = [row for row in rows if now[row["id"]] != (row["subtasks_total"], row["subtasks_done"])]
    return await _set_counts(session, wrong, now)


async def _set_counts(
    session: AsyncSession, rows: Sequence[RowMapping], counts: Mapping[UUID, tuple[int, int]]
) -> list[Pair]:
    if not rows:
        return []
    ids = [row["id"] for row in rows]
    told = {"of_rows": ids, "totals": [counts[one][0] for one in ids], "dones": [counts[one][1] for one in ids]}
    return _paired(rows, (await session.execute(SET_COUNTS, {**told, "changed_at": utcnow()})).mappings().all())


async def _change(
    session: AsyncSession,
    rows: Sequence[RowMapping],
    values: Mapping[str, Any],
    *,
    where: ColumnElement[bool] | None = None,
) -> list[Pair]:
    """Change locked rows in one statement; return them before and after, in their order."""
    statement = update(task).where(task.c.id == any_(bindparam("of_rows", type_=IDS)))
    if where is not None:
        statement = statement.where(where)
    return await _changed(session, rows, statement.values(**values), {"of_rows": [row["id"] for row in rows]})


async def _changed(
    session: AsyncSession, rows: Sequence[RowMapping], statement: Update, parameters: Mapping[str, Any]
) -> list[Pair]:
    """Change locked rows by a statement, as new versions; return those that it changes before and after."""
    if not rows:
        return []
    statement = statement.values(version=task.c.version + 1, updated_at=utcnow()).returning(*task.c)
    return _paired(rows, (await session.execute(statement, dict(parameters))).mappings().all())


def _paired(rows: Sequence[RowMapping], after: Sequence[RowMapping]) -> list[Pair]:
    """Return those rows that were changed, before and after, in their order."""
    changed = {row["id"]: row for row in after}
    return [(row, cast("RowMapping", {**row, **changed[row["id"]]})) for row in rows if row["id"] in changed]


async def _rows(session: AsyncSession, query: Select[Any], caller: Principal, root_id: UUID) -> Sequence[RowMapping]:
    return await _rows_of_all(session, query, caller, [root_id])


async def _rows_of_all(
    session: AsyncSession, query: Select[Any], caller: Principal, root_ids: Iterable[UUID]
) -> Sequence[RowMapping]:
    found = await session.execute(query, {**seen_by(caller), "of_roots": sorted(root_ids)})
    rows: Sequence[RowMapping] = found.mappings().all()
    return rows


def _below(*, in_trash: bool | None) -> CTE:
    """Walk down from tasks, which are not part of it; `in_trash` None walks through both."""

    def in_place(one: Any) -> Collection[ColumnElement[bool]]:
        if in_trash is None:
            return ()
        return (one.c.deleted_at.is_not(None) if in_trash else one.c.deleted_at.is_(None),)

    child = task.alias("child")
    first = select(child.c.id, child.c.parent_id.label("root_id"), literal(1).label("depth")).where(
        child.c.parent_id == any_(bindparam("of_roots", type_=IDS)), *in_place(child)
    )
    below = first.cte("below", recursive=True)
    further = select(child.c.id, below.c.root_id, below.c.depth + 1).join(below, child.c.parent_id == below.c.id)
    return below.union_all(further.where(below.c.depth < DEEPEST, *in_place(child)))


@cache
def _rows_below(*, in_trash: bool | None, of_groups: bool = False) -> Select[Any]:
    below = _below(in_trash=in_trash)
    query = (
        select(*SHOWN, TASK_ROLE, below.c.root_id)
        .select_from(TASKS.join(below, below.c.id == task.c.id))
        .where(CALLER)
        .order_by(below.c.depth.desc(), task.c.id)
    )
    if not of_groups:
        return query
    root = task.alias("root")
    its_group = func.coalesce(root.c.deleted_with, root.c.id)
    return query.join(root, root.c.id == below.c.root_id).where(task.c.deleted_with == its_group)
