"""Searching: how a search begins, and what is shown of what it finds."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any
from uuid import UUID

from chassis.identity import Principal
from sqlalchemy import Row, RowMapping, and_

from tasks_service.matching.repository import Shaped
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

RARE = 2
"""Of what is no more than so many times what is ranked everything is looked at."""
AS_DEAR = 150
"""An index of words gives all that fits; beside it the newest tasks may be looked at one by one, which are so many
times fewer the more common the words are. How many that must be is measured."""
SOME_MORE = 1.3
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
    keyed = await _keyed(reader, caller, search)
    matching = Matching(where.query, pinned=keyed)
    if not where.query or not (where.places or where.shared):
        return Begun(search, matching, where)
    floor = await _floor(reader, search, where)
    if floor is not None:
        return Begun(search, Matching(where.query, _is_common(where), floor, keyed), where)
    number, floor = await repository.count_newest(
        reader, caller=caller, search=search, matching=matching, where=where, limit=search.ranked_up_to
    )
    if floor is not None or number >= FEW:
        return Begun(search, Matching(where.query, is_common=False, floor=floor, pinned=keyed), where)
    alike = await _alike(reader, caller, search, matching, where)
    return Begun(search, Matching(where.query, pinned=(*keyed, *alike)), where)


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
    return Begun(search, replace(matching, query=where.query), where)


def _share(where: Row[Any]) -> float:
    return float(min(where.estimate / max(where.size, 1), 1))


def _is_common(where: Row[Any]) -> bool:
    in_few_places = 1 - min(int(where.tasks) / max(where.size, 1), 1)
    return bool(_share(where) ** 2 * where.size > AS_DEAR * (1 + 3 * in_few_places))


async def _floor(reader: Reader, search: Search, where: Row[Any]) -> UUID | None:
    """Return from which task on those that fit are ranked, should there be many; None when all may be."""
    tasks_in_places, share = int(where.tasks), _share(where)
    if tasks_in_places * share <= RARE * search.ranked_up_to:
        return None
    return await repository.find_floor(
        reader, places=where.places, tasks=int(SOME_MORE * search.ranked_up_to / share) + len(where.places)
    )


async def _keyed(reader: Reader, caller: Principal, search: Search) -> tuple[tuple[UUID, int], ...]:
    if search.key is None:
        return ()
    found = await tasks.find_by_key(reader, caller=caller, key=search.key, workspace_id=None)
    return tuple(dict.fromkeys((row["id"], POINTS) for row in found))


async def _alike(
    reader: Reader, caller: Principal, search: Search, matching: Matching, where: Row[Any]
) -> list[tuple[UUID, int]]:
    if search.words is None or "tasks" not in search.scope or not where.places:
        return []
    floor = await repository.find_floor(reader, places=where.places, tasks=ALIKE_AMONG)
    found = await repository.find_alike(
        reader, caller=caller, begun=(search, matching, where), words=search.words, floor=floor
    )
    keyed = {task_id for task_id, _ in matching.pinned}
    return [(task_id, round(likeness * (EXACT_POINTS - 1))) for task_id, likeness in found if task_id not in keyed]


def searched(found: Shaped, begun: Begun, *, by_rank: bool) -> tuple[Shaped, Shaped]:
    """Return what is listed of what a filter finds, and what is counted of it.

    By rank it is what is ranked, and beyond that the rest of what fits, of which none is better than another. Where
    there is much of it, it is looked for one by one.
    """
    search, _, where = begun.parts
    values = {**found.values, **repository.values_of(*begun.parts)}
    fits = repository.fits(search)
    shape = (found.shape, repository.shape_of(*begun.parts))
    if begun.is_whole:
        few = repository.among_all(search, where)
        counted = Shaped(("all", shape), and_(found.condition, fits), values, few, found.condition)
    else:
        rest = and_(found.rest, fits)
        counted = Shaped(("much", shape), and_(found.condition, fits), values, found.among, rest)
    if not by_rank:
        return counted, counted
    ranked = repository.among(*begun.parts)
    listed = Shaped(("ranked", shape), and_(found.condition, fits), values, ranked, found.condition)
    if begun.is_whole:
        return listed, listed
    older = and_(fits, repository.is_beyond())
    beyond = Shaped(("beyond", shape), and_(found.condition, older), values, found.among, and_(found.rest, older))
    return replace(listed, beyond=beyond), counted


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
