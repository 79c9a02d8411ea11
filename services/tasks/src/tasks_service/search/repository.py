"""SQL on documents: that keeps them, and the parts of statements that say in which of them is searched.

What a query is, and where it begins, is told as a literal: which index is right depends on how common the words are, so
a plan is made for each.
"""

from typing import Any
from uuid import UUID

from chassis.db.base import table_of
from sqlalchemy import (
    Column,
    ColumnElement,
    String,
    all_,
    any_,
    bindparam,
    cast,
    func,
    literal,
    or_,
    select,
    text,
    true,
    union_all,
)
from sqlalchemy.dialects.postgresql import TSQUERY, insert
from sqlalchemy.dialects.postgresql import UUID as PG_UUID
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncSession
from sqlalchemy.sql.base import ReadOnlyColumnCollection

from tasks_service.search.models import SearchDocument
from tasks_service.visibility.repository import IDS, task

document = table_of(SearchDocument)
Columns = ReadOnlyColumnCollection[str, Column[Any]] | ReadOnlyColumnCollection[str, Any]

UUID_TYPE: PG_UUID[UUID] = PG_UUID(as_uuid=True)
COLUMNS = tuple(document.c[name] for name in ("id", "kind", "task_id", "title", "vector"))
QUERY: ColumnElement[Any] = cast(bindparam("search_query", type_=String(), literal_execute=True), TSQUERY)
FLOOR_ID: ColumnElement[UUID] = cast(bindparam("search_floor", type_=String(), literal_execute=True), UUID_TYPE)
PLACES: ColumnElement[Any] = bindparam("search_places", type_=IDS)
SHARED: ColumnElement[Any] = bindparam("search_shared", type_=IDS)


def newest(floor: ColumnElement[UUID] | None, *, is_shared: bool) -> Columns:
    """Return the columns of the documents of tasks from an id on, each place by its index: no others are looked at.

    `is_shared` tells that there are tasks beside the places.
    """
    place = func.unnest(PLACES).table_valued("id", name="place").render_derived()
    since = [] if floor is None else [document.c.task_id >= floor]
    inner = select(*COLUMNS).where(document.c.project_id == cast(place.c["id"], UUID_TYPE), *since)
    of_place = inner.offset(0).lateral("of_place")
    found = select(*of_place.c).select_from(place.join(of_place, true()))
    if not is_shared:
        return found.subquery("search_document").c
    shared = select(*COLUMNS).where(document.c.task_id == any_(SHARED), document.c.project_id != all_(PLACES), *since)
    return union_all(found, shared).subquery("search_document").c


def within(*, is_shared: bool) -> list[ColumnElement[bool]]:
    """Return the conditions for documents that are in places, in a form that leaves the indexes of places alone."""
    in_places = document.c.project_id == any_(PLACES)
    return [(or_(in_places, document.c.task_id == any_(SHARED)) if is_shared else in_places).is_(true())]


async def put_name(
    session: AsyncSession, *, attachment_id: UUID, task_id: UUID, name: str | None, version: int
) -> None:
    """Note what an attachment is called at a version; None leaves a tombstone. An older state changes nothing.

    The task is locked, so that it is not moved away before the document is there to be moved with it.
    """
    named = cast(literal(name), String)
    values: dict[str, Any] = {
        "id": literal(attachment_id),
        "kind": literal("attachment"),
        "project_id": task.c.project_id,
        "task_id": task.c.id,
        "title": named,
        "version": literal(version),
        "vector": func.tasks.search_vector_of_name(named),
    }
    found = select(*values.values()).where(task.c.id == task_id).with_for_update(read=True, key_share=True)
    statement = insert(document).from_select(list(values), found)
    newer = {name: statement.excluded[name] for name in ("title", "version", "vector")}
    await session.execute(
        statement.on_conflict_do_update(
            index_elements=["id"],
            set_=newer,
            where=(document.c.kind == "attachment") & (document.c.version < statement.excluded.version),
        )
    )


async def has_language(connection: AsyncConnection, name: str) -> bool:
    """Return whether the database knows the words of a language."""
    query = text(
        "SELECT count(*) FROM pg_ts_config WHERE cfgname = :name AND cfgnamespace = 'pg_catalog'::regnamespace"
    )
    return bool(await connection.scalar(query, {"name": name}))


async def set_language(connection: AsyncConnection, name: str) -> None:
    """Take words by the stems of a language from now on; it has to be one of has_language."""
    await connection.execute(
        text(
            "CREATE OR REPLACE FUNCTION tasks.search_language() RETURNS regconfig LANGUAGE sql STABLE PARALLEL SAFE"
            f" AS $$ SELECT 'pg_catalog.{name}'::regconfig $$"
        )
    )


AGAIN = (
    """
    WITH held AS (SELECT id, title, description FROM tasks.task WHERE id = ANY(:ids) ORDER BY id FOR SHARE)
    UPDATE tasks.search_document SET vector = tasks.search_vector_of_task(held.title, held.description)
    FROM held WHERE search_document.id = held.id
    """,
    """
    WITH held AS (SELECT id, body FROM tasks.comment WHERE id = ANY(:ids) AND body IS NOT NULL ORDER BY id FOR SHARE)
    UPDATE tasks.search_document SET vector = tasks.search_vector(held.body, 'C')
    FROM held WHERE search_document.id = held.id
    """,
    """
    UPDATE tasks.search_document SET vector = tasks.search_vector_of_name(title)
    WHERE id = ANY(:ids) AND kind = 'attachment'
    """,
)


async def make_again(session: AsyncSession, *, after: UUID, limit: int) -> UUID | None:
    """Make some documents again, those with the next ids; return the last of them, or None when there are none.

    What they are made of is held, so that a change of it comes before or after.
    """
    following = select(document.c.id).where(document.c.id > after).order_by(document.c.id).limit(limit)
    ids = (await session.scalars(following)).all()
    for statement in AGAIN if ids else ():
        await session.execute(text(statement), {"ids": ids})
    return ids[-1] if ids else None
