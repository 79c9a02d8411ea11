"""Whether what is to go is in use."""

from uuid import UUID

from chassis.db.base import table_of
from sqlalchemy import exists, or_, select
from sqlalchemy.ext.asyncio import AsyncSession

from tasks_service.labels.models import PersonalLabel
from tasks_service.visibility.repository import project, task

personal_label = table_of(PersonalLabel)


async def has_label(session: AsyncSession, label_id: UUID) -> bool:
    """Tell whether any task has a label, whoever put it there."""
    shared = exists().where(task.c.labels.contains([label_id]))
    personal = exists().where(personal_label.c.label_id == label_id)
    return bool(await session.scalar(select(or_(shared, personal))))


async def has_category(session: AsyncSession, category_id: UUID) -> bool:
    """Tell whether any task has a category."""
    return bool(await session.scalar(select(exists().where(task.c.category_id == category_id))))


async def has_something(session: AsyncSession, project_id: UUID) -> bool:
    """Tell whether anything is in a project that is not in the trash."""
    inside = project.alias("inside")
    tasks = exists().where(task.c.project_id == project_id, task.c.deleted_at.is_(None))
    projects = exists().where(inside.c.parent_id == project_id, inside.c.deleted_at.is_(None))
    return bool(await session.scalar(select(or_(tasks, projects))))
