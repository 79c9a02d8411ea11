"""Reading a workspace a step at a time: each thing as it is at the moment when it is read.

What is there from the beginning to the end is in an export once. It is read by id, and what something is below is
told before it, though the walk would come to it later. What is made, deleted or moved meanwhile may be in it or not.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, cast
from uuid import UUID

from chassis.identity import Principal
from pydantic import BaseModel, Field
from sqlalchemy.ext.asyncio import AsyncSession

from tasks_service.data_tables.rules import as_row
from tasks_service.export_reading import repository
from tasks_service.export_reading.rules import Row, Wanted, parents_first, still_told, to_be_read
from tasks_service.export_reading.schemas import (
    cells_of,
    change_line,
    detail_line,
    named_line,
    project_lines,
    task_lines,
)
from tasks_service.history.filters import AuditFilter
from tasks_service.history.repository import of_workspace
from tasks_service.history.service import audit_entries

AT_ONCE = 200
"""How many things are read together."""
SECTIONS = ("project", "category", "label", "task", "detail", "change")
OF_A_TABLE = ("task",)


class Place(BaseModel):
    """How far a walk is: what the next step goes on from."""

    section: str
    after: UUID | None = None
    until: UUID | None = None
    detail: str | None = None
    last: list[str] | None = None
    seq: int = 0
    # What was told before the walk has come to it.
    told: list[UUID] = Field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Reading:
    """What is read: by whom, from which workspace, and with what."""

    actor: Principal
    workspace_id: UUID
    format: str
    include: frozenset[str]
    wanted: Wanted | None = None

    @property
    def sections(self) -> Sequence[str]:
        """What there is to be walked through, in its order."""
        wanted = OF_A_TABLE if self.format == "csv" else SECTIONS
        return [one for one in wanted if one != "change" or "history" in self.include]

    @property
    def details(self) -> Sequence[str]:
        """What is told of what hangs on tasks, in its order."""
        needed = repository.NEEDED
        return [one for one in repository.DETAILS if one not in needed or needed[one] in self.include]

    def begin(self) -> Place:
        """Return where a walk begins."""
        return Place(section=self.sections[0])


@dataclass(slots=True)
class Found:
    """Some of what there is, with where the walk goes on; None is its end. Lines of a table are bytes already."""

    lines: list[Any] = field(default_factory=list)
    next: Place | None = None


async def read_on(session: AsyncSession, reading: Reading, place: Place) -> Found:
    """Read what comes next, which is nothing where something ends."""
    if place.section == "project":
        return await _projects(session, reading, place)
    if place.section == "task":
        return await _tasks(session, reading, place)
    if place.section == "detail":
        return await _details(session, reading, place)
    if place.section == "change":
        return await _changes(session, reading, place)
    rows = await repository.named_after(
        session,
        place.section,
        actor=reading.actor,
        workspace_id=reading.workspace_id,
        after=place.after,
        limit=AT_ONCE,
    )
    lines = [named_line(place.section, _row(row)) for row in rows]
    return Found(lines, _further(reading, place, [_row(row) for row in rows]))


async def _projects(session: AsyncSession, reading: Reading, place: Place) -> Found:
    rows = [_row(one) for one in await repository.projects_after(session, reading.workspace_id, place.after, AT_ONCE)]
    above = await _above(session, repository.projects_by_id, rows, place)
    placed = parents_first(rows, above, place.told)
    found = await repository.of_projects(session, [row["id"] for row in placed])
    lines = project_lines(placed, cast("Any", found))
    return Found(lines, _further(reading, place, rows, told=still_told(place.told, placed, rows)))


async def _tasks(session: AsyncSession, reading: Reading, place: Place) -> Found:
    rows = [_row(one) for one in await repository.tasks_after(session, reading.workspace_id, place.after, AT_ONCE)]
    wanted = await _wanted(session, reading, rows)
    above = await _wanted(session, reading, await _above(session, repository.tasks_by_id, wanted, place))
    placed = parents_first(wanted, above, place.told)
    further = _further(reading, place, rows, told=still_told(place.told, placed, rows))
    if reading.format == "csv":
        return Found(await _table_rows(session, placed), further)
    found = await repository.of_tasks(session, [row["id"] for row in placed])
    return Found(task_lines(placed, cast("Any", found)), further)


async def _wanted(session: AsyncSession, reading: Reading, rows: list[Row]) -> list[Row]:
    """Return those of the tasks that are exported."""
    found = await _wanted_ids(session, reading, [row["id"] for row in rows])
    return [row for row in rows if row["id"] in found]


async def _wanted_ids(session: AsyncSession, reading: Reading, ids: Sequence[UUID]) -> set[UUID]:
    if reading.wanted is None or not ids:
        return set(ids)
    return await repository.matching_ids(session, reading.wanted, reading.actor, ids)


async def _table_rows(session: AsyncSession, rows: Sequence[Row]) -> list[bytes]:
    labels = await repository.names_of(session, "label", {one for row in rows for one in row["labels"]})
    categories = await repository.names_of(session, "category", {row["category_id"] for row in rows} - {None})
    keys = await repository.keys_of(session, {row["parent_id"] for row in rows} - {None})
    return [as_row(cells_of(row, labels=labels, categories=categories, keys=keys)) for row in rows]


async def _above(session: AsyncSession, load: Any, rows: Sequence[Row], place: Place) -> list[Row]:
    """Return what rows are below and a walk would come to later, with what that is below."""
    above: list[Row] = []
    known = {row["id"] for row in rows} | set(place.told)
    wanted = to_be_read(rows, known, after=place.after)
    while wanted:
        more = [_row(one) for one in await load(session, wanted)]
        above += more
        # What is not there any more is not looked for twice.
        known |= wanted
        wanted = to_be_read(more, known, after=place.after)
    return above


async def _details(session: AsyncSession, reading: Reading, place: Place) -> Found:
    ids = await repository.task_ids_after(session, reading.workspace_id, place.after, place.until, AT_ONCE)
    if not ids:
        at_end = place.until is None
        return Found([], _next_section(reading, place) if at_end else Place(section="detail", after=place.until))
    found = Found()
    until = place.until or ids[-1]
    wanted = await _wanted_ids(session, reading, ids)
    kinds = reading.details[reading.details.index(place.detail) if place.detail else 0 :]
    for kind in kinds if wanted else ():
        last = _key_of(kind, place.last) if kind == place.detail and place.last else None
        rows = await repository.details_after(
            session, kind, task_ids=wanted, actor=reading.actor, last=last, limit=AT_ONCE
        )
        found.lines += [detail_line(kind, _row(row), reading.actor.user_id) for row in rows]
        if len(rows) == AT_ONCE:
            last_row, names = rows[-1], [str(one.key) for one in repository.DETAILS[kind].key]
            key = [str(last_row[name]) for name in ("of_task", *names)]
            found.next = Place(section="detail", after=place.after, until=until, detail=kind, last=key)
            return found
    found.next = Place(section="detail", after=until)
    return found


def _key_of(kind: str, last: Sequence[str]) -> list[Any]:
    detail = repository.DETAILS[kind]
    columns = (detail.task_id, *detail.key)
    return [UUID(one) if column.type.python_type is UUID else one for column, one in zip(columns, last, strict=True)]


async def _changes(session: AsyncSession, reading: Reading, place: Place) -> Found:
    connection = await session.connection()
    rows = await of_workspace(
        connection,
        caller=reading.actor,
        workspace_id=reading.workspace_id,
        wanted=AuditFilter(),
        before=None,
        after=place.seq,
        limit=AT_ONCE,
    )
    entries = await audit_entries(connection, rows)
    lines = [change_line(one, with_words="comments" in reading.include) for one in entries]
    further = Place(section="change", seq=rows[-1]["seq"]) if rows else _next_section(reading, place)
    return Found(lines, further)


def _further(reading: Reading, place: Place, rows: Sequence[Row], *, told: Sequence[UUID] = ()) -> Place | None:
    if len(rows) < AT_ONCE:
        return _next_section(reading, place)
    return Place(section=place.section, after=rows[-1]["id"], told=list(told))


def _next_section(reading: Reading, place: Place) -> Place | None:
    sections = reading.sections
    at = sections.index(place.section) + 1
    return Place(section=sections[at]) if at < len(sections) else None


def _row(row: Any) -> Row:
    return cast("Row", row)
