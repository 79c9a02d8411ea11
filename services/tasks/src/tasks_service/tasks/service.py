"""Use cases of tasks. Each is part of one transaction that its caller commits."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from chassis.clock import utcnow
from chassis.cursors import CursorSigner
from chassis.errors import ErrorDetail, Forbidden
from chassis.identity import Principal
from chassis.ids import uuid7
from chassis.paging import Paging, page_meta
from sqlalchemy import RowMapping
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncSession

from tasks_service.changes import service as changes
from tasks_service.permissions.policies import can
from tasks_service.permissions.schemas import Held
from tasks_service.projects import repository as projects
from tasks_service.projects.repository import ProjectAccess
from tasks_service.tasks import repository
from tasks_service.tasks.errors import ProjectNotFound, TaskBusy, TaskNotFound, TaskVersionConflict
from tasks_service.tasks.events import TASK_CREATED, TASK_DELETED, TASK_UPDATED, task_changed
from tasks_service.tasks.filters import TaskFilter
from tasks_service.tasks.rules import NO_DUE, completion, differences
from tasks_service.tasks.schemas import TaskCreate, TaskOut, TaskPatch
from tasks_service.workspaces.service import ensure_personal_workspace

ATTEMPTS = 5


@dataclass(frozen=True, slots=True)
class Edit:
    """A wanted change of one task: `values` by column, and the version it was made for, if the caller said so."""

    event_type: str
    values: Mapping[str, Any]
    expected_version: int | None


async def create_task(session: AsyncSession, *, wanted: TaskCreate, actor: Principal) -> RowMapping:
    """Add a task to the wanted project, or to the actor's Inbox. Raises ProjectNotFound or Forbidden."""
    project = await _target_project(session, wanted.project_id, actor)
    if not can(actor, "project.create_task", Held(project.role, project.workspace_id, project.id)).allowed:
        raise Forbidden
    row = await repository.add(session, _new_task(wanted, project, actor))
    await changes.record(
        session, workspace_id=row["workspace_id"], actor=actor, drafts=[task_changed(TASK_CREATED, None, row)]
    )
    return row


@dataclass(frozen=True, slots=True)
class Page:
    """Part of a list, with the `meta` that says which part."""

    rows: Sequence[RowMapping]
    meta: dict[str, Any]


async def list_tasks(
    reader: AsyncConnection, *, caller: Principal, wanted: TaskFilter, paging: Paging, signer: CursorSigner
) -> Page:
    """Return one page of what the caller may see, newest first. Raises InvalidCursor or CursorMismatch."""
    if paging.cursor is not None:
        return await _walk(reader, caller, wanted, paging, signer)
    total = await repository.count_visible(reader, caller=caller, wanted=wanted)
    rows = await repository.list_visible(
        reader, caller=caller, wanted=wanted, limit=paging.per_page, offset=paging.offset
    )
    return Page(rows, page_meta(paging, total))


async def _walk(
    reader: AsyncConnection, caller: Principal, wanted: TaskFilter, paging: Paging, signer: CursorSigner
) -> Page:
    """Walk by id, which follows creation; one row more than asked for tells whether there is a next part."""
    query = f"{caller.user_id}{wanted.fingerprint()}".encode()
    place, backwards = signer.read_page(paging.cursor, query=query) if paging.cursor else (None, False)
    edge = None if place is None else UUID(str(place[0]))
    rows = await repository.list_visible(
        reader,
        caller=caller,
        wanted=wanted,
        limit=paging.per_page + 1,
        before=None if backwards else edge,
        after=edge if backwards else None,
    )
    shown = list(rows[: paging.per_page])
    more = len(rows) > paging.per_page
    if backwards:
        shown.reverse()
    older = more or backwards
    newer = edge is not None and (more or not backwards)
    return Page(
        shown,
        {
            "per_page": paging.per_page,
            "next_cursor": signer.page(query=query, after=[str(shown[-1]["id"])]) if shown and older else None,
            "prev_cursor": (
                signer.page(query=query, after=[str(shown[0]["id"])], backwards=True) if shown and newer else None
            ),
            "has_more": older and bool(shown),
        },
    )


async def update_task(
    session: AsyncSession, *, task: RowMapping, patch: TaskPatch, expected_version: int | None, actor: Principal
) -> RowMapping:
    """Apply a merge patch. What is equal already changes nothing: no version, no event."""
    edit = Edit(TASK_UPDATED, _columns(patch.given()), expected_version)
    return await _apply(session, task=task, edit=edit, actor=actor)


async def delete_task(
    session: AsyncSession, *, task: RowMapping, expected_version: int | None, actor: Principal
) -> RowMapping:
    """Move a task to the trash."""
    edit = Edit(TASK_DELETED, {"deleted_at": utcnow()}, expected_version)
    return await _apply(session, task=task, edit=edit, actor=actor)


async def _apply(session: AsyncSession, *, task: RowMapping, edit: Edit, actor: Principal) -> RowMapping:
    """Change a task at its current version, reading again when somebody was faster and the caller named no version."""
    for _ in range(ATTEMPTS):
        await _refuse_stale(session, task, edit.expected_version)
        changed = differences(task, edit.values)
        if not changed:
            return task
        now = utcnow()
        changed |= completion(changed, was=task["status"], actor_id=actor.user_id, now=now)
        row = await repository.apply_changes(
            session, task_id=task["id"], expected_version=task["version"], values={**changed, "updated_at": now}
        )
        if row is not None:
            draft = task_changed(edit.event_type, task, row)
            await changes.record(session, workspace_id=row["workspace_id"], actor=actor, drafts=[draft])
            return row
        task = await _read_again(session, task["id"], actor)
    raise TaskBusy(retry_after=1)


async def _read_again(session: AsyncSession, task_id: UUID, actor: Principal) -> RowMapping:
    row = await repository.find_visible(session, caller=actor, task_id=task_id)
    if row is None:
        raise TaskNotFound
    return row


async def _refuse_stale(session: AsyncSession, task: RowMapping, expected_version: int | None) -> None:
    if expected_version is None or expected_version == task["version"]:
        return
    fields = await repository.fields_changed_since(session, task_id=task["id"], version=expected_version)
    raise TaskVersionConflict(
        details=[ErrorDetail(TaskVersionConflict.code, "This field was changed since.", field) for field in fields],
        data={"current": TaskOut.of(task).model_dump(mode="json")},
    )


async def _target_project(session: AsyncSession, project_id: UUID | None, actor: Principal) -> ProjectAccess:
    if project_id is not None:
        project = await repository.find_visible_project(session, caller=actor, project_id=project_id)
    else:
        project = await _inbox(session, actor)
    if project is None:
        raise ProjectNotFound(field="project_id")
    return project


async def _inbox(session: AsyncSession, actor: Principal) -> ProjectAccess | None:
    """Return the actor's Inbox, made now if need be: not for a token that would not see it, and none is a machine's."""
    inbox = await projects.find_inbox(session, actor)
    if inbox is None and not actor.is_restricted and actor.via != "bot":
        await ensure_personal_workspace(session, owner=actor)
        inbox = await projects.find_inbox(session, actor)
    return inbox


def _new_task(wanted: TaskCreate, project: ProjectAccess, actor: Principal) -> dict[str, Any]:
    now = utcnow()
    return {
        "id": uuid7(),
        "workspace_id": project.workspace_id,
        "project_id": project.id,
        "title": wanted.title,
        "description": wanted.description,
        "status": wanted.status,
        "priority": wanted.priority,
        **(NO_DUE if wanted.due is None else wanted.due.columns()),
        "completed_at": None,
        "completed_by": None,
        **completion({"status": wanted.status}, was=None, actor_id=actor.user_id, now=now),
        "created_by": actor.user_id,
        "version": 1,
        "created_at": now,
        "updated_at": now,
        "deleted_at": None,
    }


def _columns(fields: Mapping[str, Any]) -> dict[str, Any]:
    """Translate fields of the API to columns."""
    columns = {name: value for name, value in fields.items() if name != "due"}
    if "due" in fields:
        columns |= NO_DUE if fields["due"] is None else fields["due"].columns()
    return columns
