"""Periodic work on the storage."""

from datetime import timedelta

import structlog
from chassis.clock import utcnow
from sqlalchemy.ext.asyncio import AsyncSession

from attachments_service.attachments import repository
from attachments_service.locations import repository as locations
from attachments_service.storage.port import Storage

log = structlog.get_logger()

ORPHANS_KEPT = timedelta(hours=24)
"""Longer than any upload takes: a younger object may belong to a row that is about to be committed."""


WORKSPACES_KEPT = timedelta(days=30)
"""As long as the tasks service keeps what was in a deleted workspace."""


async def purge_workspaces(session: AsyncSession) -> bool:
    """Remove a batch of the files of a workspace that was deleted, and then what is known of it."""
    workspace_id = await locations.ended_before(session, utcnow() - WORKSPACES_KEPT)
    if workspace_id is None:
        return False
    if not await repository.remove_of_workspace(session, workspace_id):
        await locations.forget(session, workspace_id)
    return True


async def remove_orphans(session: AsyncSession, storage: Storage) -> None:
    """Remove objects that no attachment refers to, and what interrupted uploads left (R60)."""
    # The job's own transaction, and its lock, end here: none may wait for a storage, which can take minutes. Two
    # replicas at once do no harm, since an object is an orphan for both and may be removed twice.
    await session.rollback()
    moment = utcnow() - ORPHANS_KEPT
    removed = 0
    async for object_ids in storage.older_than(moment):
        async with session.begin():
            known = await repository.known_unscoped(session, object_ids)
        orphans = [object_id for object_id in object_ids if object_id not in known]
        await storage.delete(orphans)
        removed += len(orphans)
    await storage.sweep(moment)
    log.info("attachments.orphans_removed", count=removed)
