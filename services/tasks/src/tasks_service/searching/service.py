"""Searching: how a search begins, and what is shown of what it finds."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any
from uuid import UUID

from chassis.identity import Principal
from sqlalchemy import Row, RowMapping, and_

from tasks_service.matching.repository import Shaped
from tasks_service.near_misses import repository as near_misses
from tasks_service.near_misses.repository import Sought
from tasks_service.near_misses.rules import MOST_COMPARED
from tasks_service.searching import repository
from tasks_service.searching.repository import EVERYWHERE, Parts, Reader, Within
from tasks_service.searching.rules import (
    EXACT_POINTS,
    FEW,
    POINTS,
    Matching,
    Search,
    is_marked,
    marked,
)
from tasks_service.searching.schemas import Highlight
from tasks_service.tasks import repository as tasks

SOME_MORE = 1.3
"""How many times as many as are wanted are looked for, since they are no more evenly spread than that."""
LOOKED_AT = 3000
"""In how many tasks, the newest, common words are looked for one by one."""
FAR_LESS = 0.25
SOON_GIVEN = 5000
"""How many documents the index of words gives sooner than all places are walked to fill a page."""
ALIKE_AMONG = 2000
"""In the titles of how many tasks, the newest, something like the words is looked for."""


@dataclass(frozen=True, slots=True)
class Begun:
    """A search that has begun, and where it is made."""

    search: Search
    matching: Matching
    where: Row[Any]

    @property
    def parts(self) -> Parts:
        """It as the functions of the repository take it."""
        return self.search, self.matching, self.where

    @property
    def is_whole(self) -> bool:
        """Whether all that fits is ranked: there is not too much of it."""
        return self.matching.floor is None


async def begin(reader: Reader, *, caller: Principal, search: Search, within: Within = EVERYWHERE) -> Begun:
    """Begin a search: look how common the words are, and decide what is ranked.

    Of words that are common the newest tasks are, so that the work does not grow with the workspace. Where fewer than
    five tasks fit, those with titles like the words are found, too. `within` narrows where it looks.
    """
    where = await repository.survey(reader, caller=caller, search=search, within=within)
    keyed = await _keyed(reader, caller, search, where)
    matching = Matching(where.query, pinned=keyed)
    if not where.query or not (where.places or where.shared):
        return Begun(search, matching, where)
    matching = await _with_hits(reader, caller, Begun(search, matching, where))
    begun = Begun(search, matching, where)
    if matching.floor is not None or len(matching.hits) >= FEW:
        return begun
    alike = await _alike(reader, caller, begun)
    return replace(begun, matching=replace(matching, pinned=(*keyed, *alike)))


async def go_on(
    reader: Reader,
    *,
    caller: Principal,
    search: Search,
    matching: Matching,
    within: Within = EVERYWHERE,
) -> Begun:
    """Go on with a search that has begun before, by what its cursor has."""
    where = await repository.survey(reader, caller=caller, search=search, within=within)
    begun = Begun(search, replace(matching, query=where.query), where)
    if not where.query or not (where.places or where.shared):
        return begun
    hits = await repository.find_hits(reader, caller=caller, begun=begun.parts, limit=None)
    return replace(begun, matching=replace(begun.matching, hits=tuple(hits.ids)))


async def _with_hits(reader: Reader, caller: Principal, begun: Begun) -> Matching:
    """Return a beginning with what fits, the newest of it.

    An index of words gives all that fit. Where the newest tasks in which as many as are wanted can be expected have
    fewer documents, these are looked at one by one; should far less fit, the words are not so common after all.
    """
    search, matching, where = begun.parts
    documents, expected = _documents_of_task(where), _expected(where)
    tasks = min(int(SOME_MORE * search.ranked_up_to / expected) + len(where.places), LOOKED_AT, int(where.tasks))
    if documents * tasks < where.estimate:
        floor = None
        if tasks < where.tasks:
            floor = await repository.find_floor(reader, places=where.places, tasks=tasks)
        newest = await _find(reader, caller, begun, replace(matching, is_common=True, floor=floor))
        wanted = search.ranked_up_to if where.estimate <= SOON_GIVEN else min(expected * tasks, search.ranked_up_to)
        if floor is None or len(newest.hits) > FAR_LESS * wanted:
            return newest
    return await _find(reader, caller, begun, matching)


async def _find(reader: Reader, caller: Principal, begun: Begun, matching: Matching) -> Matching:
    """Return what a beginning says with what is found by it, and a floor where there is more than is wanted."""
    search, _, where = begun.parts
    parts = search, matching, where
    hits = await repository.find_hits(reader, caller=caller, begun=parts, limit=search.ranked_up_to)
    return replace(matching, floor=hits.floor or matching.floor, hits=tuple(hits.ids))


def _documents_of_task(where: Row[Any]) -> float:
    return float(max(where.size / max(where.all_tasks, 1), 1))


def _expected(where: Row[Any]) -> float:
    """Return what part of tasks is expected to fit, by one of their documents."""
    return float(min(where.estimate / max(where.size, 1) * _documents_of_task(where), 1))


async def _keyed(reader: Reader, caller: Principal, search: Search, where: Row[Any]) -> tuple[tuple[UUID, int], ...]:
    found: Sequence[UUID] = ()
    if search.key is not None:
        rows = await tasks.find_by_key(reader, caller=caller, key=search.key, workspace_id=None)
        found = [row["id"] for row in rows]
    elif search.number is not None:
        found = await repository.find_numbered(reader, caller=caller, number=search.number, where=where)
    return tuple((task_id, POINTS) for task_id in dict.fromkeys(found))


async def _alike(reader: Reader, caller: Principal, begun: Begun) -> list[tuple[UUID, int]]:
    search, matching, where = begun.parts
    if search.words is None or "tasks" not in search.scope or not where.places:
        return []
    floor = await repository.find_floor(reader, places=where.places, tasks=ALIKE_AMONG)
    sought = Sought(search.words[:MOST_COMPARED], where.query, where.places, where.shared)
    found = await near_misses.find_alike(reader, caller=caller, sought=sought, floor=floor)
    keyed = {task_id for task_id, _ in matching.pinned}
    return [(task_id, round(likeness * (EXACT_POINTS - 1))) for task_id, likeness in found if task_id not in keyed]


def searched(found: Shaped, begun: Begun, *, by_rank: bool) -> tuple[Shaped, Shaped]:
    """Return what is listed of what a filter finds, and what is counted of it.

    By rank it is what is ranked, and beyond that the rest of what fits, of which none is better than another.
    """
    counted = _all_of(found, begun)
    if not by_rank:
        return counted, counted
    fits, ranked = repository.fits(begun.search), repository.among(begun.search)
    condition, shape = and_(found.condition, fits), ("ranked", counted.shape)
    listed = Shaped(shape, condition, counted.values, ranked, found.condition)
    if begun.is_whole:
        return listed, listed
    older = repository.is_beyond()
    rest = and_(counted.rest, older)
    beyond = Shaped(("beyond", shape), and_(condition, older), counted.values, counted.among, rest)
    return replace(listed, beyond=beyond), counted


def _all_of(found: Shaped, begun: Begun) -> Shaped:
    """Return all that a filter finds and that fits.

    It is what was found to fit; or, where there is more of that, what the index of words gives; or, where there is much
    of it, each task is looked at.
    """
    fits = repository.fits(begun.search)
    condition, values = and_(found.condition, fits), {**found.values, **repository.values_of(*begun.parts)}
    shape = (found.shape, repository.shape_of(*begun.parts))
    if begun.is_whole:
        return Shaped(("whole", shape), condition, values, repository.among_hits(), found.condition)
    # Somebody has few tasks beside what a word is in; a label may have many more.
    if begun.matching.is_common or (found.among is not None and found.owned is None):
        return Shaped(("much", shape), condition, values, found.among, and_(found.rest, fits))
    some = repository.among_all(begun.search, begun.where)
    return Shaped(("many", shape), condition, values, some, found.condition)


@dataclass(frozen=True, slots=True)
class Shown:
    """What is shown of a task that was found."""

    points: int
    highlights: Sequence[Highlight]


async def show(reader: Reader, *, caller: Principal, begun: Begun, rows: Sequence[RowMapping]) -> dict[UUID, Shown]:
    """Return what is shown of some tasks, which have their `id` and `key`."""
    ids = [row["id"] for row in rows]
    if not ids:
        return {}
    floor = begun.matching.floor
    found: dict[UUID, list[Highlight]] = defaultdict(list)
    points = dict(begun.matching.pinned)
    keyed = {task_id for task_id, _ in begun.matching.keyed}
    for row in rows:
        if row["id"] in keyed:
            found[row["id"]].append(Highlight(field="key", id=row["id"], text=f"<mark>{row['key']}</mark>"))
    if begun.matching.query:
        for fitting in await repository.find_highlights(reader, caller=caller, begun=begun.parts, task_ids=ids):
            found[fitting["task_id"]] += highlights_of(fitting)
            is_ranked = floor is None or fitting["task_id"] >= floor
            fits = fitting["points"] if is_ranked else EXACT_POINTS
            points[fitting["task_id"]] = max(points.get(fitting["task_id"], 0), fits)
    return {task_id: Shown(points.get(task_id, 0), found[task_id]) for task_id in ids}


def highlights_of(fitting: RowMapping) -> list[Highlight]:
    """Return the parts of a task, a comment or a name that have something marked; a name is shown anyway."""
    fields = ("title", "description") if fitting["kind"] == "task" else (fitting["kind"],)
    return [
        Highlight(field=field, id=fitting["id"], text=marked(fitting[field]))
        for field in fields
        if is_marked(fitting[field]) or field == "attachment"
    ]
