"""All SQL on trees of tasks. Whoever changes a tree locks its project first, and then tasks, leaves up."""

from collections.abc import Collection, Mapping, Sequence
from typing import Any, cast
from uuid import UUID

from chassis.clock import utcnow
from chassis.identity import Principal
from sqlalchemy import (
    CTE,
    ColumnElement,
    Integer,
    RowMapping,
    Select,
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
from sqlalchemy.ext.asyncio import AsyncSession

from tasks_service.tasks.repository import SHOWN, task
from tasks_service.visibility.repository import CALLER, IDS, TASK_ROLE, TASKS, project, seen_by

# Deeper than any tree is: a walk ends even where the data is wrong.
DEEPEST = 20

OF_PARENTS = bindparam("of_parents", type_=IDS)

Pair = tuple[RowMapping, RowMapping]
"""A row before and after."""


async def lock_tree(session: AsyncSession, project_id: UUID) -> None:
    """Lock the trees of a project until the end: nobody else makes, moves or deletes tasks in it."""
    query = select(project.c.id).where(project.c.id == project_id).with_for_update(key_share=True)
    await session.execute(query)


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
    found = await session.scalar(select(func.coalesce(func.max(below.c.depth), 0)), {"of_root": task_id})
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
    session: AsyncSession, *, caller: Principal, task_id: UUID, group_id: UUID, lock: bool = False
) -> Sequence[RowMapping]:
    """Return what is below a task and went to the trash with the task `group_id`, leaves first; locked if so wanted."""
    query = _rows_below(in_trash=True).where(task.c.deleted_with == group_id)
    if lock:
        query = query.with_for_update(of=task, key_share=True)
    return await _rows(session, query, caller, task_id)


async def open_below(session: AsyncSession, *, caller: Principal, task_id: UUID) -> Sequence[RowMapping]:
    """Return the `id` of all below a task that is open, at any level, with the caller's `role` in each."""
    below = _below(in_trash=False)
    query = (
        select(task.c.id, TASK_ROLE)
        .select_from(TASKS.join(below, below.c.id == task.c.id))
        .where(CALLER, task.c.status_category.not_in(("done", "cancelled")))
        .order_by(below.c.depth, task.c.id)
    )
    return await _rows(session, query, caller, task_id)


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


async def trash(session: AsyncSession, rows: Sequence[RowMapping], *, root_id: UUID, by: UUID) -> list[Pair]:
    """Move locked tasks to the trash, with the task that they are below."""
    return await _change(session, rows, {"deleted_at": utcnow(), "deleted_by": by, "deleted_with": root_id})


async def take_out(session: AsyncSession, rows: Sequence[RowMapping], **values: Any) -> list[Pair]:
    """Take locked tasks out of the trash, and set these columns."""
    return await _change(session, rows, {**values, "deleted_at": None, "deleted_by": None, "deleted_with": None})


async def recount(session: AsyncSession, parent_ids: Sequence[UUID]) -> list[Pair]:
    """Count the subtasks of these tasks anew; lock them in this order, and return those whose counts changed.

    Whoever changes what counts holds the row of the parent from then on, so a statement that begins after the lock
    sees all of it.
    """
    order = func.array_position(OF_PARENTS, task.c.id)
    locked = select(*SHOWN).join(project, project.c.id == task.c.project_id).where(task.c.id == any_(OF_PARENTS))
    locked = locked.order_by(order).with_for_update(of=task, key_share=True)
    wanted = {"of_parents": [*parent_ids]}
    rows = (await session.execute(locked, wanted)).mappings().all()
    child = task.alias("child")
    is_counted = and_(child.c.deleted_at.is_(None), child.c.status_category != "cancelled")
    counts = (
        select(
            child.c.parent_id,
            sql_cast(func.count().filter(is_counted), Integer).label("total"),
            sql_cast(func.count().filter(is_counted, child.c.status_category == "done"), Integer).label("done"),
        )
        .where(child.c.parent_id == any_(OF_PARENTS))
        .group_by(child.c.parent_id)
    )
    found = {row.parent_id: (row.total, row.done) for row in await session.execute(counts, wanted)}
    pairs: list[Pair] = []
    for row in rows:
        total, done = found.get(row["id"], (0, 0))
        if (total, done) != (row["subtasks_total"], row["subtasks_done"]):
            pairs += await _change(session, [row], {"subtasks_total": total, "subtasks_done": done})
    return pairs


async def _change(
    session: AsyncSession,
    rows: Sequence[RowMapping],
    values: Mapping[str, Any],
    *,
    where: ColumnElement[bool] | None = None,
) -> list[Pair]:
    """Change locked rows in one statement; return them before and after, in their order."""
    if not rows:
        return []
    statement = update(task).where(task.c.id == any_(bindparam("of_rows", [row["id"] for row in rows], type_=IDS)))
    if where is not None:
        statement = statement.where(where)
    statement = statement.values(**values, version=task.c.version + 1, updated_at=utcnow())
    changed = {row["id"]: row for row in (await session.execute(statement.returning(*task.c))).mappings()}
    return [(row, cast("RowMapping", {**row, **changed[row["id"]]})) for row in rows if row["id"] in changed]


async def _rows(session: AsyncSession, query: Select[Any], caller: Principal, root_id: UUID) -> Sequence[RowMapping]:
    rows: Sequence[RowMapping] = (
        (await session.execute(query, {**seen_by(caller), "of_root": root_id})).mappings().all()
    )
    return rows


def _below(*, in_trash: bool | None) -> CTE:
    """Walk down from a task, which is not part of it; `in_trash` None walks through both."""

    def in_place(one: Any) -> Collection[ColumnElement[bool]]:
        if in_trash is None:
            return ()
        return (one.c.deleted_at.is_not(None) if in_trash else one.c.deleted_at.is_(None),)

    child = task.alias("child")
    first = select(child.c.id, literal(1).label("depth")).where(
        child.c.parent_id == bindparam("of_root"), *in_place(child)
    )
    below = first.cte("below", recursive=True)
    further = select(child.c.id, below.c.depth + 1).join(below, child.c.parent_id == below.c.id)
    return below.union_all(further.where(below.c.depth < DEEPEST, *in_place(child)))


def _rows_below(*, in_trash: bool | None) -> Select[Any]:
    below = _below(in_trash=in_trash)
    return (
        select(*SHOWN, TASK_ROLE)
        .select_from(TASKS.join(below, below.c.id == task.c.id))
        .where(CALLER)
        .order_by(below.c.depth.desc(), task.c.id)
    )
