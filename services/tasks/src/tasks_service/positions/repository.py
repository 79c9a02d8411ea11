"""All SQL on places: who has one, and the neighbors of one, from the index."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, RowMapping, Select, Text, all_, and_, any_, bindparam, select, union_all
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.ext.asyncio import AsyncSession

from tasks_service.tasks.repository import task
from tasks_service.visibility.repository import IDS

PLACES: ColumnElement[Any] = bindparam("places", type_=ARRAY(Text))
BUT: ColumnElement[Any] = bindparam("but", type_=IDS)


async def find_next(
    session: AsyncSession, *, of: RowMapping, position: str, is_after: bool, but_for: UUID | None = None
) -> RowMapping | None:
    """Return the `id` and the `position` of the task of a task's project that is next to a place, on one side of it.

    What is in the trash keeps its place there, for when it comes back; the index has only what is not.
    """
    beside = task.c.position > position if is_after else task.c.position < position
    others = [] if but_for is None else [task.c.id != but_for]

    def first(condition: ColumnElement[bool]) -> Select[Any]:
        place = task.c.position
        order = (place, task.c.id) if is_after else (place.desc(), task.c.id.desc())
        query = select(task.c.id, place).where(task.c.project_id == of["project_id"], beside, condition, *others)
        return query.order_by(*order).limit(1)

    both = union_all(*(select(first(one).subquery()) for one in _parts(of))).subquery()
    order = (both.c.position, both.c.id) if is_after else (both.c.position.desc(), both.c.id.desc())
    return (await session.execute(select(*both.c).order_by(*order).limit(1))).mappings().one_or_none()


async def is_taken(session: AsyncSession, *, of: RowMapping, position: str) -> bool:
    """Tell whether another task of a task's project has a place, in the trash or not."""
    is_it = (task.c.project_id == of["project_id"], task.c.position == position, task.c.id != of["id"])
    parts = (select(task.c.id).where(*is_it, one) for one in _parts(of))
    return await session.scalar(union_all(*parts).limit(1)) is not None


async def is_any_taken(session: AsyncSession, *, of: RowMapping, positions: Sequence[str], but: Sequence[UUID]) -> bool:
    """Tell whether a task of a task's project that is not among those has one of the places, in the trash or not."""
    is_it = (task.c.project_id == of["project_id"], task.c.position == any_(PLACES), task.c.id != all_(BUT))
    parts = (select(task.c.id).where(*is_it, one) for one in _parts(of))
    wanted = {"places": sorted(positions), "but": sorted(but)}
    return await session.scalar(union_all(*parts).limit(1), wanted) is not None


def _parts(of: RowMapping) -> Sequence[ColumnElement[bool]]:
    """Return the conditions of what is in the index of places, and of the trash, which is in another."""
    in_trash = and_(task.c.deleted_at.is_not(None), task.c.workspace_id == of["workspace_id"])
    return task.c.deleted_at.is_(None), in_trash
