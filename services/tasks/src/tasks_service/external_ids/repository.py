"""All SQL on tasks by what they are called elsewhere."""

from collections.abc import Collection, Mapping
from typing import Any, NamedTuple, cast
from uuid import UUID

from chassis.identity import Principal
from sqlalchemy import ColumnElement, RowMapping, and_, case, literal_column, or_, select
from sqlalchemy.dialects.postgresql import Insert, insert
from sqlalchemy.ext.asyncio import AsyncSession

from tasks_service.tasks.repository import EXTERNAL_INDEX, EXTERNAL_WHERE, HELD, SHOWN, Reader, task
from tasks_service.visibility.repository import TASKS, project, seen_by, seen_tasks, sight_of, workspace

BEFORE = tuple(literal_column(f"old.{column.name}", column.type).label(f"old_{column.name}") for column in task.c)
"""The row before the statement (PostgreSQL 18); all null for a new one."""
COMPLETION = ("completed_at", "completed_by")


class Elsewhere(NamedTuple):
    """What a task is called in another system."""

    source: str
    id: str


async def upsert(
    session: AsyncSession, values: Mapping[str, Any], *, given: Collection[str]
) -> tuple[RowMapping | None, RowMapping] | None:
    """Insert a task, or set the columns `given` of the one with its external id, in one statement.

    Return the row before, if there was one, and after; None when all of them are as they are to be already. That row
    is locked, too.
    """
    statement = insert(task).values(**values)
    statement = statement.on_conflict_do_update(
        index_elements=EXTERNAL_INDEX,
        index_where=EXTERNAL_WHERE,
        set_=_changes(statement, given),
        where=or_(*(task.c[name].is_distinct_from(statement.excluded[name]) for name in sorted(given))),
    )
    row = (await session.execute(statement.returning(*task.c, *BEFORE))).mappings().one_or_none()
    if row is None:
        return None
    before = {column.name: row[f"old_{column.name}"] for column in task.c}
    return (cast("RowMapping", before) if before["id"] else None), row


def _changes(statement: Insert, given: Collection[str]) -> dict[str, Any]:
    new = statement.excluded
    changes: dict[str, Any] = {name: new[name] for name in given}
    if "status" in given:
        # The database has looked up the category of the status by now.
        stays = task.c.status_category == new.status_category
        changes |= {name: case((stays, task.c[name]), else_=new[name]) for name in COMPLETION}
    return {**changes, "version": task.c.version + 1, "updated_at": new.updated_at}


async def find_visible(
    reader: Reader, *, caller: Principal, elsewhere: Elsewhere, project_id: UUID | None
) -> RowMapping | None:
    """Return the task of a project, or of the caller's Inbox, if the caller may see it."""
    query = (
        select(*SHOWN, *HELD)
        .select_from(TASKS.join(workspace, workspace.c.id == task.c.workspace_id))
        .where(
            *seen_tasks(sight_of(caller)),
            task.c.external_source == elsewhere.source,
            task.c.external_id == elsewhere.id,
            _is_in(project_id, caller),
        )
    )
    row: RowMapping | None = (await reader.execute(query, seen_by(caller))).mappings().one_or_none()
    return row


def _is_in(project_id: UUID | None, caller: Principal) -> ColumnElement[bool]:
    if project_id is not None:
        return task.c.project_id == project_id
    return and_(workspace.c.personal_owner_id == caller.user_id, project.c.is_inbox)
