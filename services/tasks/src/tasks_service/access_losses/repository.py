"""All SQL on what somebody is left with in tasks that they see no more."""

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from chassis.clock import utcnow
from chassis.db.base import table_of
from sqlalchemy import (
    ColumnElement,
    RowMapping,
    Table,
    all_,
    and_,
    any_,
    bindparam,
    column,
    delete,
    exists,
    func,
    select,
    type_coerce,
    update,
)
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.dialects.postgresql import UUID as PG_UUID
from sqlalchemy.ext.asyncio import AsyncSession

from tasks_service.assignees.models import Assignee
from tasks_service.checklists.models import ChecklistItem
from tasks_service.labels.models import PersonalLabel
from tasks_service.stars.models import Star
from tasks_service.tasks.repository import LEAVES_FIRST, SHOWN
from tasks_service.visibility.repository import member, project, task, task_rank
from tasks_service.watchers.models import Watcher

assignee = table_of(Assignee)
item = table_of(ChecklistItem)
watcher = table_of(Watcher)
star = table_of(Star)
personal_label = table_of(PersonalLabel)

UUIDS = ARRAY(PG_UUID(as_uuid=True))
LOCKED = task.c.id == any_(bindparam("locked", type_=UUIDS))
IN_PROJECT = project.c.id == task.c.project_id
held = (
    func.unnest(task.c.assignees)
    .table_valued(column("user_id", PG_UUID(as_uuid=True)), with_ordinality="place", name="held")
    .render_derived()
)


@dataclass(frozen=True, slots=True)
class Extent:
    """Where access may have been lost: in tasks of these projects, in these tasks, or in the whole workspace."""

    workspace_id: UUID
    project_ids: Sequence[UUID] | None = None
    task_ids: Sequence[UUID] | None = None

    def conditions(self) -> list[ColumnElement[bool]]:
        """Return the conditions on `task`."""
        found = [task.c.workspace_id == self.workspace_id]
        if self.project_ids is not None:
            found.append(task.c.project_id.in_(self.project_ids))
        if self.task_ids is not None:
            found.append(task.c.id.in_(self.task_ids))
        return found


def _sees(user_id: ColumnElement[UUID]) -> ColumnElement[bool]:
    """Tell whether a user sees the task of a row of `task` joined to its `project`, as SQL; the trash is no matter."""
    of_user = and_(member.c.workspace_id == task.c.workspace_id, member.c.user_id == user_id)
    return exists(select(member.c.id).where(of_user, task_rank(member.c.user_id) > 0).correlate_except(member))


STILL_HELD = (
    select(held.c.user_id)
    .select_from(held)
    .where(_sees(held.c.user_id))
    .order_by(held.c.place)
    .correlate(task, project)
)
STILL_ASSIGNED = type_coerce(func.array(STILL_HELD.scalar_subquery()), UUIDS)
# The expressions are of columns of `task`, so a second look after the lock sees what is there then.
UNASSIGN = (
    update(task)
    .where(LOCKED, IN_PROJECT, func.cardinality(STILL_ASSIGNED) < func.cardinality(task.c.assignees))
    .values(
        assignees=STILL_ASSIGNED,
        assigned_to=STILL_HELD.limit(1).scalar_subquery(),
        version=task.c.version + 1,
        updated_at=bindparam("now"),
    )
    .returning(*SHOWN)
)


async def lock_members(session: AsyncSession, workspace_id: UUID, user_ids: Sequence[UUID] | None) -> None:
    """Lock memberships of a workspace, of these users or all, in the order of the users."""
    query = select(member.c.id).where(member.c.workspace_id == workspace_id)
    if user_ids is not None:
        query = query.where(member.c.user_id.in_(user_ids))
    await session.execute(query.order_by(member.c.user_id).with_for_update(key_share=True))


async def lock_wrongly_assigned(session: AsyncSession, extent: Extent) -> Sequence[RowMapping]:
    """Lock the tasks that are assigned to somebody who does not see them, and return them as they are."""
    one_lost = exists(select(held.c.user_id).select_from(held).where(~_sees(held.c.user_id)).correlate(task, project))
    query = (
        select(*SHOWN)
        .join(project, IN_PROJECT)
        .where(*extent.conditions(), func.cardinality(task.c.assignees) > 0, one_lost)
        .order_by(*LEAVES_FIRST)
        .with_for_update(of=task, key_share=True)
    )
    return (await session.execute(query)).mappings().all()


async def unassign_hidden(session: AsyncSession, task_ids: Sequence[UUID]) -> Sequence[RowMapping]:
    """Take away assignees who do not see the tasks, the next one becoming the primary; return what has changed."""
    parameters = {"locked": list(task_ids), "now": utcnow()}
    changed = (await session.execute(UNASSIGN, parameters)).mappings().all()
    stale = and_(LOCKED, assignee.c.task_id == task.c.id, assignee.c.user_id != all_(task.c.assignees))
    await session.execute(delete(assignee).where(stale), {"locked": list(task_ids)})
    return changed


async def lock_wrongly_asked(session: AsyncSession, extent: Extent) -> Sequence[RowMapping]:
    """Lock the items of checklists that are for somebody who does not see the task, and return them as they are."""
    query = (
        select(*item.c, task.c.project_id)
        .select_from(item.join(task, task.c.id == item.c.task_id).join(project, IN_PROJECT))
        .where(*extent.conditions(), item.c.assignee_id.is_not(None), ~_sees(item.c.assignee_id))
        .order_by(item.c.id)
        .with_for_update(of=item, key_share=True)
    )
    return (await session.execute(query)).mappings().all()


async def forget_watchers(session: AsyncSession, extent: Extent) -> Sequence[RowMapping]:
    """End the watching of tasks by who does not see them; return the rows that there were."""
    return await _delete_hidden(session, watcher, extent)


async def forget_stars(session: AsyncSession, extent: Extent) -> Sequence[RowMapping]:
    """Delete stars on tasks, of who does not see them; return the rows that there were."""
    return await _delete_hidden(session, star, extent)


async def forget_personal_labels(session: AsyncSession, extent: Extent) -> None:
    """Delete personal labels on tasks, of who does not see them."""
    await _delete_hidden(session, personal_label, extent)


async def _delete_hidden(session: AsyncSession, table: Table, extent: Extent) -> Sequence[RowMapping]:
    statement = (
        delete(table)
        .where(table.c.task_id == task.c.id, IN_PROJECT, *extent.conditions(), ~_sees(table.c.user_id))
        .returning(*table.c, task.c.project_id.label("project_id"))
    )
    return (await session.execute(statement)).mappings().all()
