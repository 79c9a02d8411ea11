"""What has been hung on a task since it was made."""

from collections.abc import Collection
from uuid import UUID

from chassis.db.base import table_of
from sqlalchemy import all_, any_, bindparam, select
from sqlalchemy.ext.asyncio import AsyncSession

from tasks_service.comments.models import Comment
from tasks_service.visibility.repository import IDS

comment = table_of(Comment)

OF_TASKS = bindparam("of_tasks", type_=IDS)
BUT = bindparam("but", type_=IDS)


async def have_comments(session: AsyncSession, task_ids: Collection[UUID], *, but: Collection[UUID]) -> set[UUID]:
    """Return on which of these tasks there are comments beside those, of which deleted ones are none."""
    query = select(comment.c.task_id).where(comment.c.task_id == any_(OF_TASKS), comment.c.deleted_at.is_(None))
    query = query.where(comment.c.id != all_(BUT)).distinct()
    return set((await session.execute(query, {"of_tasks": sorted(task_ids), "but": sorted(but)})).scalars())
