"""How endpoints come by a workspace: loaded through what the caller sees, and authorised by the route's policy."""

from typing import Annotated
from uuid import UUID

from chassis.identity import Principal
from chassis.web.database import Writing
from chassis.web.identity import CurrentPrincipal
from fastapi import Depends, Request
from sqlalchemy import RowMapping

from tasks_service.changes.access import FreshConnection
from tasks_service.path_ids import WorkspaceId
from tasks_service.permissions.access import require_policy
from tasks_service.permissions.schemas import Held
from tasks_service.workspaces import repository
from tasks_service.workspaces.errors import WorkspaceMissing


async def readable_workspace(
    request: Request, workspace_id: WorkspaceId, caller: CurrentPrincipal, connection: FreshConnection
) -> RowMapping:
    """Load a workspace that the caller may see, with the caller's `role`. Raises WorkspaceMissing, Forbidden."""
    return await load_workspace(request, connection, caller, workspace_id)


async def writable_workspace(
    request: Request, workspace_id: WorkspaceId, caller: CurrentPrincipal, write: Writing
) -> RowMapping:
    """Load a workspace in the transaction of its change. Raises WorkspaceMissing, Forbidden."""
    return await load_workspace(request, write.session, caller, workspace_id)


async def load_workspace(
    request: Request, reader: repository.Reader, caller: Principal, workspace_id: UUID, *, is_own: bool = False
) -> RowMapping:
    """Load a workspace for what the route's policy says. Raises WorkspaceMissing, Forbidden."""
    row = await repository.find_with_role(reader, caller=caller, workspace_id=workspace_id)
    if row is None:
        raise WorkspaceMissing
    require_policy(request, caller, Held(row["role"], row["id"], is_own=is_own))
    return row


ReadableWorkspace = Annotated[RowMapping, Depends(readable_workspace, scope="function")]
WritableWorkspace = Annotated[RowMapping, Depends(writable_workspace, scope="function")]
