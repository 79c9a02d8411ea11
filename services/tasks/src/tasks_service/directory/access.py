"""How the directory of a workspace is found by a request."""

from typing import Annotated

from chassis.web.identity import CurrentPrincipal
from fastapi import Depends, Request
from sqlalchemy import RowMapping

from tasks_service.changes.access import FreshConnection
from tasks_service.directory import repository
from tasks_service.directory.errors import DirectoryNotFound
from tasks_service.path_ids import WorkspaceId
from tasks_service.permissions.access import require_policy
from tasks_service.permissions.schemas import Held


async def readable_directory(
    request: Request, workspace_id: WorkspaceId, caller: CurrentPrincipal, connection: FreshConnection
) -> RowMapping:
    """Load a workspace that the caller sees. Raises DirectoryNotFound, Forbidden."""
    row = await repository.find_workspace(connection, caller, workspace_id)
    if row is None:
        raise DirectoryNotFound
    require_policy(request, caller, Held(row["role"], row["workspace_id"]))
    return row


ReadableDirectory = Annotated[RowMapping, Depends(readable_directory, scope="function")]
