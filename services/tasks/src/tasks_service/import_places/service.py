"""Taking projects, categories and labels in from files."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from chassis.clock import utcnow
from chassis.ids import uuid7
from sqlalchemy import RowMapping
from sqlalchemy.ext.asyncio import AsyncSession

from tasks_service.categories.schemas import CATEGORY
from tasks_service.changes.schemas import ChangeDraft
from tasks_service.data_lines.schemas import NamedLine, ProjectLine, StatusPart
from tasks_service.import_places import repository
from tasks_service.import_sources import repository as sources
from tasks_service.import_sources.repository import source
from tasks_service.import_sources.schemas import UNKNOWN, Incoming, Taking
from tasks_service.labels.schemas import LABEL
from tasks_service.names.events import named_changed
from tasks_service.names.rules import name_key
from tasks_service.names.schemas import NamedKind
from tasks_service.project_members.events import project_member_added
from tasks_service.projects import repository as projects
from tasks_service.projects.events import PROJECT_UPDATED, project_changed, project_created
from tasks_service.projects.rules import MAX_DEPTH
from tasks_service.statuses.events import status_created
from tasks_service.statuses.rules import KEPT
from tasks_service.visibility.repository import project

NAMED: Mapping[str, NamedKind] = {"category": CATEGORY, "label": LABEL}
KEPT_OF_A_PROJECT = ("name", "description", "visibility", "member_role", "enforce_blockers")
PRESETS = ("todo", "in_progress", "done", "cancelled")
"""Keys, and categories, of the statuses that the database gives to a new project."""


async def take_projects(session: AsyncSession, taking: Taking, incoming: Sequence[Incoming]) -> None:
    """Make projects. The row of the workspace is locked, and so are those that they are in."""
    terms = taking.terms
    is_there = (project.c.id == source.c.target_id) & project.c.purged_at.is_(None)
    await sources.forget_what_is_gone(session, terms, "project", [one.line.id for one in incoming], is_there)
    for one in incoming:
        known = await sources.find(session, terms, "project", [one.line.id, one.line.parent_id])
        if one.line.id in known or not _has_statuses(taking, one):
            continue
        if terms.is_dry:
            facts = {"statuses": _categories(one.line)}
            await sources.remember(session, terms, "project", {one.line.id: facts})
        else:
            parent = known.get(one.line.parent_id) if one.line.parent_id else None
            await _take_project(session, taking, one, None if parent is None else parent.id)


def _categories(line: ProjectLine) -> list[tuple[str, str]]:
    in_order = sorted(line.statuses, key=lambda one: one.position)
    return [(one.key, one.category) for one in in_order] or [(one, one) for one in PRESETS]


def _has_statuses(taking: Taking, one: Incoming) -> bool:
    """Check that a project has what tasks need: something to begin with, and something to end with."""
    line: ProjectLine = one.line
    keys = [status.key for status in line.statuses]
    if len(keys) > taking.terms.limits.statuses:
        taking.fail(one.number, "TOO_MANY", "More statuses than a project may have.", "statuses")
    elif len(set(keys)) < len(keys):
        taking.fail(one.number, "REPEATED_ENTRY", "Each key may be given only once.", "statuses")
    elif keys and not all(kind & {status.category for status in line.statuses} for kind in KEPT):
        message = "A project has a status that is open, and one that is done."
        taking.fail(one.number, "INVALID_VALUE", message, "statuses")
    return one.number not in taking.broken


async def _take_project(session: AsyncSession, taking: Taking, one: Incoming, parent_id: UUID | None) -> None:
    terms, line = taking.terms, one.line
    inbox = await repository.find_inbox(session, terms.workspace_id) if line.is_inbox else None
    if inbox is not None:
        await sources.claim(session, terms, "project", {line.id: inbox["id"]}, made=())
        await add_statuses(session, taking, line.statuses, inbox["id"])
        return
    if await projects.count_in(session, terms.workspace_id) >= terms.limits.projects:
        taking.fail(one.number, "PROJECT_LIMIT_REACHED", "The workspace has as many projects as it may have.")
        return
    made_id = uuid7()
    if not await sources.claim(session, terms, "project", {line.id: made_id}):
        return
    values = await _columns(session, taking, one, await _place(session, taking, one, parent_id))
    row = await repository.add_project(session, {**values, "id": made_id})
    names = line.former_prefixes
    await repository.keep_prefixes(session, workspace_id=terms.workspace_id, project_id=made_id, names=names)
    if line.statuses:
        await repository.set_statuses(session, made_id, _statuses(taking, line.statuses, made_id))
    taking.drafts.append(project_created(row))
    await _add_members(session, taking, one, row)


async def _place(session: AsyncSession, taking: Taking, one: Incoming, parent_id: UUID | None) -> UUID | None:
    """Return the project that one is in, as far as it may be."""
    if one.line.parent_id is None:
        return None
    of_workspace = {"workspace_id": taking.terms.workspace_id}
    parent = None if parent_id is None else await repository.find_project(session, project_id=parent_id, **of_workspace)
    if parent is None or parent["archived_at"] is not None:
        taking.warn(one.number, UNKNOWN, "There is no such project here to be in: it is in none.", "parent_id")
        return None
    if len(await projects.line_of(session, parent["id"])) >= MAX_DEPTH:
        taking.warn(one.number, "TOO_DEEP", "This would be nested deeper than is possible: it is in none.", "parent_id")
        return None
    found: UUID = parent["id"]
    return found


async def _columns(session: AsyncSession, taking: Taking, one: Incoming, parent_id: UUID | None) -> dict[str, Any]:
    line, workspace_id = one.line, taking.terms.workspace_id
    prefix = line.prefix
    if prefix is not None and await repository.is_prefix_taken(session, workspace_id=workspace_id, name=prefix):
        taking.warn(
            one.number, "PREFIX_TAKEN", "Another project has this prefix, or had it: it gets another.", "prefix"
        )
        prefix = None
    return {
        **{name: getattr(line, name) for name in KEPT_OF_A_PROJECT},
        "workspace_id": workspace_id,
        "parent_id": parent_id,
        "prefix": prefix,
        "next_number": line.next_number,
        "is_inbox": False,
        "created_by": taking.who(one.number, line.created_by, "created_by"),
        "version": 1,
        **times_of(line),
    }


def times_of(line: Any) -> dict[str, datetime]:
    """Return when something was made and last changed."""
    created_at = line.created_at or utcnow()
    return {"created_at": created_at, "updated_at": max(line.updated_at or created_at, created_at)}


def _statuses(taking: Taking, parts: Sequence[StatusPart], project_id: UUID) -> list[dict[str, Any]]:
    return [
        {
            "id": uuid7(),
            "workspace_id": taking.terms.workspace_id,
            "project_id": project_id,
            "version": 1,
            **one.model_dump(include={"key", "name", "category", "position"}),
            **times_of(one),
        }
        for one in parts
    ]


async def add_statuses(session: AsyncSession, taking: Taking, parts: Sequence[StatusPart], project_id: UUID) -> None:
    """Add statuses to a project whose keys it has not."""
    if parts:
        added = await repository.add_statuses(session, _statuses(taking, parts, project_id))
        taking.drafts += [status_created(row) for row in added]


async def _add_members(session: AsyncSession, taking: Taking, one: Incoming, row: RowMapping) -> None:
    terms = taking.terms
    wanted = [member for member in one.line.members if taking.member(one.number, member.user_id, "members")]
    if len(wanted) > terms.limits.members:
        taking.warn(one.number, "TOO_MANY", "More members than a project may have: the last are left out.", "members")
    rows = [
        {
            "id": uuid7(),
            "workspace_id": terms.workspace_id,
            "project_id": row["id"],
            "user_id": member.user_id,
            "role": member.role,
            "version": 1,
            "created_at": member.created_at or row["created_at"],
        }
        for member in wanted[: terms.limits.members]
    ]
    if rows:
        taking.drafts += [project_member_added(member) for member in await repository.add_members(session, rows)]


async def archive_projects(session: AsyncSession, archived: Mapping[UUID, datetime]) -> list[ChangeDraft]:
    """Archive projects at the end, when all is in them, and return the changes."""
    pairs = await repository.archive(session, archived)
    return [project_changed(PROJECT_UPDATED, before, after) for before, after in pairs]


async def take_named(session: AsyncSession, taking: Taking, incoming: Sequence[Incoming]) -> None:
    """Make categories or labels; one whose name is in use is the one that has it."""
    terms, kind = taking.terms, incoming[0].kind
    table = NAMED[kind].table
    ids = [one.line.id for one in incoming]
    await sources.forget_what_is_gone(session, terms, kind, ids, table.c.id == source.c.target_id)
    known = await sources.find(session, terms, kind, ids)
    there = [one for one in incoming if one.line.id not in known and _has_place(taking, one)]
    wanted = {one.line.id: one.line for one in there}
    if terms.is_dry:
        await sources.remember(session, terms, kind, {one: {"personal": wanted[one].personal} for one in wanted})
        return
    made = await repository.add_named(session, table, [_named(taking, one) for one in there])
    names = {(name_key(line.name), line.personal) for line in wanted.values()}
    by_name = await repository.find_named(
        session, table, workspace_id=terms.workspace_id, owner_id=terms.actor.user_id, names=names
    )
    targets = {one: by_name[name_key(line.name), line.personal] for one, line in wanted.items()}
    await sources.claim(session, terms, kind, targets, made={row["id"] for row in made})
    in_order = sorted(made, key=lambda row: row["id"])
    taking.drafts += [named_changed(NAMED[kind], "created", None, row) for row in in_order]


def _has_place(taking: Taking, one: Incoming) -> bool:
    if one.line.personal and not taking.terms.is_personal:
        message = "What is somebody's own is in their personal workspace alone, and is left out."
        taking.fail(one.number, "PERSONAL_ELSEWHERE", message, "personal")
        return False
    return True


def _named(taking: Taking, one: Incoming) -> dict[str, Any]:
    line: NamedLine = one.line
    terms = taking.terms
    return {
        "id": uuid7(),
        "workspace_id": terms.workspace_id,
        "owner_id": terms.actor.user_id if line.personal else None,
        "name": line.name,
        "name_key": name_key(line.name),
        "color": line.color,
        "created_by": taking.who(one.number, line.created_by, "created_by"),
        "version": 1,
        **times_of(line),
    }
