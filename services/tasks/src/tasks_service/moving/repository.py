"""All SQL on tasks that go to another project. Both projects are locked, and then the tasks."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any
from uuid import UUID

from chassis.clock import utcnow
from sqlalchemy import (
    DateTime,
    Integer,
    RowMapping,
    String,
    any_,
    bindparam,
    column,
    func,
    literal,
    select,
    tuple_,
    update,
)
from sqlalchemy.dialects.postgresql import JSONB, insert
from sqlalchemy.dialects.postgresql import UUID as PG_UUID
from sqlalchemy.ext.asyncio import AsyncSession

from tasks_service.subtasks.repository import DEEPEST
from tasks_service.tasks.repository import LEAVES_FIRST, alias, task
from tasks_service.visibility.repository import IDS, project

ID: PG_UUID[UUID] = PG_UUID(as_uuid=True)
OF_ROOTS = bindparam("of_roots", type_=IDS)
COLUMNS = (
    column("number", Integer),
    column("position", String),
    column("parent_id", ID),
    column("status", String),
    column("completed_at", DateTime(timezone=True)),
    column("completed_by", ID),
    column("assignees", IDS),
    column("assigned_to", ID),
    column("subtasks_total", Integer),
    column("subtasks_done", Integer),
)
"""What of a task may be another in another project."""
moved = (
    func.jsonb_to_recordset(bindparam("tasks_moved", type_=JSONB))
    .table_valued(column("id", ID), *COLUMNS, name="moved")
    .render_derived(with_types=True)
)
MOVE = (
    update(task)
    .where(task.c.id == moved.c.id)
    .values(
        {one.name: moved.c[one.name] for one in COLUMNS}
        | {"project_id": bindparam("target"), "version": task.c.version + 1, "updated_at": bindparam("now")}
    )
    .returning(*task.c)
)


async def lock_whole(session: AsyncSession, task_ids: Iterable[UUID]) -> None:
    """Lock tasks whose project is to change, and all below them, leaves first: nothing is hung on them, either."""
    first = select(task.c.id, literal(1).label("depth")).where(task.c.id == any_(OF_ROOTS))
    tree = first.cte("tree", recursive=True)
    child = task.alias("child")
    further = select(child.c.id, tree.c.depth + 1).join(tree, child.c.parent_id == tree.c.id)
    tree = tree.union_all(further.where(tree.c.depth <= DEEPEST))
    query = select(task.c.id).where(task.c.id.in_(select(tree.c.id))).order_by(*LEAVES_FIRST)
    await session.execute(query.with_for_update(of=task), {"of_roots": sorted(task_ids)})


async def is_any_taken(session: AsyncSession, rows: Sequence[RowMapping], *, project_id: UUID) -> bool:
    """Tell whether a task of a project has the external id of one of these."""
    named = [
        (row["external_source"], row["external_id"])
        for row in rows
        if row["external_source"] is not None and row["deleted_at"] is None
    ]
    if not named:
        return False
    query = select(task.c.id).where(
        task.c.project_id == project_id,
        task.c.deleted_at.is_(None),
        tuple_(task.c.external_source, task.c.external_id).in_(named),
    )
    return await session.scalar(query.limit(1)) is not None


async def take_numbers(session: AsyncSession, *, project_id: UUID, count: int) -> int:
    """Take so many numbers of a project for its tasks, and return the first of them."""
    statement = update(project).where(project.c.id == project_id)
    statement = statement.values(next_number=project.c.next_number + count).returning(project.c.next_number)
    after: int = (await session.execute(statement)).scalar_one()
    return after - count


async def move(
    session: AsyncSession, tasks: Sequence[Mapping[str, Any]], *, project_id: UUID
) -> dict[UUID, RowMapping]:
    """Give locked tasks another project, and what each has there, in one statement; return them by id."""
    rows = [{name: _as_json(value) for name, value in one.items()} for one in tasks]
    parameters = {"tasks_moved": rows, "target": project_id, "now": utcnow()}
    return {row["id"]: row for row in (await session.execute(MOVE, parameters)).mappings()}


async def keep_keys(session: AsyncSession, rows: Sequence[RowMapping]) -> None:
    """Note the keys that tasks have had, so that they are still found by those."""
    now = utcnow()
    keys = [
        {"workspace_id": row["workspace_id"], "key": row["key"], "task_id": row["id"], "created_at": now}
        for row in rows
    ]
    await session.execute(insert(alias).on_conflict_do_nothing(), keys)


def _as_json(value: Any) -> Any:
    if isinstance(value, list):
        return [str(one) for one in value]
    return value if value is None or isinstance(value, int) else str(value)
