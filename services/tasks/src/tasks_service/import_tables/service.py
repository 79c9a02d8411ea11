"""Taking rows of a table in: each becomes the line of a task, with what it names found by its name, or made.

A row is known again by its `id`, by its id in another system, or by all that it says: the second of two that are equal
is another one, and in another file again the second. What a request says of the project is said by each of its rows
that name none.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID, uuid5

import orjson
from sqlalchemy.ext.asyncio import AsyncSession

from tasks_service.data_lines.schemas import AssigneePart, NamedLine, ProjectLine, TaskLine
from tasks_service.import_places.service import add_statuses, take_named, take_projects
from tasks_service.import_sources import repository as sources
from tasks_service.import_sources.schemas import Incoming, Taking, Terms
from tasks_service.import_tables import repository
from tasks_service.import_tables.rules import new_statuses
from tasks_service.import_tables.schemas import TaskRow
from tasks_service.import_tasks.repository import lock_projects, projects_by_id
from tasks_service.import_tasks.service import known_tasks, take_tasks
from tasks_service.names.rules import name_key
from tasks_service.visibility.repository import hold_members

NOWHERE = UUID(int=0)
IMPORTED = "Imported"
"""The project of rows that name none, where there is no other for them."""
PRESET_NAMES = {"to do": "todo", "in progress": "in_progress"}
SAME = (
    "title",
    "description",
    "priority",
    "completion_policy",
    "start",
    "due",
    "deadline",
    "estimate_minutes",
    "completed_at",
    "created_at",
    "updated_at",
    "external_source",
    "external_id",
)


@dataclass(slots=True)
class Names:
    """What the names of a table stand for: ids of things in files, and those of members."""

    members: Mapping[str, UUID]
    keys: Mapping[UUID, UUID]
    # Tasks that are there already, by what rows call those that they are below.
    tasks: dict[UUID, UUID] = field(default_factory=dict)
    projects: dict[str, UUID] = field(default_factory=dict)
    default: UUID = NOWHERE
    statuses: dict[UUID, dict[str, str]] = field(default_factory=dict)
    # The categories of the statuses by their keys, in order.
    categories: dict[UUID, dict[str, str]] = field(default_factory=dict)


async def identified(
    session: AsyncSession, terms: Terms, rows: Sequence[TaskRow], *, project_id: UUID | None
) -> list[UUID]:
    """Return by what rows are known again; to be called once for each row of a file."""
    found = await _identified(session, terms, rows)
    if project_id is None:
        return found
    # Where a row names no project, what the request says of it is a part of the row.
    return [uuid5(project_id, str(one)) if row.project is None else one for one, row in zip(found, rows, strict=True)]


async def _identified(session: AsyncSession, terms: Terms, rows: Sequence[TaskRow]) -> list[UUID]:
    plain = [_digest(terms, row) if row.id is None and row.external_id is None else None for row in rows]
    times = Counter(one for one in plain if one is not None)
    before = await sources.count_again(session, terms, "row", times)
    found = []
    for row, digest in zip(rows, plain, strict=True):
        if row.id is not None:
            found.append(row.id)
        elif digest is None:
            told = f"{row.project or ''}\n{row.external_source}\n{row.external_id}"
            found.append(uuid5(terms.workspace_id, f"external:{told}"))
        else:
            found.append(uuid5(terms.workspace_id, f"row:{digest}:{before[digest]}"))
            before[digest] += 1
    return found


def _digest(terms: Terms, row: TaskRow) -> UUID:
    said = orjson.dumps(row.model_dump(mode="json", exclude_none=True), option=orjson.OPT_SORT_KEYS)
    return uuid5(terms.workspace_id, said.hex())


async def take_rows(
    session: AsyncSession, taking: Taking, incoming: Sequence[Incoming], *, project_id: UUID | None
) -> None:
    """Make tasks of rows, each with the id that it is known by."""
    names = await _names(session, taking, incoming, project_id)
    await _take_named(session, taking, incoming, "label", lambda row: row.labels)
    await _take_named(session, taking, incoming, "category", lambda row: [row.category] if row.category else [])
    lines = [_line(taking, one, names) for one in incoming]
    pairs = [(line, one.line[1]) for line, one in zip(lines, incoming, strict=True)]
    await _settle_statuses(session, taking, pairs, names)
    await take_tasks(session, taking, lines, there=names.tasks)
    facts = {key: {"source_id": str(source_id)} for key, source_id in _keys(taking.terms, incoming).items()}
    await sources.remember(session, taking.terms, "key", facts)


def _keys(terms: Terms, incoming: Sequence[Incoming]) -> dict[UUID, UUID]:
    """Return what rows are known by, by the keys that they had."""
    return {_of_key(terms, row.key): source_id for source_id, row in (one.line for one in incoming) if row.key}


async def _names(session: AsyncSession, taking: Taking, incoming: Sequence[Incoming], project_id: UUID | None) -> Names:
    terms = taking.terms
    rows = [one.line[1] for one in incoming]
    addresses = [name for row in rows for name in row.assignees if "@" in name]
    parents = [_of_key(terms, row.parent) for row in rows if row.parent is not None]
    before = await repository.rows_with_keys(session, terms, parents) if parents else {}
    names = Names(
        members=await repository.members_called(session, terms.workspace_id, addresses) if addresses else {},
        keys={**_keys(terms, incoming), **before},
    )
    further = {row.parent for row in rows if row.parent is not None and _of_key(terms, row.parent) not in names.keys}
    there_already = await repository.tasks_with_keys(session, terms, further) if further else {}
    names.tasks = {_of_key(terms, key): task_id for key, task_id in there_already.items()}
    if any(row.project is None for row in rows):
        names.default = await _default(session, taking, incoming[0].number, project_id)
    wanted = {row.project.lower(): one.number for one in incoming if (row := one.line[1]).project is not None}
    spelled = {row.project.lower(): row.project for row in rows if row.project is not None}
    there = await repository.projects_named(session, terms.workspace_id, list(wanted)) if wanted else {}
    for name, number in wanted.items():
        names.projects[name] = await _project(session, taking, number, spelled[name], there.get(name))
    await _find_statuses(session, terms, names)
    return names


async def _default(session: AsyncSession, taking: Taking, number: int, project_id: UUID | None) -> UUID:
    found = await repository.find_place(session, taking.terms.workspace_id, project_id)
    return await _project(session, taking, number, IMPORTED, None if found is None else found["id"])


async def _project(session: AsyncSession, taking: Taking, number: int, name: str, there: UUID | None) -> UUID:
    """Return by what a project is known again that is there, or is made."""
    terms = taking.terms
    source_id = uuid5(terms.workspace_id, f"project:{name.lower()}" if there is None else f"project:{there}")
    if there is None:
        await take_projects(session, taking, [Incoming(number, "project", _project_line(source_id, name))])
    elif terms.is_dry:
        rows = await repository.statuses_of(session, [there])
        facts = {
            "id": str(there),
            "statuses": [(row["key"], row["category"]) for row in rows],
            "names": {row["name"].casefold(): row["key"] for row in rows},
        }
        await sources.remember(session, terms, "project", {source_id: facts})
    else:
        await sources.claim(session, terms, "project", {source_id: there}, made=())
    return source_id


def _project_line(source_id: UUID, name: str) -> ProjectLine:
    return ProjectLine(kind="project", id=source_id, name=name)


async def _find_statuses(session: AsyncSession, terms: Terms, names: Names) -> None:
    """Find what the statuses of the projects are called."""
    targets = await sources.find(session, terms, "project", [names.default, *names.projects.values()])
    real = {one.id: name for name, one in targets.items() if one.facts is None}
    for row in await repository.statuses_of(session, list(real)):
        names.statuses.setdefault(real[row["project_id"]], {})[row["name"].casefold()] = row["key"]
        names.categories.setdefault(real[row["project_id"]], {})[row["key"]] = row["category"]
    for name, one in targets.items():
        if one.facts is not None:
            names.categories[name] = dict(one.facts["statuses"])
            names.statuses[name] = one.facts.get("names", PRESET_NAMES)


async def _take_named(
    session: AsyncSession, taking: Taking, incoming: Sequence[Incoming], kind: Any, named: Any
) -> None:
    """Make the labels or the categories that rows name, unless there are such."""
    numbers = {name: one.number for one in reversed(incoming) for name in named(one.line[1])}
    lines = {
        _of_name(taking.terms, kind, name): Incoming(number, kind, _named_line(taking.terms, kind, name))
        for name, number in numbers.items()
    }
    if lines:
        await take_named(session, taking, list(lines.values()))


def _named_line(terms: Terms, kind: Any, name: str) -> NamedLine:
    return NamedLine(kind=kind, id=_of_name(terms, kind, name), name=name)


def _of_name(terms: Terms, kind: str, name: str) -> UUID:
    return uuid5(terms.workspace_id, f"{kind}:{name_key(name)}")


def _of_key(terms: Terms, key: str) -> UUID:
    return uuid5(terms.job_id, key.upper())


def _line(taking: Taking, one: Incoming, names: Names) -> Incoming:
    source_id, row = one.line
    terms = taking.terms
    project_id = names.projects[row.project.lower()] if row.project is not None else names.default
    line = TaskLine.model_construct(
        kind="task",
        id=source_id,
        project_id=project_id,
        status=_status(row.status, project_id, names),
        category_id=None if row.category is None else _of_name(terms, "category", row.category),
        labels=[_of_name(terms, "label", name) for name in row.labels],
        parent_id=_parent(terms, row, names),
        assignees=[AssigneePart(user_id=user_id) for user_id in _assignees(taking, one.number, row, names)],
        **{name: getattr(row, name) for name in SAME},
    )
    return Incoming(one.number, "task", line)


def _status(given: str | None, project_id: UUID, names: Names) -> str | None:
    if given is None or given in names.categories.get(project_id, {}):
        return given
    return names.statuses.get(project_id, {}).get(given.casefold(), given)


async def _settle_statuses(
    session: AsyncSession, taking: Taking, pairs: Sequence[tuple[Incoming, TaskRow]], names: Names
) -> None:
    """Make the statuses that rows name and projects have not, or else let tasks have another one of the category."""
    wanted = [(one, row) for one, row in pairs if _has_no_status(one.line, row, names)]
    known = await known_tasks(session, taking.terms, [one.line.id for one, _ in wanted]) if wanted else {}
    places: dict[UUID, list[tuple[Incoming, TaskRow]]] = {}
    for one, row in wanted:
        if one.line.id not in known:
            places.setdefault(one.line.project_id, []).append((one, row))
    if places and not taking.terms.is_dry:
        await _make_statuses(session, taking, places, names)
    for one, row in (pair for place in places.values() for pair in place):
        _give_status(taking, one, row, names)


def _has_no_status(line: TaskLine, row: TaskRow, names: Names) -> bool:
    is_told = line.status is not None and row.status_category is not None
    return is_told and line.status not in names.categories.get(line.project_id, {})


async def _make_statuses(
    session: AsyncSession, taking: Taking, places: Mapping[UUID, Sequence[tuple[Incoming, TaskRow]]], names: Names
) -> None:
    terms = taking.terms
    people = {each.user_id for place in places.values() for one, _ in place for each in one.line.assignees}
    if people & terms.members:
        await hold_members(session, workspace_id=terms.workspace_id, user_ids=people & terms.members)
    targets = await sources.find(session, terms, "project", places)
    ids = [one.id for one in targets.values()]
    await lock_projects(session, ids)
    takes_changes = {row["id"] for row in (await projects_by_id(session, ids)).values() if row["archived_at"] is None}
    there = await repository.statuses_of(session, takes_changes & set(ids))
    for source_id, one in targets.items():
        if one.id in takes_changes:
            statuses = [row for row in there if row["project_id"] == one.id]
            told = [(row.status, row.status_category) for _, row in places[source_id]]
            given = {name: category for name, category in told if name is not None and category is not None}
            parts = new_statuses(statuses, given, most=terms.limits.statuses)
            await add_statuses(session, taking, list(parts.values()), one.id)
            names.categories[source_id] = {row["key"]: row["category"] for row in statuses}
            names.categories[source_id] |= {part.key: part.category for part in parts.values()}
            for name, part in parts.items():
                names.statuses[source_id] |= {name.casefold(): part.key, part.name.casefold(): part.key}


def _give_status(taking: Taking, one: Incoming, row: TaskRow, names: Names) -> None:
    line = one.line
    categories = names.categories.get(line.project_id, {})
    line.status = _status(row.status, line.project_id, names)
    if line.status in categories:
        return
    line.status = next((key for key, category in categories.items() if category == row.status_category), None)
    if not taking.terms.is_dry:
        message = "The project has no such status: it has another one of the category."
        taking.warn(one.number, "STATUS_NOT_FOUND", message, "status")


def _parent(terms: Terms, row: TaskRow, names: Names) -> UUID | None:
    if row.parent is None:
        return None
    key = _of_key(terms, row.parent)
    # What is unknown is told as such.
    return names.keys.get(key, key)


def _assignees(taking: Taking, number: int, row: TaskRow, names: Names) -> Iterable[UUID]:
    for given in dict.fromkeys(row.assignees):
        try:
            found = names.members.get(given.lower()) if "@" in given else UUID(given)
        except ValueError:
            found = None
        if found is None:
            taking.warn(number, "NOT_A_MEMBER", "This is no member here, and is left out.", "assignees")
        else:
            yield found
