"""How endpoints come by a project: loaded through what the caller sees, and authorised by the route's policy."""

from typing import Annotated
from uuid import UUID

from chassis.web.database import PrimaryConnection, Write, Writing
from chassis.web.flags import Flag
from chassis.web.identity import CurrentPrincipal
from fastapi import Depends, Query, Request
from sqlalchemy import RowMapping

from tasks_service.changes.access import FreshConnection
from tasks_service.path_ids import ProjectId
from tasks_service.permissions.access import require_policy
from tasks_service.permissions.schemas import Held
from tasks_service.projects import repository
from tasks_service.projects.errors import ProjectArchived, ProjectMissing, WorkspaceNotFound
from tasks_service.projects.policies import held
from tasks_service.projects.rules import ProjectLimits
from tasks_service.workspaces.service import ensure_personal_workspace


async def readable_project(project_id: ProjectId, caller: CurrentPrincipal, connection: FreshConnection) -> RowMapping:
    """Load a project that the caller may see. Raises ProjectMissing."""
    row = await repository.find_visible(connection, caller=caller, project_id=project_id)
    if row is None:
        raise ProjectMissing
    return row


async def locatable_project(
    project_id: ProjectId, caller: CurrentPrincipal, connection: PrimaryConnection
) -> RowMapping:
    """Load a project that the caller may see, from the primary, as locatable_task does. Raises ProjectMissing."""
    return await readable_project(project_id, caller, connection)


async def archivable_project(
    request: Request, project_id: ProjectId, caller: CurrentPrincipal, write: Writing
) -> RowMapping:
    """Load a project for what the route's policy says, archived or not. Raises ProjectMissing, Forbidden."""
    return await _found(request, write, caller, project_id, in_trash=False)


async def writable_project(
    request: Request, project_id: ProjectId, caller: CurrentPrincipal, write: Writing
) -> RowMapping:
    """Load a project for what the route's policy says. Raises ProjectMissing, Forbidden, ProjectArchived."""
    row = await _found(request, write, caller, project_id, in_trash=False)
    if row["archived_at"] is not None:
        raise ProjectArchived
    return row


async def deletable_project(
    request: Request,
    project_id: ProjectId,
    caller: CurrentPrincipal,
    write: Writing,
    *,
    permanent: Annotated[
        Flag, Query(description="Delete it for good, from the trash or not, with all its tasks.")
    ] = False,
) -> RowMapping:
    """Load a project to delete it, from the trash when it is to go for good. Raises ProjectMissing, Forbidden."""
    return await _found(request, write, caller, project_id, in_trash=None if permanent else False)


async def trashed_project(
    request: Request, project_id: ProjectId, caller: CurrentPrincipal, write: Writing
) -> RowMapping:
    """Load a project from the trash. Raises ProjectMissing, Forbidden."""
    return await _found(request, write, caller, project_id, in_trash=True)


async def _found(
    request: Request, write: Write, caller: CurrentPrincipal, project_id: UUID, *, in_trash: bool | None
) -> RowMapping:
    row = await repository.find_visible(write.session, caller=caller, project_id=project_id, in_trash=in_trash)
    if row is None:
        raise ProjectMissing
    require_policy(request, caller, held(row))
    return row


async def target_workspace(
    request: Request, write: Write, caller: CurrentPrincipal, workspace_id: UUID | None
) -> RowMapping:
    """Return the workspace that takes a new project, locked; without an id it is the caller's personal one.

    Raises WorkspaceNotFound, Forbidden.
    """
    row = await repository.lock_target(write.session, caller, workspace_id)
    if row is None and workspace_id is None and not caller.is_restricted and caller.via != "bot":
        await ensure_personal_workspace(write.session, owner=caller)
        row = await repository.lock_target(write.session, caller, workspace_id)
    if row is None:
        raise WorkspaceNotFound(field="workspace_id")
    require_policy(request, caller, Held(row["role"], row["id"], None))
    return row


async def project_limits(request: Request) -> ProjectLimits:
    """Return how much there may be of everything."""
    limits: ProjectLimits = request.app.state.project_limits
    return limits


Limits = Annotated[ProjectLimits, Depends(project_limits)]
ReadableProject = Annotated[RowMapping, Depends(readable_project, scope="function")]
LocatableProject = Annotated[RowMapping, Depends(locatable_project, scope="function")]
ArchivableProject = Annotated[RowMapping, Depends(archivable_project, scope="function")]
WritableProject = Annotated[RowMapping, Depends(writable_project, scope="function")]
DeletableProject = Annotated[RowMapping, Depends(deletable_project, scope="function")]
TrashedProject = Annotated[RowMapping, Depends(trashed_project, scope="function")]
