"""All SQL on comments. Whoever sees a task sees its comments."""

from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any
from uuid import UUID

from chassis.db.base import table_of
from chassis.identity import Principal
from sqlalchemy import (
    ColumnElement,
    FromClause,
    RowMapping,
    Select,
    bindparam,
    delete,
    func,
    insert,
    literal_column,
    select,
)
from sqlalchemy.dialects.postgresql import ARRAY, JSONB, aggregate_order_by
from sqlalchemy.dialects.postgresql import UUID as PG_UUID
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncSession

from tasks_service.comments.models import Comment, CommentVersion, Reaction
from tasks_service.comments.schemas import Thread
from tasks_service.directory.repository import IS_DELETED, SHOWN_NAME, person
from tasks_service.visibility.repository import (
    CALLER_ID,
    TASK_ROLE,
    TASKS,
    Sight,
    project,
    seen_by,
    seen_tasks,
    sight_of,
    task,
    workspace,
)

comment = table_of(Comment)
comment_version = table_of(CommentVersion)
reaction = table_of(Reaction)
reply = comment.alias("reply")

Reader = AsyncConnection | AsyncSession

NAMED_REACTORS = 50

COMMENTS: FromClause = TASKS.join(comment, comment.c.task_id == task.c.id).outerjoin(
    person, person.c.id == comment.c.author_id
)
REPLY_COUNT = (
    select(func.count())
    .select_from(reply)
    .where(reply.c.parent_id == comment.c.id, reply.c.deleted_at.is_(None))
    .correlate(comment)
    .scalar_subquery()
    .label("reply_count")
)


def _reactions() -> ColumnElement[Any]:
    """Return what was reacted to a row of `comment`, by emoji, as one column."""
    in_order = aggregate_order_by(reaction.c.user_id, reaction.c.created_at, reaction.c.user_id)
    reactors = func.array_agg(in_order, type_=ARRAY(PG_UUID(as_uuid=True)))
    one = (
        select(
            reaction.c.emoji,
            func.count().label("count"),
            reactors[1:NAMED_REACTORS].label("user_ids"),
            func.bool_or(reaction.c.user_id == CALLER_ID).label("me"),
            func.min(reaction.c.created_at).label("since"),
        )
        .where(reaction.c.comment_id == comment.c.id)
        .group_by(reaction.c.emoji)
        .correlate(comment)
        .subquery("one")
    )
    shown = func.jsonb_build_object(
        *("emoji", one.c.emoji, "count", one.c.count, "user_ids", one.c.user_ids, "me", one.c.me)
    )
    gathered = func.jsonb_agg(aggregate_order_by(shown, one.c.since, one.c.emoji))
    none: ColumnElement[Any] = literal_column("'[]'::jsonb")
    return select(func.coalesce(gathered, none, type_=JSONB)).scalar_subquery().label("reactions")


SHOWN = (
    *comment.c,
    SHOWN_NAME.label("author_name"),
    IS_DELETED.label("author_deleted"),
    REPLY_COUNT,
    _reactions(),
)
HELD = (task.c.project_id, TASK_ROLE, project.c.archived_at.is_not(None).label("is_archived"))
BY_ID = (task.c.id == bindparam("task_id"), comment.c.id == bindparam("comment_id"))


@cache
def _visible(sight: Sight) -> Select[Any]:
    return select(*SHOWN, *HELD).select_from(COMMENTS).where(*seen_tasks(sight))


@cache
def _writable(sight: Sight) -> Select[Any]:
    return (
        select(*SHOWN, *HELD, workspace.c.require_if_match)
        .select_from(COMMENTS.join(workspace, workspace.c.id == task.c.workspace_id))
        .where(*seen_tasks(sight), *BY_ID)
        .with_for_update(key_share=True, of=comment)
    )


async def find_visible(reader: Reader, *, caller: Principal, task_id: UUID, comment_id: UUID) -> RowMapping | None:
    """Return a comment of the task, with the caller's `role` there, if the caller may see it."""
    parameters = {**seen_by(caller), "task_id": task_id, "comment_id": comment_id}
    result = await reader.execute(_visible(sight_of(caller)).where(*BY_ID), parameters)
    row: RowMapping | None = result.mappings().one_or_none()
    return row


async def find_writable(
    session: AsyncSession, *, caller: Principal, task_id: UUID, comment_id: UUID
) -> RowMapping | None:
    """Return the same with `require_if_match`; until the end of the transaction nobody else changes it."""
    parameters = {**seen_by(caller), "task_id": task_id, "comment_id": comment_id}
    result = await session.execute(_writable(sight_of(caller)), parameters)
    row: RowMapping | None = result.mappings().one_or_none()
    return row


async def list_visible(
    reader: Reader,
    *,
    caller: Principal,
    thread: Thread,
    limit: int,
    offset: int = 0,
    before: UUID | None = None,
    after: UUID | None = None,
) -> Sequence[RowMapping]:
    """Return the oldest comments first; `before` and `after` bound the ids, and `before` walks back in time."""
    order = comment.c.id.asc() if before is None else comment.c.id.desc()
    query = (
        _visible(sight_of(caller))
        .where(
            *_in_thread(thread),
            *([] if before is None else [comment.c.id < before]),
            *([] if after is None else [comment.c.id > after]),
        )
        .order_by(order)
        .limit(limit)
        .offset(offset)
    )
    rows: Sequence[RowMapping] = (await reader.execute(query, seen_by(caller))).mappings().all()
    return rows


async def count_visible(reader: Reader, *, caller: Principal, thread: Thread) -> int:
    """Count what `list_visible` would walk through."""
    query = (
        select(func.count())
        .select_from(TASKS.join(comment, comment.c.task_id == task.c.id))
        .where(*seen_tasks(sight_of(caller)), *_in_thread(thread))
    )
    return (await reader.execute(query, seen_by(caller))).scalar_one()


def _in_thread(thread: Thread) -> list[ColumnElement[bool]]:
    # Not IS NOT DISTINCT FROM, for which no index is looked at.
    of_parent = comment.c.parent_id.is_(None) if thread.parent_id is None else comment.c.parent_id == thread.parent_id
    return [task.c.id == thread.task_id, of_parent]


async def comments_on(reader: Reader, task_ids: Sequence[UUID]) -> dict[UUID, int]:
    """Return how many comments and replies there are on tasks that the caller has been found to see."""
    query = (
        select(comment.c.task_id, func.count())
        .where(comment.c.task_id.in_(task_ids), comment.c.deleted_at.is_(None))
        .group_by(comment.c.task_id)
    )
    return {row[0]: row[1] for row in await reader.execute(query)}


async def find_in_task(session: AsyncSession, *, task_id: UUID, comment_id: UUID) -> RowMapping | None:
    """Return a comment of a task that the caller has been found to see."""
    query = select(comment).where(comment.c.task_id == task_id, comment.c.id == comment_id)
    return (await session.execute(query)).mappings().one_or_none()


async def add(session: AsyncSession, values: Mapping[str, Any]) -> None:
    await session.execute(insert(comment), [dict(values)])


async def keep_version(session: AsyncSession, row: RowMapping) -> None:
    """Keep what a comment says in a row, before it says something else."""
    values = {
        "workspace_id": row["workspace_id"],
        "comment_id": row["id"],
        "version": row["version"],
        "body": row["body"],
        "created_at": row["edited_at"] or row["created_at"],
    }
    await session.execute(insert(comment_version), [values])


async def list_versions(
    reader: Reader, *, caller: Principal, task_id: UUID, comment_id: UUID, limit: int, offset: int
) -> tuple[Sequence[RowMapping], int]:
    """Return a part of what a comment said before, the newest first, and how many versions there are."""
    query = (
        select(comment_version)
        .select_from(
            TASKS.join(comment, comment.c.task_id == task.c.id).join(
                comment_version, comment_version.c.comment_id == comment.c.id
            )
        )
        .where(*seen_tasks(sight_of(caller)), *BY_ID)
    )
    parameters = {**seen_by(caller), "task_id": task_id, "comment_id": comment_id}
    total = (await reader.execute(select(func.count()).select_from(query.subquery()), parameters)).scalar_one()
    part = query.order_by(comment_version.c.version.desc()).limit(limit).offset(offset)
    return (await reader.execute(part, parameters)).mappings().all(), total


async def erase_what_hangs_on(session: AsyncSession, comment_id: UUID) -> None:
    """Delete the former versions of a comment, and the reactions to it."""
    await session.execute(delete(comment_version).where(comment_version.c.comment_id == comment_id))
    await session.execute(delete(reaction).where(reaction.c.comment_id == comment_id))
