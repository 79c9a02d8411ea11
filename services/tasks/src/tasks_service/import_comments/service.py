"""Taking comments and reactions in from files. Nobody is notified of any: their events mention nobody."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, cast
from uuid import UUID

from chassis.clock import utcnow
from sqlalchemy import RowMapping
from sqlalchemy.ext.asyncio import AsyncSession

from tasks_service.comments.events import COMMENT_CREATED, comment_changed
from tasks_service.data_lines.schemas import CommentLine
from tasks_service.import_details import repository
from tasks_service.import_details.schemas import ARCHIVED
from tasks_service.import_details.service import settle, take_new, tasks_of
from tasks_service.import_sources import repository as sources
from tasks_service.import_sources.repository import source
from tasks_service.import_sources.schemas import UNKNOWN, Incoming, Taking
from tasks_service.reactions.events import reaction_added
from tasks_service.reactions.rules import MAX_DISTINCT, as_emoji

Values = Mapping[str, Any]


async def take_comments(session: AsyncSession, taking: Taking, incoming: Sequence[Incoming]) -> None:
    """Make comments, replies, and places of those that were deleted."""
    table = repository.comment
    ids = [one.line.id for one in incoming]
    await sources.forget_what_is_gone(session, taking.terms, "comment", ids, table.c.id == source.c.target_id)
    tasks = await tasks_of(session, taking, [one.line.task_id for one in incoming])
    new = await take_new(session, taking, incoming)
    threads = await _threads(session, taking, [one.line.parent_id for one in incoming])
    rows: dict[UUID, Values] = {}
    for one in incoming:
        if one.line.id not in new or one.line.id in rows or not _says_something(taking, one):
            continue
        task = tasks.find(taking, one)
        if task is not None:
            row = rows[one.line.id] = _comment(taking, one, task, threads) | {"id": new[one.line.id]}
            threads[one.line.id] = (row["id"], row["task_id"], row["parent_id"] is not None)
        elif one.line.task_id in tasks.told:
            rows[one.line.id] = {}
    await settle(session, taking, "comment", new, rows)
    projects = {row["id"]: row["project_id"] for row in tasks.rows.values()}
    # A reply refers to what is in the same statement, perhaps.
    made = await repository.add(session, table, [row for row in rows.values() if row])
    taking.drafts += [_created(row, projects[row["task_id"]]) for row in sorted(made, key=lambda row: row["id"])]


def _created(row: RowMapping, project_id: UUID) -> Any:
    shown = {**row, "project_id": project_id, "mentions": []}
    return comment_changed(COMMENT_CREATED, None, cast("RowMapping", shown))


def _says_something(taking: Taking, one: Incoming) -> bool:
    line: CommentLine = one.line
    if line.body is None and line.deleted_at is None:
        taking.fail(one.number, "REQUIRED", "This field is required.", "body")
        return False
    return True


async def _threads(
    session: AsyncSession, taking: Taking, ids: Iterable[UUID | None]
) -> dict[UUID, tuple[UUID, UUID, bool]]:
    """Return comments that are replied to: what they are here, on which task, and whether they are replies."""
    targets = await sources.find(session, taking.terms, "comment", ids)
    rows = await repository.comments_by_id(session, [one.id for one in targets.values()])
    return {
        name: (one.id, rows[one.id]["task_id"], rows[one.id]["parent_id"] is not None)
        for name, one in targets.items()
        if one.id in rows
    }


def _comment(
    taking: Taking, one: Incoming, task: RowMapping, threads: Mapping[UUID, tuple[UUID, UUID, bool]]
) -> dict[str, Any]:
    line: CommentLine = one.line
    created_at = line.created_at or utcnow()
    is_gone = line.deleted_at is not None
    deleted_by = line.deleted_by and taking.who(one.number, line.deleted_by, "deleted_by")
    return {
        "workspace_id": task["workspace_id"],
        "task_id": task["id"],
        "parent_id": _parent(taking, one, task, threads),
        "author_id": taking.who(one.number, line.author_id or line.created_by, "author_id"),
        "body": None if is_gone else line.body,
        "mentions": [] if is_gone else [user_id for user_id in line.mentions if user_id in taking.terms.members],
        "version": 1,
        "created_at": created_at,
        "edited_at": line.edited_at,
        "deleted_at": line.deleted_at,
        "deleted_by": deleted_by if is_gone else None,
    }


def _parent(
    taking: Taking, one: Incoming, task: RowMapping, threads: Mapping[UUID, tuple[UUID, UUID, bool]]
) -> UUID | None:
    wanted = one.line.parent_id
    if wanted is None:
        return None
    comment_id, task_id, is_reply = threads.get(wanted, (None, None, False))
    if comment_id is None or task_id != task["id"] or is_reply:
        taking.warn(one.number, UNKNOWN, "There is no such comment to reply to: it is no reply.", "parent_id")
        return None
    return comment_id


async def take_reactions(session: AsyncSession, taking: Taking, incoming: Sequence[Incoming]) -> None:
    """Put the reactions of members on comments."""
    targets = await sources.find(session, taking.terms, "comment", [one.line.comment_id for one in incoming])
    comments = await repository.comments_by_id(session, [one.id for one in targets.values()])
    emoji = await repository.emoji_on(session, list(comments))
    table = repository.reaction
    columns = [table.c.comment_id, table.c.user_id, table.c.emoji]
    there = await repository.there(session, table.c.comment_id, list(comments), columns)
    rows = []
    for one in incoming:
        target = targets.get(one.line.comment_id)
        comment = None if target is None else comments.get(target.id)
        if comment is None and (target is None or target.facts is None):
            taking.fail(one.number, UNKNOWN, "There is no such comment here.", "comment_id")
        elif comment is not None and (comment["id"], one.line.user_id, as_emoji(one.line.emoji)) in there:
            continue
        elif _is_possible(taking, one, comment, emoji) and comment is not None and not taking.terms.is_dry:
            rows.append(_reaction(one, comment))
    made = await repository.add(session, repository.reaction, rows)
    taking.drafts += [reaction_added(row, comments[row["comment_id"]]) for row in made]


def _is_possible(taking: Taking, one: Incoming, comment: RowMapping | None, emoji: dict[UUID, set[str]]) -> bool:
    wanted = as_emoji(one.line.emoji)
    given = emoji.setdefault(comment["id"], set()) if comment is not None else set()
    if wanted is None:
        taking.fail(one.number, "NOT_AN_EMOJI", "This is no emoji.", "emoji")
    elif taking.member(one.number, one.line.user_id, "user_id") is None:
        return False
    elif comment is not None and comment["is_archived"]:
        taking.fail(one.number, "PROJECT_ARCHIVED", ARCHIVED, "comment_id")
    elif comment is not None and comment["deleted_at"] is not None:
        taking.fail(one.number, "COMMENT_DELETED", "The comment is deleted.", "comment_id")
    elif wanted not in given and len(given) >= MAX_DISTINCT:
        taking.fail(
            one.number, "TOO_MANY_REACTIONS", "The comment has as many different emoji as it may have.", "emoji"
        )
    else:
        given.add(wanted)
        return True
    return False


def _reaction(one: Incoming, comment: RowMapping) -> dict[str, Any]:
    return {
        "workspace_id": comment["workspace_id"],
        "comment_id": comment["id"],
        "user_id": one.line.user_id,
        "emoji": as_emoji(one.line.emoji),
        "created_at": one.line.created_at or utcnow(),
    }
