"""What happens when somebody leaves a workspace: one function, whoever ends the membership and why."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any, cast
from uuid import UUID

from chassis.clock import utcnow
from chassis.identity import Principal
from sqlalchemy import RowMapping
from sqlalchemy.ext.asyncio import AsyncSession

from tasks_service.changes import service as changes
from tasks_service.changes.schemas import ChangeDraft
from tasks_service.leaving import repository
from tasks_service.tasks.events import TASK_UPDATED, task_changed
from tasks_service.workspaces import repository as workspaces_repository
from tasks_service.workspaces import service as workspaces
from tasks_service.workspaces.events import member_removed, member_updated
from tasks_service.workspaces.service import Standing


@dataclass(frozen=True, slots=True)
class Handover:
    """Who takes over what the leaver had: the open tasks go to `successor`, if there is one."""

    successor: UUID | None = None


NOTHING = Handover()


@dataclass(frozen=True, slots=True)
class Report:
    """What went with a membership."""

    reassigned: Sequence[UUID] = ()
    unassigned: Sequence[UUID] = ()
    unwatched: int = 0
    unstarred: int = 0
    unlabelled: int = 0
    shares: int = 0
    project_memberships: int = 0


@dataclass(frozen=True, slots=True)
class Departure:
    """An ended membership: what went with it, and the changes that are to be recorded, last in the transaction."""

    report: Report
    drafts: list[ChangeDraft] = field(default_factory=list)


async def leave(
    session: AsyncSession, *, standing: Standing, user_id: UUID, actor: Principal, handover: Handover = NOTHING
) -> Report:
    """End a membership with all that hangs on it, and record that.

    `standing` has the membership, and whether it may end has been decided, but for: Raises LastOwner.
    """
    standing.refuse_last_owner(user_id)
    workspace_id = standing.workspace["id"]
    departure = await _depart(session, workspace_id=workspace_id, user_id=user_id, actor=actor, handover=handover)
    await changes.record(session, workspace_id=workspace_id, actor=actor, drafts=departure.drafts)
    return departure.report


async def leave_everything(session: AsyncSession, *, user_id: UUID, actor: Principal) -> None:
    """End all memberships of somebody who is no more: their personal workspace goes, others go on without them.

    Where they were the last owner, the admin who is longest there becomes one, or else the member; a workspace in
    which nobody could is deleted. Nothing happens the second time.
    """
    rows = await workspaces_repository.lock_all_of(session, user_id)
    # All of it before the first record, which takes a counter.
    drafts = {row["id"]: await _leave_for_good(session, row, user_id=user_id, actor=actor) for row in rows}
    for workspace_id, of_workspace in drafts.items():
        await changes.record(session, workspace_id=workspace_id, actor=actor, drafts=of_workspace)


async def _leave_for_good(
    session: AsyncSession, row: RowMapping, *, user_id: UUID, actor: Principal
) -> list[ChangeDraft]:
    if row["personal_owner_id"] == user_id:
        return await workspaces.end_workspace(session, row)
    promoted: list[ChangeDraft] = []
    members = await workspaces_repository.owners_and(session, row["id"], [user_id])
    if {one["user_id"] for one in members if one["role"] == "owner"} == {user_id}:
        successor = await workspaces_repository.find_successor(session, workspace_id=row["id"], user_id=user_id)
        if successor is None:
            return await workspaces.end_workspace(session, row)
        promoted = await _promote(session, workspace_id=row["id"], user_id=successor)
    departure = await _depart(session, workspace_id=row["id"], user_id=user_id, actor=actor, handover=NOTHING)
    return [*promoted, *departure.drafts]


async def _promote(session: AsyncSession, *, workspace_id: UUID, user_id: UUID) -> list[ChangeDraft]:
    row = await workspaces_repository.change_role(session, workspace_id=workspace_id, user_id=user_id, role="owner")
    return [] if row is None else [member_updated(row)]


async def _depart(
    session: AsyncSession, *, workspace_id: UUID, user_id: UUID, actor: Principal, handover: Handover
) -> Departure:
    """End a membership in a locked workspace.

    The membership goes first: who is giving its user something holds it, and is waited for.
    """
    row = await workspaces_repository.remove_member(session, workspace_id=workspace_id, user_id=user_id)
    if row is None:
        return Departure(Report())
    report = Report(
        project_memberships=await _delete(session, repository.project_member, row),
        shares=await _delete(session, repository.task_share, row),
        unwatched=await _delete(session, repository.watcher, row),
        unstarred=await _delete(session, repository.star, row),
        unlabelled=await _delete(session, repository.personal_label, row),
    )
    given, freed = await _unassign(session, row, actor=actor, handover=handover)
    report = replace(report, reassigned=_ids(given), unassigned=_ids(freed))
    return Departure(report, [*given, *freed, member_removed(row)])


def _ids(drafts: Sequence[ChangeDraft]) -> list[UUID]:
    return [draft.entity_id for draft in drafts]


async def _delete(session: AsyncSession, table: Any, row: RowMapping) -> int:
    return await repository.delete_of(session, table, workspace_id=row["workspace_id"], user_id=row["user_id"])


async def _unassign(
    session: AsyncSession, row: RowMapping, *, actor: Principal, handover: Handover
) -> tuple[list[ChangeDraft], list[ChangeDraft]]:
    """Take the leaver off all tasks; return the changes of those that the successor got, and of the others."""
    workspace_id, user_id, successor = row["workspace_id"], row["user_id"], handover.successor
    tasks = await repository.lock_assigned(session, workspace_id=workspace_id, user_id=user_id)
    if not tasks:
        return [], []
    ids = [task["id"] for task in tasks]
    given = (
        set()
        if successor is None
        else await repository.open_for(session, user_id=successor, workspace_id=workspace_id, task_ids=ids)
    )
    now = utcnow()
    changed = await repository.unassign(
        session, task_ids=ids, user_id=user_id, successor=successor, given=sorted(given), now=now
    )
    await _delete(session, repository.assignee, row)
    if given:
        state = {"user_id": successor, "state": "pending", "assigned_by": actor.user_id, "assigned_at": now}
        await repository.assign(session, workspace_id=workspace_id, task_ids=sorted(given), values=state)
    drafts = {task["id"]: _reassigned(task, changed[task["id"]]) for task in tasks}
    return [drafts[one] for one in ids if one in given], [drafts[one] for one in ids if one not in given]


def _reassigned(before: RowMapping, changed: RowMapping) -> ChangeDraft:
    return task_changed(TASK_UPDATED, before, cast("RowMapping", {**before, **changed}))
