"""Archiving, deleting and restoring projects, each with all that is in it.

The row of the workspace is locked throughout, so that nothing is put into the tree, or out of it, meanwhile. Who does
not manage all that is in a project changes none of it.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any
from uuid import UUID

from chassis.clock import utcnow
from chassis.errors import Forbidden
from chassis.identity import Principal
from sqlalchemy import RowMapping, func
from sqlalchemy.ext.asyncio import AsyncSession

from tasks_service.changes import service as changes
from tasks_service.changes.schemas import ChangeDraft
from tasks_service.project_lifecycle import repository
from tasks_service.projects import repository as projects
from tasks_service.projects.errors import InboxProject, ProjectArchived, ProjectMissing
from tasks_service.projects.events import (
    PROJECT_DELETED,
    PROJECT_PURGED,
    PROJECT_RESTORED,
    PROJECT_UPDATED,
    project_changed,
)
from tasks_service.projects.service import KIND
from tasks_service.trash.service import purge_tasks
from tasks_service.versions import service as versions
from tasks_service.versions.schemas import Expectation

Values = Mapping[str, Any]

HIDES_OR_SHOWS = frozenset({PROJECT_DELETED, PROJECT_RESTORED, PROJECT_PURGED})
"""What changes whether tasks are seen, for who sees them by shares, too."""


@dataclass(frozen=True, slots=True)
class TreeEdit:
    """A change of a project, and the same of what is in it and `applies`."""

    event_type: str
    values: Values
    of_others: Values
    applies: Callable[[RowMapping], bool]


@dataclass(frozen=True, slots=True)
class Request:
    """Who asks for a change of which project, and for which state of it; `in_trash` is where it is looked for."""

    project: RowMapping
    actor: Principal
    expected: Expectation
    in_trash: bool | None = False


async def archive_project(session: AsyncSession, request: Request) -> RowMapping:
    """Make a project and all that is in it read-only; archived already, it stays so.

    Raises InboxProject, Forbidden, and what versions.service.change raises, as all of these do.
    """
    project = await _locked(session, request)
    values = {"archived_at": project["archived_at"] or utcnow()}
    edit = TreeEdit(PROJECT_UPDATED, values, values, lambda row: not row["archived_at"] and not row["deleted_at"])
    return await _change_tree(session, request, project, edit)


async def unarchive_project(session: AsyncSession, request: Request) -> RowMapping:
    """Take a project alone out of the archive. Raises ProjectArchived while the one that it is in is archived."""
    project = await _locked(session, request)
    parent = await _parent_of(session, project)
    if parent is not None and parent["archived_at"] is not None:
        raise ProjectArchived
    edit = TreeEdit(PROJECT_UPDATED, {"archived_at": None}, {}, lambda _row: False)
    return await _change_tree(session, request, project, edit)


async def delete_project(session: AsyncSession, request: Request, *, permanently: bool) -> RowMapping:
    """Move a project with all that is in it to the trash, or delete it for good, from there or at once."""
    project = await _locked(session, request)
    if project["deleted_at"] is None and project["archived_at"] is not None:
        raise ProjectArchived
    now, actor_id = utcnow(), request.actor.user_id
    if not permanently:
        values = {"deleted_at": now, "deleted_by": actor_id}
        edit = TreeEdit(PROJECT_DELETED, values, values, lambda row: row["deleted_at"] is None)
        return await _change_tree(session, request, project, edit)
    columns = projects.project.c
    edit = TreeEdit(
        PROJECT_PURGED,
        {
            "deleted_at": project["deleted_at"] or now,
            "deleted_by": project["deleted_by"] or actor_id,
            "purged_at": now,
        },
        {
            "deleted_at": func.coalesce(columns.deleted_at, now),
            "deleted_by": func.coalesce(columns.deleted_by, actor_id),
            "purged_at": now,
        },
        lambda _row: True,
    )
    return await _change_tree(session, request, project, edit)


async def restore_project(session: AsyncSession, request: Request) -> RowMapping:
    """Take a project out of the trash with what went there with it.

    It is in no other project afterwards when the one that it was in is in the trash. Raises ProjectArchived when that
    is archived.
    """
    project = await _locked(session, request)
    parent = await _parent_of(session, project)
    if parent is not None and parent["archived_at"] is not None and parent["deleted_at"] is None:
        raise ProjectArchived
    back = {"deleted_at": None, "deleted_by": None}
    is_orphan = parent is None or parent["deleted_at"] is not None
    edit = TreeEdit(
        PROJECT_RESTORED,
        {**back, "parent_id": None if is_orphan else project["parent_id"]},
        back,
        lambda row: row["deleted_at"] == project["deleted_at"],
    )
    return await _change_tree(session, request, project, edit)


async def purge_project(session: AsyncSession, *, deleted_before: datetime) -> bool:
    """Delete rows of a project that was deleted for good, or long ago: a thousand tasks at most, then itself.

    Return whether there may be more to do.
    """
    row = await repository.lock_purgeable(session, deleted_before=deleted_before)
    if row is None:
        return False
    drafts: list[ChangeDraft] = []
    if row["purged_at"] is None:
        marked = await repository.change_all(session, [row["id"]], {"purged_at": utcnow()})
        drafts.append(project_changed(PROJECT_PURGED, row, marked[row["id"]]))
    tasks = await repository.lock_tasks(session, row["id"])
    drafts += await purge_tasks(session, rows=tasks) if tasks else []
    if drafts:
        await changes.record(session, workspace_id=row["workspace_id"], actor=None, drafts=drafts)
    if not tasks:
        await repository.remove(session, row["id"])
    return True


async def _locked(session: AsyncSession, request: Request) -> RowMapping:
    """Lock the tree, and return the project as it is now. Raises InboxProject, ProjectMissing."""
    if request.project["is_inbox"]:
        raise InboxProject
    await projects.lock_tree(session, request.project["workspace_id"])
    return await _read(session, request)


async def _read(session: AsyncSession, request: Request) -> RowMapping:
    row = await projects.find_visible(
        session, caller=request.actor, project_id=request.project["id"], in_trash=request.in_trash
    )
    if row is None:
        raise ProjectMissing
    return row


async def _parent_of(session: AsyncSession, project: RowMapping) -> RowMapping | None:
    return None if project["parent_id"] is None else await projects.find_unscoped(session, project["parent_id"])


async def _change_tree(session: AsyncSession, request: Request, project: RowMapping, edit: TreeEdit) -> RowMapping:
    """Change a project, and then what is in it, if the caller manages all of that."""
    changed = await versions.change(
        session,
        KIND,
        project,
        wanted=edit.values,
        expected=request.expected,
        read_again=lambda: _read(session, request),
    )
    if changed is None:
        return project
    drafts = [project_changed(edit.event_type, changed.before, changed.after)]
    drafts += await _change_below(session, request, edit)
    if edit.event_type in HIDES_OR_SHOWS:
        drafts = await _told_to_holders(session, drafts)
    await changes.record(session, workspace_id=project["workspace_id"], actor=request.actor, drafts=drafts)
    return changed.after


async def _told_to_holders(session: AsyncSession, drafts: Sequence[ChangeDraft]) -> list[ChangeDraft]:
    """Tell also those who see tasks of projects by shares alone, that what they see of these is not as before."""
    holders = await repository.holders_of_shares(session, [draft.entity_id for draft in drafts])
    return [replace(draft, lost_by=holders.get(draft.entity_id, frozenset())) for draft in drafts]


async def _change_below(session: AsyncSession, request: Request, edit: TreeEdit) -> list[ChangeDraft]:
    below = await repository.lock_below(session, request.project["id"])
    before: dict[UUID, RowMapping] = {row["id"]: row for row in below if edit.applies(row)}
    if not before:
        return []
    if not await repository.manages_all(session, request.actor, list(before)):
        raise Forbidden
    after = await repository.change_all(session, list(before), edit.of_others)
    return [project_changed(edit.event_type, row, after[one]) for one, row in before.items()]
