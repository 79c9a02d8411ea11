"""What has been hung on a task since it was made."""

from collections.abc import Collection
from uuid import UUID

from chassis.db.base import table_of
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from tasks_service.comments.models import Comment

comment = table_of(Comment)


async def has_comments(session: AsyncSession, task_id: UUID, *, but: Collection[UUID]) -> bool:
    """Tell whether there are comments on a task beside these, of which deleted ones are none."""
    query = select(comment.c.id).where(comment.c.task_id == task_id, comment.c.deleted_at.is_(None))
    return await session.scalar(query.where(comment.c.id.not_in(but)).limit(1)) is not None
