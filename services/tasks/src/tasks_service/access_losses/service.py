"""What follows when somebody sees less than before: nothing of a task is theirs that they don't see (F6).

To be called in the transaction that takes access away, after it has done so: a membership, a role, a share, the
visibility of a project, the place of a task. Whoever gives somebody something in a task holds their membership of the
workspace (`FOR SHARE`) before looking at what they see, and whoever takes access away locks it before: so what is given
meanwhile is either found here or refused there.
"""

from collections.abc import Sequence
from typing import cast
from uuid import UUID

from chassis.clock import utcnow
from sqlalchemy import RowMapping
from sqlalchemy.ext.asyncio import AsyncSession

from tasks_service.access_losses import repository
from tasks_service.access_losses.repository import Extent
from tasks_service.changes.schemas import ChangeDraft
from tasks_service.checklists import repository as checklists
from tasks_service.checklists.events import CHECKLIST_ITEM_UPDATED, item_changed
from tasks_service.tasks.events import TASK_UPDATED, task_changed
from tasks_service.watchers.events import watcher_removed


async def lock_losers(session: AsyncSession, *, workspace_id: UUID, user_ids: Sequence[UUID] | None = None) -> None:
    """Lock the memberships of who may lose access, or all of the workspace; before projects and tasks are locked."""
    await repository.lock_members(session, workspace_id, user_ids)


async def drop_hidden(
    session: AsyncSession,
    *,
    workspace_id: UUID,
    project_ids: Sequence[UUID] | None = None,
    task_ids: Sequence[UUID] | None = None,
) -> list[ChangeDraft]:
    """Unassign and unwatch what is not seen any more, and take stars away; return the changes to record.

    Assigned are tasks, and items of their checklists. It looks at tasks of the projects, at the tasks, or with neither
    at the whole workspace, in the trash, too, and locks those that change, leaves first. The number of
    statements does not depend on how many there are. What nobody but its owner sees, stars and personal labels, goes
    without a change of its own: the event that takes the access away says it.
    """
    extent = Extent(workspace_id, project_ids, task_ids)
    drafts = [*await _unassign(session, extent), *await _ask_nobody(session, extent)]
    watched = await repository.forget_watchers(session, extent)
    drafts += [watcher_removed(row, _task_of(row)) for row in watched if row["is_watching"]]
    await repository.forget_stars(session, extent)
    await repository.forget_personal_labels(session, extent)
    return drafts


def _task_of(row: RowMapping) -> RowMapping:
    return cast("RowMapping", {**row, "id": row["task_id"]})


async def _unassign(session: AsyncSession, extent: Extent) -> list[ChangeDraft]:
    before: dict[UUID, RowMapping] = {row["id"]: row for row in await repository.lock_wrongly_assigned(session, extent)}
    if not before:
        return []
    after = await repository.unassign_hidden(session, sorted(before))
    return [task_changed(TASK_UPDATED, before[row["id"]], row) for row in sorted(after, key=lambda one: one["id"])]


async def _ask_nobody(session: AsyncSession, extent: Extent) -> list[ChangeDraft]:
    before = await repository.lock_wrongly_asked(session, extent)
    after = await checklists.take_off(session, [row["id"] for row in before], now=utcnow()) if before else {}
    return [item_changed(CHECKLIST_ITEM_UPDATED, row, after[row["id"]], project_id=row["project_id"]) for row in before]
