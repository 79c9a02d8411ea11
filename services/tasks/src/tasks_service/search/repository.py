"""SQL on documents that keeps them. What is searched is in `matching`."""

from typing import Any
from uuid import UUID

from chassis.db.base import table_of
from sqlalchemy import String, cast, func, literal, select, text
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncSession

from tasks_service.search.models import SearchDocument
from tasks_service.visibility.repository import task

document = table_of(SearchDocument)


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


async def make_again(session: AsyncSession, *, after: UUID | None, limit: int) -> UUID | None:
    """Make some documents again, those with the next ids; return the last of them, or None when there are none.

    What they are made of is held, so that a change of it comes before or after.
    """
    following = select(document.c.id).order_by(document.c.id).limit(limit)
    if after is not None:
        following = following.where(document.c.id > after)
    ids = (await session.scalars(following)).all()
    for statement in AGAIN if ids else ():
        await session.execute(text(statement), {"ids": ids})
    return ids[-1] if ids else None
