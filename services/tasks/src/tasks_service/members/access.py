"""How endpoints come by the workspace of a membership that they are about."""

from typing import Annotated

from chassis.web.database import Writing
from chassis.web.identity import CurrentPrincipal
from fastapi import Depends, Request
from sqlalchemy import RowMapping

from tasks_service.path_ids import UserId, WorkspaceId
from tasks_service.workspaces.access import load_workspace


async def workspace_of_member(
    request: Request, workspace_id: WorkspaceId, user_id: UserId, caller: CurrentPrincipal, write: Writing
) -> RowMapping:
    """Load the workspace; the membership may be the caller's own. Raises WorkspaceMissing, Forbidden."""
    is_own = user_id == caller.user_id
    return await load_workspace(request, write.session, caller, workspace_id, is_own=is_own)


WorkspaceOfMember = Annotated[RowMapping, Depends(workspace_of_member, scope="function")]
