"""Making and changing projects."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, cast
from uuid import UUID

from chassis.clock import utcnow
from chassis.errors import Forbidden
from chassis.identity import Principal
from chassis.ids import uuid7
from sqlalchemy import RowMapping
from sqlalchemy.ext.asyncio import AsyncSession

from tasks_service.access_losses.service import drop_hidden, lock_losers
from tasks_service.changes import repository as changes_repository
from tasks_service.changes import service as changes
from tasks_service.changes.schemas import ChangeDraft
from tasks_service.permissions.policies import can
from tasks_service.permissions.schemas import Held
from tasks_service.project_members import repository as members
from tasks_service.project_members.events import project_member_added, project_member_updated
from tasks_service.projects import repository
from tasks_service.projects.errors import (
    Cycle,
    InboxProject,
    PrefixTaken,
    ProjectArchived,
    ProjectLimitReached,
    ProjectMissing,
    TooDeep,
)
from tasks_service.projects.events import PROJECT_UPDATED, project_changed, project_created
from tasks_service.projects.rules import MAX_DEPTH, ProjectLimits
from tasks_service.projects.schemas import ProjectCreate, ProjectOut, ProjectPatch
from tasks_service.tasks.errors import ProjectNotFound
from tasks_service.versions import service as versions
from tasks_service.versions.schemas import Expectation

INBOX_NAME = "Inbox"
KIND = versions.Kind(repository.project, ProjectOut.of, field_of={})


async def create_inbox(session: AsyncSession, *, workspace_id: UUID, creator_id: UUID) -> ChangeDraft:
    """Add the project that takes tasks which name none; return the change to record."""
    return await create_project(
        session, workspace_id=workspace_id, name=INBOX_NAME, creator_id=creator_id, is_inbox=True
    )


async def create_project(
    session: AsyncSession, *, workspace_id: UUID, name: str, creator_id: UUID, is_inbox: bool = False
) -> ChangeDraft:
    """Add a project to a workspace; return the change to record."""
    values = {"workspace_id": workspace_id, "name": name, "is_inbox": is_inbox}
    return project_created(await _add(session, values, creator_id=creator_id))


async def add_project(
    session: AsyncSession, *, wanted: ProjectCreate, workspace: RowMapping, actor: Principal, limits: ProjectLimits
) -> RowMapping:
    """Add a project to a locked workspace. Whoever does not manage it anyway, or makes it private, becomes a manager.

    Unless it says so itself, it is seen by whom the project that it is in says. Raises ProjectLimitReached,
    ProjectNotFound, ProjectArchived, TooDeep, PrefixTaken.
    """
    if await repository.count_in(session, workspace["id"]) >= limits.projects:
        raise ProjectLimitReached
    values = wanted.model_dump(exclude={"workspace_id"})
    if wanted.parent_id is not None:
        parent = await _require_place(session, wanted.parent_id, workspace["id"], actor, height=1)
        if "visibility" not in wanted.model_fields_set:
            values["visibility"] = parent["visibility"]
    project_id = uuid7()
    if wanted.prefix is not None:
        await _claim_prefix(session, workspace["id"], wanted.prefix, project_id)
    values |= {"id": project_id, "workspace_id": workspace["id"], "is_inbox": False}
    row = await _add(session, values, creator_id=actor.user_id)
    drafts = [project_created(row)]
    if values["visibility"] == "private" or workspace["role"] == "member":
        drafts.append(await _make_manager(session, row, actor.user_id))
    await changes.record(session, workspace_id=workspace["id"], actor=actor, drafts=drafts)
    return cast("RowMapping", {**row, "role": "manager"})


async def update_project(
    session: AsyncSession, *, project: RowMapping, patch: ProjectPatch, expected: Expectation, actor: Principal
) -> RowMapping:
    """Apply a merge patch. What is equal already changes nothing: no version, no event.

    Raises what versions.service.change raises, ProjectNotFound, ProjectArchived, InboxProject, Cycle, TooDeep,
    PrefixTaken.
    """
    values = patch.given()
    if project["is_inbox"] and (values.get("parent_id") or values.get("visibility") == "private"):
        raise InboxProject
    if "parent_id" in values:
        await repository.lock_tree(session, project["workspace_id"])
    if "visibility" in values:
        await lock_losers(session, workspace_id=project["workspace_id"])
    project = await lock_project(session, project, actor)
    await _require_values(session, project, values, actor)
    readers = await changes_repository.readers_of_projects(session, [project["id"]])
    changed = await versions.change(
        session,
        KIND,
        project,
        wanted=values,
        expected=expected,
        read_again=lambda: find_again(session, project["id"], actor),
    )
    if changed is None:
        return project
    drafts = await _follow(session, changed, readers.get(project["id"], []), actor)
    await changes.record(session, workspace_id=project["workspace_id"], actor=actor, drafts=drafts)
    return changed.after


async def lock_project(session: AsyncSession, project: RowMapping, actor: Principal) -> RowMapping:
    """Lock a project that is to be changed, and return it as it is now. Raises ProjectMissing, ProjectArchived."""
    await repository.lock(session, project["id"])
    return await find_again(session, project["id"], actor)


async def find_again(session: AsyncSession, project_id: UUID, actor: Principal) -> RowMapping:
    """Read a project that is to be changed once more. Raises ProjectMissing, ProjectArchived."""
    row = await repository.find_visible(session, caller=actor, project_id=project_id)
    if row is None:
        raise ProjectMissing
    if row["archived_at"] is not None:
        raise ProjectArchived
    return row


async def _make_manager(session: AsyncSession, project: RowMapping, user_id: UUID) -> ChangeDraft:
    found = await members.find(session, project_id=project["id"], user_id=user_id)
    if found is None:
        return project_member_added(await members.add(session, project=project, user_id=user_id, role="manager"))
    row = await members.change_role(session, found["id"], "manager")
    return project_member_updated(row, former_role=found["role"])


async def _require_values(
    session: AsyncSession, project: RowMapping, values: Mapping[str, Any], actor: Principal
) -> None:
    """Check what depends on other projects, and take the prefix."""
    parent_id, prefix = values.get("parent_id"), values.get("prefix", project["prefix"])
    if parent_id not in {None, project["parent_id"]}:
        height = await repository.height_of(session, project["id"])
        await _require_place(
            session, parent_id, project["workspace_id"], actor, height=height, project_id=project["id"]
        )
    if prefix != project["prefix"]:
        await _claim_prefix(session, project["workspace_id"], prefix, project["id"])


async def _follow(
    session: AsyncSession, changed: versions.Changed, readers: list[UUID], actor: Principal
) -> list[ChangeDraft]:
    """Do what a change of a project entails, and return all changes: who saw it before is told that they lose it."""
    before, after = changed.before, changed.after
    if before["prefix"] != after["prefix"]:
        await repository.keep_keys(session, project_id=after["id"], prefix=before["prefix"])
    if before["visibility"] == after["visibility"]:
        return [project_changed(PROJECT_UPDATED, before, after)]
    managers: list[ChangeDraft] = []
    lost: list[ChangeDraft] = []
    if after["visibility"] == "private":
        if not await members.has_manager(session, after["id"]):
            managers = [await _make_manager(session, after, actor.user_id)]
        lost = await drop_hidden(session, workspace_id=after["workspace_id"], project_ids=[after["id"]])
    return [replace(project_changed(PROJECT_UPDATED, before, after), lost_by=frozenset(readers)), *managers, *lost]


async def _require_place(
    session: AsyncSession,
    parent_id: UUID,
    workspace_id: UUID,
    actor: Principal,
    *,
    height: int,
    project_id: UUID | None = None,
) -> RowMapping:
    """Check that a project, with what is in it as deep as `height`, may be in another, and return that.

    The tree is locked.

    Raises ProjectNotFound, Forbidden, ProjectArchived, Cycle, TooDeep.
    """
    parent = await repository.find_visible(session, caller=actor, project_id=parent_id)
    if parent is None or parent["workspace_id"] != workspace_id:
        raise ProjectNotFound(field="parent_id")
    # Who manages a project answers for all that is in it, and so says what is.
    if not can(actor, "project.edit", Held(parent["role"], workspace_id, parent_id)).allowed:
        raise Forbidden
    line = await repository.line_of(session, parent_id)
    if project_id in line:
        raise Cycle(field="parent_id")
    if parent["archived_at"] is not None:
        raise ProjectArchived
    if len(line) + height > MAX_DEPTH:
        raise TooDeep(field="parent_id")
    return parent


async def _claim_prefix(session: AsyncSession, workspace_id: UUID, prefix: str, project_id: UUID) -> None:
    if not await repository.claim_prefix(session, workspace_id=workspace_id, prefix=prefix, project_id=project_id):
        raise PrefixTaken(field="prefix")


async def _add(session: AsyncSession, values: Mapping[str, Any], *, creator_id: UUID) -> RowMapping:
    now = utcnow()
    made = {"id": uuid7(), "created_by": creator_id, "version": 1, "created_at": now, "updated_at": now}
    return await repository.add(session, {**made, **values})
