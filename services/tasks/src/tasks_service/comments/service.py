"""Use cases of comments. Each is part of one transaction that its caller commits."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, cast
from uuid import UUID

from chassis.clock import utcnow
from chassis.cursors import CursorSigner
from chassis.identity import Principal
from chassis.ids import uuid7
from chassis.paging import Page, Paging, Walk, page_meta
from sqlalchemy import RowMapping
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncSession

from tasks_service.changes import service as changes
from tasks_service.comments import repository
from tasks_service.comments.errors import CommentDeleted, CommentNotFound, ParentCommentNotFound, ReplyToReply
from tasks_service.comments.events import COMMENT_CREATED, COMMENT_DELETED, COMMENT_UPDATED, comment_changed
from tasks_service.comments.schemas import CommentCreate, CommentOut, CommentPatch, Thread
from tasks_service.mentions import service as mentions
from tasks_service.mentions.schemas import NOBODY, Mentions
from tasks_service.versions import service as versions
from tasks_service.versions.schemas import Expectation
from tasks_service.watchers.service import watch_by_rule

KIND = versions.Kind(
    repository.comment, CommentOut.of, field_of={}, derived=frozenset({"mentions", "edited_at"}), touched="edited_at"
)


@dataclass(frozen=True, slots=True)
class Written:
    """A comment after a change, and what its author is warned of."""

    row: RowMapping
    warnings: Sequence[Mapping[str, Any]] = field(default=())


async def create_comment(
    session: AsyncSession, *, task: RowMapping, wanted: CommentCreate, actor: Principal
) -> Written:
    """Comment on a task. Raises ParentCommentNotFound, ReplyToReply, TooManyMentions."""
    await _check_parent(session, task["id"], wanted.parent_id)
    mentioned = await mentions.resolve(session, task=task, text=wanted.body, field="body")
    new = _new_comment(task, wanted, mentioned, actor)
    await repository.add(session, new)
    row = await read_comment(session, caller=actor, task_id=task["id"], comment_id=new["id"])
    drafts = [comment_changed(COMMENT_CREATED, None, row)]
    drafts += await watch_by_rule(session, task=task, user_ids=[actor.user_id], rule="commented")
    drafts += await watch_by_rule(session, task=task, user_ids=mentioned.reached, rule="mentioned")
    await changes.record(session, workspace_id=row["workspace_id"], actor=actor, drafts=drafts)
    return Written(row, mentioned.warnings())


async def list_comments(
    reader: AsyncConnection, *, caller: Principal, thread: Thread, paging: Paging, signer: CursorSigner
) -> Page[RowMapping]:
    """Return one page of a thread, the oldest first. Raises InvalidCursor or CursorMismatch."""
    if paging.cursor is not None:
        return await _walk(reader, caller, thread, paging, signer)
    total = await repository.count_visible(reader, caller=caller, thread=thread)
    rows = await repository.list_visible(
        reader, caller=caller, thread=thread, limit=paging.per_page, offset=paging.offset
    )
    return Page(rows, page_meta(paging, total))


async def _walk(
    reader: AsyncConnection, caller: Principal, thread: Thread, paging: Paging, signer: CursorSigner
) -> Page[RowMapping]:
    query = f"{caller.user_id}{thread.fingerprint()}".encode()
    walk = Walk(paging, signer, query=query, read=UUID)
    rows = await repository.list_visible(
        reader, caller=caller, thread=thread, limit=walk.limit, before=walk.back_from, after=walk.onwards_from
    )
    return walk.page(rows, key="id")


async def update_comment(
    session: AsyncSession, *, comment: RowMapping, patch: CommentPatch, expected: Expectation, actor: Principal
) -> Written:
    """Let a comment say something else, keeping what it said.

    Raises CommentDeleted, TooManyMentions, and what versions.service.change raises.
    """
    if comment["deleted_at"] is not None:
        raise CommentDeleted
    wanted = patch.given()
    mentioned = await _mentioned_by(session, comment, wanted)
    changed = await versions.change(
        session,
        KIND,
        comment,
        wanted=wanted,
        expected=expected,
        read_again=_again(session, comment, actor),
        follow=lambda _row, _changed: {"mentions": mentioned.reached},
    )
    if changed is None:
        return Written(comment)
    await repository.keep_version(session, changed.before)
    drafts = [comment_changed(COMMENT_UPDATED, changed.before, changed.after)]
    added = [one for one in mentioned.reached if one not in changed.before["mentions"]]
    drafts += await watch_by_rule(session, task=task_of(comment), user_ids=added, rule="mentioned")
    await changes.record(session, workspace_id=comment["workspace_id"], actor=actor, drafts=drafts)
    return Written(changed.after, mentioned.warnings())


async def delete_comment(
    session: AsyncSession, *, comment: RowMapping, expected: Expectation, actor: Principal
) -> RowMapping:
    """Leave only the place of a comment: its words, what they were before, and reactions go. Twice is once."""
    if comment["deleted_at"] is not None:
        return comment
    wanted: dict[str, Any] = {"body": None, "mentions": [], "deleted_at": utcnow(), "deleted_by": actor.user_id}
    changed = await versions.change(
        session, DELETING, comment, wanted=wanted, expected=expected, read_again=_again(session, comment, actor)
    )
    if changed is None:
        return comment
    await repository.erase_what_hangs_on(session, comment["id"])
    row = await read_comment(session, caller=actor, task_id=comment["task_id"], comment_id=comment["id"])
    draft = comment_changed(COMMENT_DELETED, changed.before, row)
    await changes.record(session, workspace_id=comment["workspace_id"], actor=actor, drafts=[draft])
    return row


DELETING = versions.Kind(repository.comment, CommentOut.of, field_of={}, derived=KIND.derived, touched="deleted_at")
"""A comment's deletion is no edit of it."""


async def _mentioned_by(session: AsyncSession, comment: RowMapping, wanted: Mapping[str, Any]) -> Mentions:
    body = wanted.get("body")
    if body is None or body == comment["body"]:
        return NOBODY
    return await mentions.resolve(session, task=task_of(comment), text=body, field="body")


def task_of(comment: RowMapping) -> RowMapping:
    """Return what a comment tells of its task."""
    columns = {"id": "task_id", "project_id": "project_id", "workspace_id": "workspace_id"}
    return cast("RowMapping", {name: comment[column] for name, column in columns.items()})


def _again(session: AsyncSession, comment: RowMapping, actor: Principal) -> Callable[[], Awaitable[RowMapping]]:
    async def read_again() -> RowMapping:
        row = await repository.find_writable(
            session, caller=actor, task_id=comment["task_id"], comment_id=comment["id"]
        )
        if row is None:
            raise CommentNotFound
        return row

    return read_again


async def _check_parent(session: AsyncSession, task_id: UUID, parent_id: UUID | None) -> None:
    """Refuse a reply to what is not there or is a reply; neither changes in the life of a comment."""
    if parent_id is None:
        return
    parent = await repository.find_in_task(session, task_id=task_id, comment_id=parent_id)
    if parent is None:
        raise ParentCommentNotFound(field="parent_id")
    if parent["parent_id"] is not None:
        raise ReplyToReply(field="parent_id")


async def read_comment(session: AsyncSession, *, caller: Principal, task_id: UUID, comment_id: UUID) -> RowMapping:
    """Return a comment as it is now. Raises CommentNotFound."""
    row = await repository.find_visible(session, caller=caller, task_id=task_id, comment_id=comment_id)
    if row is None:
        raise CommentNotFound
    return row


def _new_comment(task: RowMapping, wanted: CommentCreate, mentioned: Mentions, actor: Principal) -> dict[str, Any]:
    return {
        "id": uuid7(),
        "workspace_id": task["workspace_id"],
        "task_id": task["id"],
        "parent_id": wanted.parent_id,
        "author_id": actor.user_id,
        "body": wanted.body,
        "mentions": mentioned.reached,
        "version": 1,
        "created_at": utcnow(),
    }
