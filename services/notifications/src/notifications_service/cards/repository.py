"""All SQL on what is known of tasks, of who watches them, of comments, and of what places are called."""

from collections.abc import Collection, Mapping, Sequence
from functools import cache
from typing import Any
from uuid import UUID

from chassis.db.arrays import given_uuids, uuids
from chassis.db.base import table_of
from sqlalchemy import RowMapping, Table, any_, delete, select
from sqlalchemy.dialects.postgresql import Insert, insert
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncSession

from notifications_service.cards.models import CommentCard, PlaceCard, TaskCard, Watcher

comment_card = table_of(CommentCard)
place_card = table_of(PlaceCard)
task_card = table_of(TaskCard)
watcher = table_of(Watcher)

Reader = AsyncConnection | AsyncSession

# Asked with every batch of events: making them anew takes longer than what they do.
IDS = given_uuids("ids")
OF_TASKS = select(task_card).where(task_card.c.task_id == any_(IDS))
OF_WATCHERS = select(watcher).where(watcher.c.task_id == any_(IDS))
OF_COMMENTS = select(comment_card).where(comment_card.c.comment_id == any_(IDS))


async def find_tasks(reader: Reader, task_ids: Collection[UUID]) -> Sequence[RowMapping]:
    """Return what is known of tasks."""
    return (await reader.execute(OF_TASKS, {"ids": list(task_ids)})).mappings().all()


async def find_watchers(reader: Reader, task_ids: Collection[UUID]) -> Sequence[RowMapping]:
    """Return who watches tasks, or has ended that."""
    return (await reader.execute(OF_WATCHERS, {"ids": list(task_ids)})).mappings().all()


async def find_comments(reader: Reader, comment_ids: Collection[UUID]) -> Sequence[RowMapping]:
    """Return whose comments are."""
    return (await reader.execute(OF_COMMENTS, {"ids": list(comment_ids)})).mappings().all()


async def find_places(reader: Reader, place_ids: Collection[UUID]) -> Sequence[RowMapping]:
    """Return what workspaces and projects are called."""
    query = select(place_card).where(place_card.c.place_id == any_(uuids(place_ids)))
    return (await reader.execute(query)).mappings().all()


async def put_tasks(session: AsyncSession, rows: Sequence[Mapping[str, Any]]) -> None:
    await _put(session, task_card, rows, keys=("task_id",))


async def put_watchers(session: AsyncSession, rows: Sequence[Mapping[str, Any]]) -> None:
    await _put(session, watcher, rows, keys=("task_id", "user_id"))


async def put_comments(session: AsyncSession, rows: Sequence[Mapping[str, Any]]) -> None:
    await _put(session, comment_card, rows, keys=("comment_id",))


async def put_places(session: AsyncSession, rows: Sequence[Mapping[str, Any]]) -> None:
    await _put(session, place_card, rows, keys=("place_id",))


async def remove_tasks(session: AsyncSession, task_ids: Collection[UUID]) -> None:
    """Forget tasks with all that hangs on them."""
    for table in (task_card, watcher, comment_card):
        await session.execute(delete(table).where(table.c.task_id == any_(uuids(task_ids))))


async def _put(session: AsyncSession, table: Table, rows: Sequence[Mapping[str, Any]], *, keys: Sequence[str]) -> None:
    """Insert or replace rows, in the order of their keys."""
    if not rows:
        return
    ordered = sorted(rows, key=lambda row: [row[key] for key in keys])
    await session.execute(_putting(table, tuple(keys)), [dict(row) for row in ordered])


@cache
def _putting(table: Table, keys: tuple[str, ...]) -> Insert:
    statement = insert(table)
    replaced = {column.name: statement.excluded[column.name] for column in table.c if column.name not in keys}
    return statement.on_conflict_do_update(index_elements=list(keys), set_=replaced)
