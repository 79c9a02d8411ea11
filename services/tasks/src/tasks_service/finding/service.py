"""Finding anything: the best tasks, projects, comments and people, of what the caller sees."""

from collections.abc import Collection
from dataclasses import dataclass
from uuid import UUID

from chassis.identity import Principal
from sqlalchemy import RowMapping
from sqlalchemy.ext.asyncio import AsyncConnection

from tasks_service.directory import repository as directory
from tasks_service.finding import repository
from tasks_service.finding.rules import NAMED, marked_name, rank_of_name
from tasks_service.finding.schemas import CommentFound, Found, ProjectFound, TaskFound, Type, UserFound, names_of
from tasks_service.searching import repository as searching
from tasks_service.searching.repository import Within
from tasks_service.searching.rules import Search, rank_of
from tasks_service.searching.service import Begun, begin, highlights_of, show


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is to be found, and where; `limit` is how much of each type."""

    q: str
    types: Collection[Type]
    workspace_id: UUID | None
    limit: int
    ranked_up_to: int


async def find(reader: AsyncConnection, *, caller: Principal, wanted: Wanted) -> Found:
    """Return the best of each wanted type; each has as many statements, whatever is found."""
    found = Found(tasks=[], projects=[], comments=[], users=[])
    if {"task", "comment"} & set(wanted.types):
        search = Search(wanted.q, ranked_up_to=wanted.ranked_up_to)
        within = Within(None if wanted.workspace_id is None else [wanted.workspace_id])
        begun = await begin(reader, caller=caller, search=search, within=within)
        if "task" in wanted.types:
            found.tasks = await _tasks(reader, caller, begun, wanted)
        if "comment" in wanted.types:
            found.comments = await _comments(reader, caller, begun, wanted)
    if "project" in wanted.types:
        found.projects = await _projects(reader, caller, wanted)
    if "user" in wanted.types:
        found.users = await _users(reader, caller, wanted)
    return found


async def _tasks(reader: AsyncConnection, caller: Principal, begun: Begun, wanted: Wanted) -> list[TaskFound]:
    rows = await searching.find_best(
        reader, caller=caller, begun=begun.parts, limit=wanted.limit, workspace_id=wanted.workspace_id
    )
    shown = await show(reader, caller=caller, begun=begun, rows=rows)
    return [TaskFound.of(row, shown[row["id"]]) for row in rows]


async def _comments(reader: AsyncConnection, caller: Principal, begun: Begun, wanted: Wanted) -> list[CommentFound]:
    if not begun.matching.query:
        return []
    rows = await searching.find_comments(
        reader, caller=caller, begun=begun.parts, limit=wanted.limit, workspace_id=wanted.workspace_id
    )
    return [
        CommentFound(
            **{name: row[name] for name in CommentFound.model_fields if name not in {"rank", "highlights"}},
            rank=rank_of(row["points"]),
            highlights=highlights_of(row),
        )
        for row in rows
    ]


async def _projects(reader: AsyncConnection, caller: Principal, wanted: Wanted) -> list[ProjectFound]:
    rows = await repository.find_projects(
        reader, caller=caller, q=wanted.q, workspace_id=wanted.workspace_id, limit=wanted.limit
    )
    found = [_project(wanted.q, row) for row in rows]
    return sorted(found, key=lambda one: (-one.rank, one.name.casefold(), one.id))


def _project(q: str, row: RowMapping) -> ProjectFound:
    is_prefix = q.upper() == row["prefix"]
    rank = NAMED if is_prefix else rank_of_name(q, row["name"], likeness=row["likeness"])
    prefix = marked_name(row["prefix"], row["prefix"]) if is_prefix else None
    shown = {name: row[name] for name in ("id", "workspace_id", "name", "prefix", "archived_at")}
    marks = names_of({"name": marked_name(q, row["name"]), "prefix": prefix})
    return ProjectFound(**shown, rank=rank, highlights=list(marks))


async def _users(reader: AsyncConnection, caller: Principal, wanted: Wanted) -> list[UserFound]:
    rows = await directory.find_people(
        reader, caller, prefix=wanted.q, workspace_id=wanted.workspace_id, limit=wanted.limit
    )
    found = [
        UserFound(
            id=row["user_id"],
            name=row["name"],
            avatar_url=row["avatar_url"],
            kind=row["kind"],
            rank=rank_of_name(wanted.q, row["name"]),
            highlights=list(names_of({"name": marked_name(wanted.q, row["name"])})),
        )
        for row in rows
    ]
    return sorted(found, key=lambda one: (-one.rank, one.name.casefold(), one.id))
