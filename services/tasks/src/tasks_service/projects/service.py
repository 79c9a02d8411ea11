"""Making projects."""

from uuid import UUID

from chassis.clock import utcnow
from chassis.ids import uuid7
from sqlalchemy.ext.asyncio import AsyncSession

from tasks_service.changes.schemas import ChangeDraft
from tasks_service.projects import repository
from tasks_service.projects.events import project_created

INBOX_NAME = "Inbox"


async def create_inbox(session: AsyncSession, *, workspace_id: UUID, creator_id: UUID) -> ChangeDraft:
    """Add the project that takes tasks which name none; return the change to record."""
    return await create_project(
        session, workspace_id=workspace_id, name=INBOX_NAME, creator_id=creator_id, is_inbox=True
    )


async def create_project(
    session: AsyncSession, *, workspace_id: UUID, name: str, creator_id: UUID, is_inbox: bool = False
) -> ChangeDraft:
    """Add a project to a workspace; return the change to record."""
    now = utcnow()
    row = await repository.add(
        session,
        {
            "id": uuid7(),
            "workspace_id": workspace_id,
            "name": name,
            "is_inbox": is_inbox,
            "created_by": creator_id,
            "version": 1,
            "created_at": now,
            "updated_at": now,
        },
    )
    return project_created(row)
