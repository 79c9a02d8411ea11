"""SQL on what has labels; that on labels themselves is in names.repository."""

from collections.abc import Sequence
from uuid import UUID

from chassis.db.base import table_of
from chassis.identity import Principal
from sqlalchemy import (
    CTE,
    RowMapping,
    any_,
    bindparam,
    delete,
    func,
    literal,
    select,
    text,
    union_all,
)
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.dialects.postgresql import UUID as PG_UUID
from sqlalchemy.dialects.postgresql import insert as insert_or_skip
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncSession

from tasks_service.labels.models import Label, PersonalLabel
from tasks_service.names.repository import visible
from tasks_service.tasks import repository as tasks
from tasks_service.visibility.repository import CALLER_ID, member, seen_by, sight_of

label = table_of(Label)
personal_label = table_of(PersonalLabel)
task = tasks.task

ID = PG_UUID(as_uuid=True)
IDS = ARRAY(ID)
LOCK = text("SELECT pg_advisory_xact_lock(hashtextextended('personal_label:' || :user_id || :task_id, 0))")


async def of_tasks(
    reader: AsyncConnection | AsyncSession, *, caller: Principal, task_ids: Sequence[UUID]
) -> dict[UUID, list[RowMapping]]:
    """Return what labels tasks that the caller sees have, by name: the workspace's and the caller's own."""
    wanted = bindparam("of_tasks", type_=IDS)
    owned = label.join(member, member.c.workspace_id == label.c.workspace_id)
    mine = visible(label, sight_of(caller))
    shared = (
        select(task.c.id.label("task_id"), *label.c)
        .select_from(task.join(owned, label.c.id == any_(task.c.labels)))
        .where(*mine, task.c.id == any_(wanted))
    )
    personal = (
        select(personal_label.c.task_id, *label.c)
        .select_from(personal_label.join(owned, label.c.id == personal_label.c.label_id))
        .where(*mine, personal_label.c.user_id == CALLER_ID, personal_label.c.task_id == any_(wanted))
    )
    found = union_all(shared, personal).subquery()
    query = select(*found.c).order_by(found.c.name_key, found.c.id)
    rows = await reader.execute(query, {**seen_by(caller), "of_tasks": list(task_ids)})
    labels: dict[UUID, list[RowMapping]] = {}
    for row in rows.mappings():
        labels.setdefault(row["task_id"], []).append(row)
    return labels


async def take_off_all(session: AsyncSession, label_id: UUID) -> list[tuple[RowMapping, RowMapping]]:
    """Take a shared label off all its tasks, in the trash as well; return them before and after."""
    return await tasks.rewrite(
        session, task.c.labels.contains([label_id]), {"labels": func.array_remove(task.c.labels, label_id)}
    )


async def put_another_on_all(
    session: AsyncSession, *, label_id: UUID, into: UUID
) -> list[tuple[RowMapping, RowMapping]]:
    """Give all tasks of a shared label another, once, in its place; return them before and after."""
    replaced = func.unnest(func.array_replace(task.c.labels, label_id, into), type_=ID).column_valued("one")
    ordered = select(replaced).distinct().order_by(replaced).correlate(task).scalar_subquery()
    values = {"labels": func.array(ordered, type_=IDS)}
    return await tasks.rewrite(session, task.c.labels.contains([label_id]), values)


async def add_personal(
    session: AsyncSession, *, row: RowMapping, task: RowMapping, user_id: UUID, maximum: int
) -> bool | None:
    """Put somebody's own label on a task; False when it is there, None when there are as many as there may be."""
    await session.execute(LOCK, {"user_id": str(user_id), "task_id": str(task["id"])})
    count = (
        select(func.count())
        .select_from(personal_label)
        .where(personal_label.c.user_id == user_id, personal_label.c.task_id == task["id"])
        .scalar_subquery()
    )
    values = [literal(one, ID) for one in (task["workspace_id"], user_id, task["id"], row["id"])]
    statement = insert_or_skip(personal_label).from_select(
        ["workspace_id", "user_id", "task_id", "label_id"], select(*values).where(count < maximum)
    )
    added = await session.scalar(statement.on_conflict_do_nothing().returning(personal_label.c.label_id))
    if added is not None:
        return True
    there = select(personal_label.c.label_id).where(
        personal_label.c.user_id == user_id,
        personal_label.c.task_id == task["id"],
        personal_label.c.label_id == row["id"],
    )
    return None if await session.scalar(there) is None else False


async def remove_personal(session: AsyncSession, *, label_id: UUID, task_id: UUID | None = None) -> list[RowMapping]:
    """Take somebody's own label off a task, or off all; return where it was, with the label and the project."""
    statement = delete(personal_label).where(personal_label.c.label_id == label_id)
    if task_id is not None:
        statement = statement.where(personal_label.c.task_id == task_id)
    return await _described(session, statement.returning(*personal_label.c).cte("gone"))


async def replace_personal(session: AsyncSession, *, label_id: UUID, into: UUID) -> list[RowMapping]:
    """Put another of somebody's own labels on all tasks that have one; return where it was not, likewise."""
    source = select(
        personal_label.c.workspace_id,
        personal_label.c.user_id,
        personal_label.c.task_id,
        literal(into, ID),
    ).where(personal_label.c.label_id == label_id)
    statement = insert_or_skip(personal_label).from_select(["workspace_id", "user_id", "task_id", "label_id"], source)
    statement = statement.on_conflict_do_nothing()
    return await _described(session, statement.returning(*personal_label.c).cte("added"))


async def _described(session: AsyncSession, rows: CTE) -> list[RowMapping]:
    query = (
        select(*rows.c, task.c.project_id, label.c.name, label.c.color)
        .join(task, task.c.id == rows.c.task_id)
        .join(label, label.c.id == rows.c.label_id)
        .order_by(rows.c.workspace_id, rows.c.task_id)
    )
    return list((await session.execute(query)).mappings().all())
