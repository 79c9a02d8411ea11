"""What happens when somebody leaves a workspace: one function, whoever ends the membership and why."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, cast
from uuid import UUID

from chassis.clock import utcnow
from chassis.identity import Principal
from sqlalchemy import RowMapping
from sqlalchemy.ext.asyncio import AsyncSession

from tasks_service.access_losses.service import drop_hidden
from tasks_service.changes import service as changes
from tasks_service.changes.schemas import ChangeDraft
from tasks_service.checklists.service import take_off_items
from tasks_service.leaving import repository
from tasks_service.project_members.events import project_member_added, project_member_updated
from tasks_service.projects.events import project_lost
from tasks_service.saved_filters.repository import delete_personal
from tasks_service.tasks.events import TASK_UPDATED, task_changed
from tasks_service.visibility.repository import hold_members
from tasks_service.watchers.events import watcher_added
from tasks_service.workspaces import repository as workspaces_repository
from tasks_service.workspaces import service as workspaces
from tasks_service.workspaces.events import member_removed, member_updated
from tasks_service.workspaces.service import Standing


@dataclass(frozen=True, slots=True)
class Handover:
    """Who takes over what the leaver had: the open tasks go to `successor`, if there is one.

    Private projects that nobody else manages go to `heir`.
    """

    successor: UUID | None = None
    heir: UUID | None = None


NOTHING = Handover()


@dataclass(frozen=True, slots=True)
class Report:
    """What went with a membership."""

    reassigned: Sequence[UUID] = ()
    unassigned: Sequence[UUID] = ()
    checklist_items: int = 0
    unwatched: int = 0
    unstarred: int = 0
    unlabelled: int = 0
    filters: int = 0
    shares: int = 0
    project_memberships: int = 0
    projects_transferred: Sequence[UUID] = ()


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

    Where they were the last owner who can log in, the admin who is longest there becomes one, or else the member; a
    workspace that nobody could own is deleted. Nothing happens the second time.
    """
    rows = await workspaces_repository.lock_all_of(session, user_id)
    # All of it before the first record, which takes a counter.
    drafts = {row["id"]: await _leave_for_good(session, row, user_id=user_id, actor=actor) for row in rows}
    for workspace_id, of_workspace in drafts.items():
        await changes.record(session, workspace_id=workspace_id, actor=actor, drafts=of_workspace)


async def projects_seen(session: AsyncSession, *, workspace_id: UUID, user_id: UUID) -> set[UUID]:
    """Return the projects of a workspace that a member sees: before a change of role, for `drop_unseen` after it."""
    return await repository.projects_seen(session, workspace_id=workspace_id, user_id=user_id)


async def drop_unseen(
    session: AsyncSession, *, workspace_id: UUID, user_id: UUID, seen: Collection[UUID]
) -> list[ChangeDraft]:
    """Take away what a member has on tasks that they see no more, after a change of role; return the changes.

    Of the projects that were `seen` before, those that are not any more are told to the member alone, as gone (J4).
    """
    gone = set(seen) - await repository.projects_seen(session, workspace_id=workspace_id, user_id=user_id)
    lost = [project_lost(row, user_id) for row in await repository.hold_projects(session, gone)] if gone else []
    tasks = await repository.touched_by(session, workspace_id=workspace_id, user_id=user_id)
    return [*lost, *(await drop_hidden(session, workspace_id=workspace_id, task_ids=tasks) if tasks else [])]


async def _leave_for_good(
    session: AsyncSession, row: RowMapping, *, user_id: UUID, actor: Principal
) -> list[ChangeDraft]:
    if row["personal_owner_id"] == user_id:
        return await workspaces.end_workspace(session, row)
    owners = {one["user_id"]: one for one in await workspaces_repository.owners_and(session, row["id"], [])}
    leaver = owners.pop(user_id, None)
    promoted: list[ChangeDraft] = []
    if leaver is not None and not any(one["is_active"] for one in owners.values()):
        # An owner who can't log in now may be back one day: so nobody else in that state comes in their place.
        successor = await workspaces_repository.find_successor(
            session, workspace_id=row["id"], user_id=user_id, is_active=bool(owners)
        )
        if successor is None and not owners:
            return await workspaces.end_workspace(session, row)
        promoted = await _promote(session, workspace_id=row["id"], user_id=successor)
    departure = await _depart(session, workspace_id=row["id"], user_id=user_id, actor=actor, handover=NOTHING)
    return [*promoted, *departure.drafts]


async def _promote(session: AsyncSession, *, workspace_id: UUID, user_id: UUID | None) -> list[ChangeDraft]:
    if user_id is None:
        return []
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
    if handover.successor is not None:
        await hold_members(session, workspace_id=workspace_id, user_ids=[handover.successor])
    projects = [] if handover.heir is None else await _hand_over_projects(session, row, heir=handover.heir)
    report = Report(
        projects_transferred=[draft.project_id for draft in projects if draft.project_id],
        project_memberships=await _delete(session, repository.project_member, row),
        shares=await _delete(session, repository.task_share, row),
        unwatched=await _delete(session, repository.watcher, row),
        unstarred=await _delete(session, repository.star, row),
        unlabelled=await _delete(session, repository.personal_label, row),
        filters=await delete_personal(session, workspace_id=workspace_id, user_id=user_id),
    )
    handed = await _unassign(session, row, actor=actor, handover=handover)
    items = await take_off_items(session, workspace_id=workspace_id, user_id=user_id)
    report = replace(report, reassigned=_ids(handed.given), unassigned=_ids(handed.freed), checklist_items=len(items))
    return Departure(report, [*projects, *handed.given, *handed.freed, *handed.watched, *items, member_removed(row)])


async def _hand_over_projects(session: AsyncSession, row: RowMapping, *, heir: UUID) -> list[ChangeDraft]:
    """Make somebody the manager of private projects that nobody else manages; the leaver still is one of them."""
    workspace_id = row["workspace_id"]
    orphaned = await repository.lock_orphaned_projects(session, workspace_id=workspace_id, user_id=row["user_id"])
    if not orphaned:
        return []
    roles = await repository.roles_in(session, user_id=heir, project_ids=orphaned)
    changed = await repository.make_manager(
        session, user_id=heir, workspace_id=workspace_id, project_ids=orphaned, now=utcnow()
    )
    return [
        project_member_updated(one, former_role=roles[one["project_id"]])
        if one["project_id"] in roles
        else project_member_added(one)
        for one in sorted(changed, key=lambda one: one["project_id"])
    ]


def _ids(drafts: Sequence[ChangeDraft]) -> list[UUID]:
    return [draft.entity_id for draft in drafts]


async def _delete(session: AsyncSession, table: Any, row: RowMapping) -> int:
    return await repository.delete_of(session, table, workspace_id=row["workspace_id"], user_id=row["user_id"])


@dataclass(frozen=True, slots=True)
class Handed:
    """Changes of tasks: that the successor got, and of which the leaver is gone, and the watching that follows."""

    given: Sequence[ChangeDraft] = ()
    freed: Sequence[ChangeDraft] = ()
    watched: Sequence[ChangeDraft] = ()


async def _unassign(session: AsyncSession, row: RowMapping, *, actor: Principal, handover: Handover) -> Handed:
    """Take the leaver off all tasks, in favour of the successor where there is one who sees them."""
    workspace_id, user_id, successor = row["workspace_id"], row["user_id"], handover.successor
    tasks = await repository.lock_assigned(session, workspace_id=workspace_id, user_id=user_id)
    if not tasks:
        return Handed()
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
    drafts = {task["id"]: _reassigned(task, changed[task["id"]]) for task in tasks}
    freed = [drafts[one] for one in ids if one not in given]
    if successor is None or not given:
        return Handed(freed=freed)
    state = {"user_id": successor, "state": "pending", "assigned_by": actor.user_id, "assigned_at": now}
    await repository.assign(session, workspace_id=workspace_id, task_ids=sorted(given), values=state)
    watched = await repository.watch(
        session, user_id=successor, workspace_id=workspace_id, task_ids=sorted(given), now=now
    )
    by_id = {task["id"]: task for task in tasks}
    return Handed(
        [drafts[one] for one in ids if one in given],
        freed,
        [watcher_added(one, by_id[one["task_id"]]) for one in sorted(watched, key=lambda one: one["task_id"])],
    )


def _reassigned(before: RowMapping, changed: RowMapping) -> ChangeDraft:
    return task_changed(TASK_UPDATED, before, cast("RowMapping", {**before, **changed}))
