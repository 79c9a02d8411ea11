"""Taking in from files what hangs on tasks: items of checklists, relations, and what apps keep with them."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, cast
from uuid import UUID

from chassis.clock import utcnow
from chassis.ids import uuid7
from sqlalchemy import RowMapping, Table
from sqlalchemy.ext.asyncio import AsyncSession

from tasks_service.changes import repository as changes_repository
from tasks_service.checklists.events import CHECKLIST_ITEM_CREATED, item_changed
from tasks_service.checklists.rules import MAX_ITEMS
from tasks_service.import_details import repository
from tasks_service.import_details.schemas import Tasks
from tasks_service.import_sources import repository as sources
from tasks_service.import_sources.repository import source
from tasks_service.import_sources.schemas import Incoming, Taking
from tasks_service.metadata import repository as metadata
from tasks_service.metadata.events import TASK_METADATA_UPDATED, metadata_changed
from tasks_service.metadata.rules import MAX_ENTRIES, app_of
from tasks_service.ordering.rules import rank_between
from tasks_service.relations import repository as relations
from tasks_service.relations.events import RELATION_CREATED, relation_changed
from tasks_service.relations.rules import ACYCLIC, MAX_RELATIONS

Values = Mapping[str, Any]


async def tasks_of(session: AsyncSession, taking: Taking, ids: Iterable[UUID]) -> Tasks:
    """Return the tasks that lines name, locked."""
    targets = await sources.find(session, taking.terms, "task", ids)
    rows = await repository.lock_tasks(session, [one.id for one in targets.values() if one.facts is None])
    told = frozenset(name for name, one in targets.items() if one.facts is not None)
    return Tasks({name: rows[one.id] for name, one in targets.items() if one.id in rows}, told)


async def unknown_of(
    session: AsyncSession, tasks: Tasks, incoming: Sequence[Incoming], table: Table, *names: str
) -> list[Incoming]:
    """Return the lines without those that say what is there already, which is known by its task and by these names."""
    of_tasks = [row["id"] for row in tasks.rows.values()]
    columns = [table.c.task_id, *(table.c[name] for name in names)]
    there = await repository.there(session, table.c.task_id, of_tasks, columns)

    def is_known(one: Incoming) -> bool:
        row = tasks.rows.get(one.line.task_id)
        return row is not None and (row["id"], *(getattr(one.line, name) for name in names)) in there

    return [one for one in incoming if not is_known(one)]


async def take_new(session: AsyncSession, taking: Taking, incoming: Sequence[Incoming]) -> dict[UUID, UUID]:
    """Return the ids that things get of which nothing has been made yet; nobody else makes them meanwhile."""
    terms, kind = taking.terms, incoming[0].kind
    ids = {one.line.id: uuid7() for one in incoming}
    known = await sources.find(session, terms, kind, ids)
    new = {one: ids[one] for one in ids if one not in known}
    if terms.is_dry:
        return new
    claimed = await sources.claim(session, terms, kind, new)
    return {one: new[one] for one in new if one in claimed}


async def settle(session: AsyncSession, taking: Taking, kind: str, new: Iterable[UUID], kept: Iterable[UUID]) -> None:
    """Leave out what could not be made, and in a dry run remember what could."""
    kept = set(kept)
    if taking.terms.is_dry:
        await sources.remember(session, taking.terms, kind, {one: {} for one in kept})
    else:
        await sources.release(session, taking.terms, kind, set(new) - kept)


async def take_checklist_items(session: AsyncSession, taking: Taking, incoming: Sequence[Incoming]) -> None:
    """Make items of checklists, those without a place at the end."""
    table = repository.item
    ids = [one.line.id for one in incoming]
    await sources.forget_what_is_gone(session, taking.terms, "checklist_item", ids, table.c.id == source.c.target_id)
    tasks = await tasks_of(session, taking, [one.line.task_id for one in incoming])
    new = await take_new(session, taking, incoming)
    there = [row["id"] for row in tasks.rows.values()]
    last = await repository.last_items(session, there)
    people = {one.line.assignee_id for one in incoming} - {None}
    readers = await repository.readers_of(session, there, people)
    rows: dict[UUID, Values] = {}
    for one in incoming:
        task = tasks.find(taking, one) if one.line.id in new and one.line.id not in rows else None
        if task is not None and _has_room(taking, one, task, last):
            rows[one.line.id] = _item(taking, one, task, readers) | {
                "id": new[one.line.id],
                "position": _next_place(one, task, last),
            }
        elif one.line.task_id in tasks.told and one.line.id in new:
            rows[one.line.id] = {}
    await settle(session, taking, "checklist_item", new, rows)
    projects = {row["id"]: row["project_id"] for row in tasks.rows.values()}
    made = await repository.add(session, table, [row for row in rows.values() if row])
    taking.drafts += [
        item_changed(CHECKLIST_ITEM_CREATED, None, row, project_id=projects[row["task_id"]]) for row in _in_order(made)
    ]


def _has_room(taking: Taking, one: Incoming, task: RowMapping, last: Mapping[UUID, tuple[int, str]]) -> bool:
    count, _ = last.get(task["id"], (0, ""))
    if count >= MAX_ITEMS:
        taking.fail(one.number, "CHECKLIST_FULL", "The checklist has as many items as it may have.", "task_id")
    return count < MAX_ITEMS


def _next_place(one: Incoming, task: RowMapping, last: dict[UUID, tuple[int, str]]) -> str:
    count, place = last.get(task["id"], (0, ""))
    position: str = one.line.position or rank_between(place or None, None)
    last[task["id"]] = (count + 1, max(place, position))
    return position


def _item(taking: Taking, one: Incoming, task: RowMapping, readers: set[tuple[UUID, UUID]]) -> dict[str, Any]:
    line = one.line
    created_at = line.created_at or utcnow()
    assignee_id = line.assignee_id if (task["id"], line.assignee_id) in readers else None
    if assignee_id != line.assignee_id:
        taking.warn(one.number, "ASSIGNEE_NO_ACCESS", "This one can't see the task: nobody is to do it.", "assignee_id")
    by = line.done_by
    if line.done and (line.done_at is None or by is not None):
        by = taking.who(one.number, by, "done_by")
    return {
        "workspace_id": task["workspace_id"],
        "task_id": task["id"],
        "text": line.text,
        "done": line.done,
        "done_at": (line.done_at or line.updated_at or created_at) if line.done else None,
        "done_by": by if line.done else None,
        "assignee_id": assignee_id,
        "due_date": line.due_date,
        "created_by": taking.who(one.number, line.created_by, "created_by"),
        "version": 1,
        "created_at": created_at,
        "updated_at": max(line.updated_at or created_at, created_at),
    }


async def take_relations(session: AsyncSession, taking: Taking, incoming: Sequence[Incoming]) -> None:
    """Relate tasks, unless that would close a circle."""
    terms, table = taking.terms, relations.relation
    await relations.lock_all(session, terms.workspace_id)
    ids = [one.line.id for one in incoming]
    await sources.forget_what_is_gone(session, terms, "relation", ids, table.c.id == source.c.target_id)
    ends = [end for one in incoming for end in (one.line.from_task_id, one.line.to_task_id)]
    tasks = await tasks_of(session, taking, ends)
    new = await take_new(session, taking, incoming)
    kept = set()
    made = []
    for one in incoming:
        if one.line.id not in new or one.line.id in kept:
            continue
        first, second = (tasks.find(taking, one, name) for name in ("from_task_id", "to_task_id"))
        if one.number in taking.broken:
            continue
        kept.add(one.line.id)
        if first is not None and second is not None:
            row = await _relate(session, taking, one, first, second, new[one.line.id])
            if row is None:
                kept.discard(one.line.id)
            else:
                made.append((row, first, second))
    await settle(session, taking, "relation", new, kept)
    await _tell_of_relations(session, taking, made)


async def _relate(
    session: AsyncSession, taking: Taking, one: Incoming, first: RowMapping, second: RowMapping, relation_id: UUID
) -> RowMapping | None:
    line, ends = one.line, [first["id"], second["id"]]
    if line.type == "relates_to":
        # What has no direction begins at the lower id.
        ends.sort()
    if ends[0] == ends[1]:
        taking.fail(one.number, "SELF_RELATION", "A task is not related to itself.", "to_task_id")
    elif await relations.find(session, kind=line.type, from_id=ends[0], to_id=ends[1]) is not None:
        taking.warn(one.number, "REPEATED_ENTRY", "These tasks are related so already.", "to_task_id")
    elif await relations.most_of(session, ends) >= MAX_RELATIONS:
        taking.fail(one.number, "TOO_MANY", "A task has as many relations as it may have.", "to_task_id")
    elif line.type in ACYCLIC and await relations.leads_to(session, kind=line.type, from_id=ends[1], to_id=ends[0]):
        taking.fail(one.number, "CYCLE", "This would close a circle.", "to_task_id")
    else:
        values = {
            "id": relation_id,
            "workspace_id": taking.terms.workspace_id,
            "type": line.type,
            "from_task_id": ends[0],
            "to_task_id": ends[1],
            "created_by": taking.who(one.number, line.created_by, "created_by"),
            "created_at": line.created_at or utcnow(),
        }
        return await relations.add(session, values)
    return None


async def _tell_of_relations(
    session: AsyncSession, taking: Taking, made: Sequence[tuple[RowMapping, RowMapping, RowMapping]]
) -> None:
    ends = {end["id"]: end["project_id"] for _, *both in made for end in both}
    of_projects = await changes_repository.readers_of_projects(session, set(ends.values())) if ends else {}
    of_tasks = await changes_repository.readers_by_share(session, ends) if ends else {}
    for row, first, second in made:
        see_both = [{*of_projects.get(ends[end["id"]], ()), *of_tasks.get(end["id"], ())} for end in (first, second)]
        audience = frozenset(see_both[0] & see_both[1])
        taking.drafts.append(relation_changed(RELATION_CREATED, row, task=first, other=second, audience=audience))


async def take_metadata(session: AsyncSession, taking: Taking, incoming: Sequence[Incoming]) -> None:
    """Keep what apps kept with tasks, in namespaces that are free or theirs."""
    tasks = await tasks_of(session, taking, [one.line.task_id for one in incoming])
    counts = await repository.entries_of(session, [row["id"] for row in tasks.rows.values()])
    incoming = await unknown_of(session, tasks, incoming, repository.entry, "namespace")
    rows = {}
    for one in incoming:
        task = tasks.find(taking, one)
        if task is None or taking.terms.is_dry:
            continue
        if counts.get(task["id"], 0) >= MAX_ENTRIES:
            taking.fail(one.number, "TOO_MANY", "The task has as much metadata as it may have.", "namespace")
            continue
        counts[task["id"]] = counts.get(task["id"], 0) + 1
        values = await _metadata(session, taking, one, task)
        if values is not None:
            rows[task["id"], one.line.namespace] = values
    by_id = {row["id"]: row for row in tasks.rows.values()}
    for row in await repository.add(session, repository.entry, list(rows.values())):
        mapped = cast("Mapping[Any, Any]", row)
        draft = metadata_changed(
            TASK_METADATA_UPDATED, None, mapped, task=by_id[row["task_id"]], owner_id=row["owner_id"]
        )
        taking.drafts.append(draft)


async def _metadata(session: AsyncSession, taking: Taking, one: Incoming, task: RowMapping) -> Values | None:
    terms, line = taking.terms, one.line
    app_id = line.owner_id if line.owner_id in terms.members else app_of(terms.actor)
    now = utcnow()
    owner_id = await metadata.take(
        session, workspace_id=terms.workspace_id, namespace=line.namespace, app_id=app_id, now=now
    )
    if owner_id not in {app_id, app_of(terms.actor)}:
        taking.fail(one.number, "NAMESPACE_TAKEN", "This namespace is another app's.", "namespace")
        return None
    return {
        "workspace_id": terms.workspace_id,
        "task_id": task["id"],
        "namespace": line.namespace,
        "owner_id": owner_id,
        "shared": line.shared,
        "value": line.value,
        "version": 1,
        "updated_at": line.updated_at or now,
    }


def _in_order(rows: Iterable[RowMapping]) -> list[RowMapping]:
    return sorted(rows, key=lambda row: cast("UUID", row["id"]))
