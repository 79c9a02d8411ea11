"""Deleting workspaces for good, a batch at a time."""

from datetime import datetime
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from tasks_service.workspace_purging import repository

BATCH = 1_000


async def purge_workspace(session: AsyncSession, *, deleted_before: datetime) -> bool:
    """Delete up to 1,000 rows of a workspace that has been deleted for long; tell whether there may be more.

    What is in it goes first, and the workspace itself in a transaction of its own.
    """
    workspace_id = await repository.find_expired(session, deleted_before=deleted_before)
    if workspace_id is None:
        return False
    if await _delete_some(session, workspace_id) == 0:
        await repository.delete_workspace(session, workspace_id)
    return True


async def _delete_some(session: AsyncSession, workspace_id: UUID) -> int:
    gone = 0
    for table in repository.emptied():
        before = -1
        # Of what hangs on rows of the same table, the leaves go first.
        while before < gone < BATCH:
            before = gone
            gone += await repository.delete_rows(session, table, workspace_id=workspace_id, limit=BATCH - gone)
        if gone == BATCH:
            break
    return gone
