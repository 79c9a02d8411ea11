"""All SQL on relations of tasks."""

from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

from chassis.db.base import table_of
from chassis.identity import Principal
from sqlalchemy import RowMapping, and_, case, delete, func, insert, or_, select, text, union_all
from sqlalchemy.ext.asyncio import AsyncSession

from tasks_service.relations.models import Relation
from tasks_service.tasks.repository import SHOWN, Reader
from tasks_service.visibility.repository import TASKS, seen_by, seen_tasks, sight_of, task

relation = table_of(Relation)

LOCK = text("SELECT pg_advisory_xact_lock(hashtextextended('relations:' || :workspace_id, 0))")


async def lock_all(session: AsyncSession, workspace_id: UUID) -> None:
    """Let nobody else relate tasks of a workspace until the end, so that nothing closes a circle meanwhile."""
    await session.execute(LOCK, {"workspace_id": str(workspace_id)})


async def list_of(
    reader: Reader, *, caller: Principal, task_id: UUID, relation_id: UUID | None = None
) -> Sequence[tuple[RowMapping, RowMapping]]:
    """Return the relations of a task, each with its other task, of those that the caller sees; the oldest first."""
    other = case((relation.c.from_task_id == task_id, relation.c.to_task_id), else_=relation.c.from_task_id)
    columns = [column.label(f"relation_{column.name}") for column in relation.c]
    query = (
        select(*columns, *SHOWN)
        .select_from(TASKS.join(relation, task.c.id == other))
        .where(
            *seen_tasks(sight_of(caller)),
            or_(relation.c.from_task_id == task_id, relation.c.to_task_id == task_id),
            *([] if relation_id is None else [relation.c.id == relation_id]),
        )
        .order_by(relation.c.id)
    )
    rows = (await reader.execute(query, seen_by(caller))).mappings().all()
    return [(_relation_of(row), row) for row in rows]


async def find(session: AsyncSession, *, kind: str, from_id: UUID, to_id: UUID) -> RowMapping | None:
    """Return the relation that is stored so, if there is one."""
    query = select(*relation.c).where(
        relation.c.type == kind, relation.c.from_task_id == from_id, relation.c.to_task_id == to_id
    )
    return (await session.execute(query)).mappings().one_or_none()


async def most_of(session: AsyncSession, task_ids: Sequence[UUID]) -> int:
    """Return how many relations the one of these tasks has that has most, seen by the caller or not."""
    ends = [
        select(func.count())
        .select_from(relation)
        .where(or_(relation.c.from_task_id == one, relation.c.to_task_id == one))
        .scalar_subquery()
        for one in task_ids
    ]
    return (await session.scalar(select(func.greatest(*ends)))) or 0


async def leads_to(session: AsyncSession, *, kind: str, from_id: UUID, to_id: UUID) -> bool:
    """Tell whether relations of a type lead from a task to another; those with tasks in the trash count as well."""
    reached = (
        select(relation.c.to_task_id.label("id"))
        .where(relation.c.type == kind, relation.c.from_task_id == from_id)
        .cte("reached", recursive=True)
    )
    reached = reached.union(
        select(relation.c.to_task_id).join(
            reached, and_(relation.c.from_task_id == reached.c.id, relation.c.type == kind)
        )
    )
    return await session.scalar(select(reached.c.id).where(reached.c.id == to_id).limit(1)) is not None


async def add(session: AsyncSession, values: Mapping[str, Any]) -> RowMapping:
    """Insert a relation."""
    return (await session.execute(insert(relation).values(**values).returning(*relation.c))).mappings().one()


async def add_all(session: AsyncSession, values: Sequence[Mapping[str, Any]]) -> Sequence[RowMapping]:
    """Insert relations of new tasks."""
    statement = insert(relation).returning(*relation.c)
    return (await session.execute(statement, [dict(one) for one in values])).mappings().all()


async def is_any_full(session: AsyncSession, more: Mapping[UUID, int], *, most: int) -> bool:
    """Tell whether one of these tasks would have more relations than it may with so many more."""
    if not more:
        return False
    of_ends = union_all(
        select(relation.c.from_task_id.label("id")).where(relation.c.from_task_id.in_(more)),
        select(relation.c.to_task_id.label("id")).where(relation.c.to_task_id.in_(more)),
    ).subquery()
    rows = await session.execute(select(of_ends.c.id, func.count()).group_by(of_ends.c.id))
    return any(count + more[task_id] > most for task_id, count in rows)


async def remove(session: AsyncSession, relation_id: UUID) -> bool:
    """Delete a relation; False when somebody else has."""
    statement = delete(relation).where(relation.c.id == relation_id).returning(relation.c.id)
    return await session.scalar(statement) is not None


def _relation_of(row: RowMapping) -> Any:
    return {column.name: row[f"relation_{column.name}"] for column in relation.c}
