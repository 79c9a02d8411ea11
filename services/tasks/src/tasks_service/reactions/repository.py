"""All SQL on reactions; the comment is locked."""

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from chassis.db.base import table_of
from sqlalchemy import RowMapping, delete, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from tasks_service.comments.models import Reaction

reaction = table_of(Reaction)


async def emoji_on(session: AsyncSession, comment_id: UUID) -> set[str]:
    """Return the different emoji on a comment."""
    query = select(reaction.c.emoji).where(reaction.c.comment_id == comment_id).distinct()
    return set((await session.execute(query)).scalars())


async def add(session: AsyncSession, values: Mapping[str, Any]) -> RowMapping | None:
    """Insert a reaction; None if it is there."""
    statement = insert(reaction).values(dict(values)).on_conflict_do_nothing().returning(*reaction.c)
    return (await session.execute(statement)).mappings().one_or_none()


async def remove(session: AsyncSession, *, comment_id: UUID, user_id: UUID, emoji: str) -> RowMapping | None:
    """Delete a reaction; None if there is none."""
    statement = (
        delete(reaction)
        .where(reaction.c.comment_id == comment_id, reaction.c.user_id == user_id, reaction.c.emoji == emoji)
        .returning(*reaction.c)
    )
    return (await session.execute(statement)).mappings().one_or_none()
