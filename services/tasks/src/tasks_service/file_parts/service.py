"""Who takes files out of a workspace, and into it."""

from typing import Literal
from uuid import UUID

from chassis.errors import Forbidden
from chassis.identity import Principal
from sqlalchemy import RowMapping

from tasks_service.file_parts.repository import Reader
from tasks_service.permissions.policies import can
from tasks_service.permissions.schemas import Held
from tasks_service.workspaces.errors import WorkspaceNotFound
from tasks_service.workspaces.repository import find_with_role

FileAction = Literal["workspace.export", "workspace.import"]


async def allowed_workspace(reader: Reader, actor: Principal, workspace_id: UUID, action: FileAction) -> RowMapping:
    """Return a workspace of which the actor may take all, or to which it may add anything.

    Raises WorkspaceNotFound, Forbidden.
    """
    row = await find_with_role(reader, caller=actor, workspace_id=workspace_id)
    if row is None:
        raise WorkspaceNotFound(field="workspace_id")
    if not can(actor, action, Held(row["role"], row["id"])).allowed:
        raise Forbidden
    return row
