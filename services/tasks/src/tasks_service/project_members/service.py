"""Who has a role in a project of its own. Each change holds the project's row, so that its last manager stays.

Owners and admins of the workspace manage every project, so an open one may have no manager of its own; a private one
keeps one, or the others could do nothing for themselves.
"""

from uuid import UUID

from chassis.identity import Principal
from sqlalchemy import RowMapping
from sqlalchemy.ext.asyncio import AsyncSession

from tasks_service.access_losses.service import drop_hidden, lock_losers
from tasks_service.changes import service as changes
from tasks_service.changes.schemas import ChangeDraft
from tasks_service.project_members import repository
from tasks_service.project_members.errors import (
    LastManager,
    ProjectMemberLimitReached,
    ProjectMemberMissing,
    UserNotFound,
)
from tasks_service.project_members.events import (
    project_member_added,
    project_member_removed,
    project_member_updated,
)
from tasks_service.projects.rules import ProjectLimits
from tasks_service.projects.service import lock_project


async def put_member(
    session: AsyncSession, *, project: RowMapping, user_id: UUID, role: str, actor: Principal, limits: ProjectLimits
) -> RowMapping:
    """Give a member of the workspace a role in a project; having it already changes nothing.

    Raises UserNotFound, ProjectMissing, ProjectArchived, LastManager, ProjectMemberLimitReached.
    """
    workspace_id = project["workspace_id"]
    if not await repository.hold_in_workspace(session, workspace_id=workspace_id, user_id=user_id):
        raise UserNotFound(field="user_id")
    project = await lock_project(session, project, actor)
    found = await repository.find(session, project_id=project["id"], user_id=user_id)
    if found is None and await repository.count_of(session, project["id"]) >= limits.members:
        raise ProjectMemberLimitReached
    if found is None or found["role"] != role:
        draft = await _put(session, project, user_id, role, found)
        await changes.record(session, workspace_id=workspace_id, actor=actor, drafts=[draft])
    return await _named(session, project["id"], user_id)


async def remove_member(session: AsyncSession, *, project: RowMapping, user_id: UUID, actor: Principal) -> None:
    """End somebody's membership of a project, and all that followed from it.

    Raises ProjectMissing, ProjectArchived, ProjectMemberMissing, LastManager.
    """
    await lock_losers(session, workspace_id=project["workspace_id"], user_ids=[user_id])
    project = await lock_project(session, project, actor)
    found = await repository.find(session, project_id=project["id"], user_id=user_id)
    if found is None:
        raise ProjectMemberMissing
    if found["role"] == "manager":
        await _require_other_manager(session, project, user_id)
    await repository.remove(session, found["id"])
    lost = await drop_hidden(session, workspace_id=project["workspace_id"], project_ids=[project["id"]])
    drafts = [project_member_removed(found), *lost]
    await changes.record(session, workspace_id=project["workspace_id"], actor=actor, drafts=drafts)


async def _put(
    session: AsyncSession, project: RowMapping, user_id: UUID, role: str, found: RowMapping | None
) -> ChangeDraft:
    if found is None:
        return project_member_added(await repository.add(session, project=project, user_id=user_id, role=role))
    if found["role"] == "manager":
        await _require_other_manager(session, project, user_id)
    return project_member_updated(await repository.change_role(session, found["id"], role), former_role=found["role"])


async def _require_other_manager(session: AsyncSession, project: RowMapping, user_id: UUID) -> None:
    if project["visibility"] == "private" and not await repository.has_manager(
        session, project["id"], other_than=user_id
    ):
        raise LastManager


async def _named(session: AsyncSession, project_id: UUID, user_id: UUID) -> RowMapping:
    row = await repository.find(session, project_id=project_id, user_id=user_id)
    if row is None:
        raise ProjectMemberMissing
    return row
