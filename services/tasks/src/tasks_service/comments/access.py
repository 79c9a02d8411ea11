"""How endpoints come by a comment: loaded through what the caller sees, and authorised by the route's policy."""

from typing import Annotated

from chassis.web.database import Writing
from chassis.web.identity import CurrentPrincipal
from fastapi import Depends, Request
from sqlalchemy import RowMapping

from tasks_service.changes.access import FreshConnection
from tasks_service.comments import repository
from tasks_service.comments.errors import CommentNotFound
from tasks_service.path_ids import CommentId
from tasks_service.permissions.access import require_policy
from tasks_service.permissions.schemas import Held
from tasks_service.projects.errors import ProjectArchived
from tasks_service.tasks.access import NamedTask, identified


async def readable_comment(
    named: NamedTask, comment_id: CommentId, caller: CurrentPrincipal, connection: FreshConnection
) -> RowMapping:
    """Load a comment of a task that the caller may see. Raises CommentNotFound, AmbiguousKey."""
    task_id, _ = await identified(connection, caller, named)
    row = await repository.find_visible(connection, caller=caller, task_id=task_id, comment_id=comment_id)
    if row is None:
        raise CommentNotFound
    return row


async def writable_comment(
    request: Request, named: NamedTask, comment_id: CommentId, caller: CurrentPrincipal, write: Writing
) -> RowMapping:
    """Load a comment for what the route's policy says, in the transaction of that; its author is whose own it is.

    Raises CommentNotFound, AmbiguousKey, Forbidden, ProjectArchived.
    """
    task_id, _ = await identified(write.session, caller, named)
    row = await repository.find_writable(write.session, caller=caller, task_id=task_id, comment_id=comment_id)
    if row is None:
        raise CommentNotFound
    is_own = caller.user_id == row["author_id"]
    require_policy(request, caller, Held(row["role"], row["workspace_id"], row["project_id"], is_own=is_own))
    if row["is_archived"]:
        raise ProjectArchived
    return row


ReadableComment = Annotated[RowMapping, Depends(readable_comment, scope="function")]
WritableComment = Annotated[RowMapping, Depends(writable_comment, scope="function")]
