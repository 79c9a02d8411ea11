"""All SQL on exports, which are kept by their jobs."""

from datetime import datetime
from uuid import UUID

from chassis.db.base import table_of
from sqlalchemy import RowMapping, select
from sqlalchemy.ext.asyncio import AsyncConnection

from tasks_service.jobs.models import Job
from tasks_service.permissions.rules import RULES
from tasks_service.visibility.repository import IS_ACTIVE, member, person, workspace

job = table_of(Job)


async def find_for_link(
    reader: AsyncConnection, *, export_id: UUID, user_id: UUID, finished_after: datetime
) -> RowMapping | None:
    """Return a finished export of somebody who may have it now: the link alone says nothing of that."""
    query = (
        select(*job.c)
        .join(member, (member.c.workspace_id == job.c.workspace_id) & (member.c.user_id == job.c.created_by))
        .join(workspace, workspace.c.id == job.c.workspace_id)
        .outerjoin(person, person.c.id == member.c.user_id)
        .where(
            job.c.id == export_id,
            job.c.kind == "export",
            job.c.status == "succeeded",
            job.c.created_by == user_id,
            job.c.finished_at > finished_after,
            member.c.role.in_(RULES["workspace.export"].roles),
            workspace.c.deleted_at.is_(None),
            IS_ACTIVE,
        )
    )
    return (await reader.execute(query)).mappings().one_or_none()
