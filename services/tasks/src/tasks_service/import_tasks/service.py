"""Taking tasks in from files, with who is to do them and with whom they are shared. Nobody begins to watch any."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Any, cast
from uuid import UUID

from chassis.ids import uuid7
from sqlalchemy import RowMapping
from sqlalchemy.ext.asyncio import AsyncSession

from tasks_service.data_lines.schemas import TaskLine
from tasks_service.import_sources import repository as sources
from tasks_service.import_sources.repository import source
from tasks_service.import_sources.schemas import Incoming, Taking, Target, Terms
from tasks_service.import_tasks import repository
from tasks_service.import_tasks.rules import Above, ProjectInfo, Surroundings, columns
from tasks_service.moving.rules import progress_of
from tasks_service.shares.events import task_share_added
from tasks_service.tasks import repository as tasks
from tasks_service.tasks.events import TASK_CREATED, TASK_UPDATED, task_changed
from tasks_service.visibility.repository import hold_members, task

Values = Mapping[str, Any]
NOBODY = UUID(int=0)
NOTHING: Mapping[UUID, UUID] = MappingProxyType({})


async def known_tasks(session: AsyncSession, terms: Terms, ids: Collection[UUID]) -> dict[UUID, Target]:
    """Return what tasks of a file are here already, without those that were deleted for good."""
    await sources.forget_what_is_gone(session, terms, "task", ids, task.c.id == source.c.target_id)
    return await sources.find(session, terms, "task", ids)


async def take_tasks(
    session: AsyncSession, taking: Taking, incoming: Sequence[Incoming], *, there: Mapping[UUID, UUID] = NOTHING
) -> None:
    """Make tasks; their projects are locked. `there` are tasks that others may be below, by what lines call them."""
    terms = taking.terms
    ids = [one.line.id for one in incoming]
    own_ids = {one: uuid7() for one in ids}
    known = await known_tasks(session, terms, ids)
    new = await _claim(session, terms, {one: own_ids[one] for one in ids if one not in known})
    wanted = [one for one in incoming if one.line.id in new]
    people = {each.user_id for one in wanted for each in one.line.assignees} & terms.members
    if people and not terms.is_dry:
        # Before their projects are locked; what they see does not become less meanwhile.
        await hold_members(session, workspace_id=terms.workspace_id, user_ids=people)
    around = await look_around(session, terms, [one.line for one in wanted], there)
    around.own_ids = own_ids
    made: list[tuple[Incoming, dict[str, Any]]] = []
    for one in wanted:
        # The same one may come twice.
        values = columns(taking, one, around) if one.line.id in new else None
        new.discard(one.line.id)
        if values is not None:
            made.append((one, values))
    if terms.is_dry:
        facts = {one.line.id: _facts(around.above[one.line.id]) for one, _ in made}
        await sources.remember(session, terms, "task", facts)
    else:
        kept = {one.line.id for one, _ in made}
        await sources.release(session, terms, "task", {one.line.id for one in wanted} - kept)
        await _make(session, taking, made, around)


async def _claim(session: AsyncSession, terms: Terms, targets: Mapping[UUID, UUID]) -> set[UUID]:
    return set(targets) if terms.is_dry else await sources.claim(session, terms, "task", targets)


def _facts(above: Above) -> dict[str, Any]:
    return {"project_id": str(above.project_id), "depth": above.depth}


async def look_around(
    session: AsyncSession, terms: Terms, lines: Sequence[TaskLine], there: Mapping[UUID, UUID] = NOTHING
) -> Surroundings:
    """Find out what tasks refer to."""
    projects = await _projects(session, terms, {line.project_id for line in lines})
    people = {assignee.user_id for line in lines for assignee in line.assignees}
    places = [(projects[line.project_id], line) for line in lines if line.project_id in projects]
    numbers = {(one.id, line.number) for one, line in places if line.number is not None}
    externals = {
        (one.id, line.external_source, line.external_id)
        for one, line in places
        if line.external_source is not None and line.external_id is not None
    }
    return Surroundings(
        projects=projects,
        above=await _above(session, terms, {line.parent_id for line in lines} - {None}, there),
        categories=await _categories(session, terms, {line.category_id for line in lines} - {None}),
        labels=await _labels(session, terms, {label for line in lines for label in line.labels}),
        readers=await _readers(session, terms, projects, people),
        numbers=await repository.numbers_taken(session, numbers),
        externals=await repository.externals_taken(session, externals),
    )


async def _projects(session: AsyncSession, terms: Terms, ids: Iterable[UUID]) -> dict[UUID, ProjectInfo]:
    targets = await sources.find(session, terms, "project", ids)
    real = [one.id for one in targets.values() if one.facts is None]
    if not terms.is_dry:
        await repository.lock_projects(session, real)
    rows = await repository.projects_by_id(session, real)
    imported = await sources.are_made_here(session, terms, "project", real)
    return {
        name: _info(target, rows.get(target.id), is_imported=target.id in imported)
        for name, target in targets.items()
        if target.facts is not None or target.id in rows
    }


def _info(target: Target, row: RowMapping | None, *, is_imported: bool) -> ProjectInfo:
    if row is None:
        facts = target.facts or {}
        project_id = UUID(facts["id"]) if "id" in facts else target.id
        return ProjectInfo(project_id, [(one[0], one[1]) for one in facts["statuses"]], is_told=True)
    statuses = [(one[0], one[1]) for one in row["statuses"]]
    return ProjectInfo(
        row["id"],
        statuses,
        row["prefix"],
        row["next_number"],
        is_archived=row["archived_at"] is not None,
        is_imported=is_imported,
    )


async def _above(
    session: AsyncSession, terms: Terms, ids: Iterable[UUID | None], there: Mapping[UUID, UUID]
) -> dict[UUID, Above]:
    targets = await sources.find(session, terms, "task", ids)
    named = {**there, **{name: one.id for name, one in targets.items() if one.facts is None}}
    real = await repository.depths_of(session, set(named.values()))
    found = {name: Above(one, *real[one]) for name, one in named.items() if one in real}
    told = {
        name: Above(one.id, UUID(one.facts["project_id"]), one.facts["depth"])
        for name, one in targets.items()
        if one.facts is not None
    }
    return found | told


async def _categories(session: AsyncSession, terms: Terms, ids: Iterable[UUID | None]) -> dict[UUID, UUID]:
    targets = await sources.find(session, terms, "category", ids)
    real = await repository.keep_categories(session, [one.id for one in targets.values()])
    mine = {one for one, owner_id in real.items() if owner_id in {None, terms.actor.user_id}}
    return {name: one.id for name, one in targets.items() if one.facts is not None or one.id in mine}


async def _labels(session: AsyncSession, terms: Terms, ids: Iterable[UUID]) -> dict[UUID, UUID]:
    targets = await sources.find(session, terms, "label", ids)
    real = await repository.keep_labels(session, [one.id for one in targets.values()])
    return {
        name: one.id for name, one in targets.items() if one.id in real or (one.facts and not one.facts["personal"])
    }


async def _readers(
    session: AsyncSession, terms: Terms, projects: Mapping[UUID, ProjectInfo], people: set[UUID]
) -> set[tuple[UUID, UUID]]:
    """Return who of these sees which project; one that there would be in a dry run all members."""
    if not people or not projects:
        return set()
    real = {one.id for one in projects.values() if not one.is_told}
    told = {(one.id, user_id) for one in projects.values() if one.is_told for user_id in people & terms.members}
    return told | await repository.readers_of(session, real, people)


async def _make(
    session: AsyncSession, taking: Taking, made: Sequence[tuple[Incoming, dict[str, Any]]], around: Surroundings
) -> None:
    if not made:
        return
    by_id = {one.id: one for one in around.projects.values()}
    inside, outside = _progress([values for _, values in made])
    for _, values in made:
        values["subtasks_done"], values["subtasks_total"] = inside.get(values["id"], (0, 0))
    rows = {row["id"]: row for row in await tasks.add_all(session, [values for _, values in made])}
    shown = {one: _with_key(row, by_id[row["project_id"]]) for one, row in rows.items()}
    numbers: dict[UUID, int] = {}
    for _, values in made:
        if values["number"] is not None:
            numbers[values["project_id"]] = max(values["number"], numbers.get(values["project_id"], 0))
    await repository.pass_numbers(session, numbers)
    taking.drafts += [task_changed(TASK_CREATED, None, shown[values["id"]]) for _, values in made]
    await _add_what_they_have(session, taking, made, shown)
    pairs = await repository.add_progress(session, outside)
    taking.drafts += [task_changed(TASK_UPDATED, before, after) for before, after in pairs]


def _progress(made: Sequence[Values]) -> tuple[dict[UUID, tuple[int, int]], dict[UUID, tuple[int, int]]]:
    """Return how many subtasks are done, of how many, of tasks that are new, and of those that were there before."""
    new = {values["id"] for values in made}
    found = progress_of(made)
    inside = {one: count for one, count in found.items() if one in new}
    return inside, {one: count for one, count in found.items() if one not in new}


def _with_key(row: RowMapping, project: ProjectInfo) -> RowMapping:
    return cast("RowMapping", {**row, "key": f"{project.prefix}-{row['number']}"})


async def _add_what_they_have(
    session: AsyncSession,
    taking: Taking,
    made: Sequence[tuple[Incoming, Values]],
    shown: Mapping[UUID, RowMapping],
) -> None:
    assignees: list[Values] = []
    shares: list[Values] = []
    keys: list[Values] = []
    for one, values in made:
        here = {"workspace_id": values["workspace_id"], "task_id": values["id"]}
        assignees += _assignees(taking, one, values, here)
        shares += _shares(taking, one, values, here)
        keys += [{**here, "key": key.upper(), "created_at": values["created_at"]} for key in one.line.former_keys]
    await repository.add_assignees(session, assignees)
    rows = await repository.add_shares(session, shares)
    await repository.add_former_keys(session, keys)
    taking.drafts += [task_share_added(row, shown[row["task_id"]]) for row in sorted(rows, key=lambda row: row["id"])]


def _assignees(taking: Taking, one: Incoming, values: Values, here: Values) -> list[Values]:
    line: TaskLine = one.line
    return [
        {
            **here,
            "user_id": assignee.user_id,
            "state": assignee.state,
            "assigned_by": taking.who(one.number, assignee.assigned_by, "assignees"),
            "assigned_at": assignee.assigned_at or values["created_at"],
        }
        for assignee in {each.user_id: each for each in line.assignees}.values()
        if assignee.user_id in values["assignees"]
    ]


def _shares(taking: Taking, one: Incoming, values: Values, here: Values) -> list[Values]:
    line: TaskLine = one.line
    return [
        {
            **here,
            "id": uuid7(),
            "user_id": share.user_id,
            "role": share.role,
            "shared_by": taking.who(one.number, share.shared_by, "shares"),
            "version": 1,
            "created_at": share.created_at or values["created_at"],
        }
        for share in {each.user_id: each for each in line.shares}.values()
        if taking.member(one.number, share.user_id, "shares")
    ]
