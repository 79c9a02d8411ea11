"""SQL that finds titles that are like words, but for a slip or a few letters."""

import math
from collections.abc import Sequence
from typing import NamedTuple
from uuid import UUID

from chassis.identity import Principal
from sqlalchemy import CTE, ColumnElement, and_, case, false, func, literal, or_, select
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncSession

from tasks_service.near_misses.rules import MOST_ALIKE, SLIP, least_likeness, pieces_of, slips_of
from tasks_service.search.repository import QUERY, UUID_TYPE, Columns, newest
from tasks_service.visibility.repository import TASKS, seen_by, seen_tasks, sight_of, task

Condition = ColumnElement[bool]


class Sought(NamedTuple):
    """Words, the query that they have become, and where they are sought."""

    words: str
    query: str
    places: Sequence[UUID]
    shared: Sequence[UUID]


async def find_alike(
    reader: AsyncConnection | AsyncSession, *, caller: Principal, sought: Sought, floor: UUID | None
) -> Sequence[tuple[UUID, float]]:
    """Return the tasks whose titles are most like some words and do not fit, of those from `floor` on."""
    since = None if floor is None else literal(floor, UUID_TYPE)
    alike = _alike(newest(since, is_shared=bool(sought.shared)), sought.words)
    query = (
        select(alike.c.task_id, alike.c.likeness)
        .select_from(TASKS.join(alike, alike.c.task_id == task.c.id))
        .where(alike.c.likeness >= least_likeness(sought.words), *seen_tasks(sight_of(caller)))
        .order_by(alike.c.likeness.desc(), task.c.id.desc())
        .limit(MOST_ALIKE)
    )
    values = {"search_query": sought.query, "search_places": sought.places, "search_shared": sought.shared}
    rows = await reader.execute(query, {**seen_by(caller), **values})
    return [(task_id, likeness) for task_id, likeness in rows]


def _alike(documents: Columns, words: str) -> CTE:
    """Return how much titles are like some words, of those that may be and do not fit; each step goes before the next.

    How many pieces of the words are in a title is more quickly seen than how much it is like them.
    """
    spaced = (literal(" ") + func.lower(documents.title) + literal(" ")).label("title")
    titles = select(documents.task_id, spaced).where(documents.kind == "task", ~documents.vector.bool_op("@@")(QUERY))
    title = titles.offset(0).subquery("titles").c
    needed = literal(math.ceil(least_likeness(words) * len(pieces_of(words))))
    some = select(title.task_id, title.title).where(
        or_(_pieces_in(title.title, words) >= needed, _slips_in(title.title, words))
    )
    likely = some.offset(0).subquery("likely").c
    by_slips = case((_slips_in(likely.title, words), literal(SLIP)), else_=literal(0.0))
    likeness = func.greatest(func.tasks.search_likeness(words, likely.title), by_slips).label("likeness")
    return select(likely.task_id, likeness).cte("alike").prefix_with("MATERIALIZED")


def _pieces_in(title: ColumnElement[str], words: str) -> ColumnElement[int]:
    return sum((case((func.strpos(title, one) > 0, 1), else_=0) for one in pieces_of(words)), start=literal(0))


def _slips_in(title: ColumnElement[str], words: str) -> Condition:
    """Return the condition that a title has all of some words, but for a slip in each."""
    slips = slips_of(words)
    if not slips:
        return false()
    may_be = (or_(*(func.strpos(title, part) > 0 for part in parts)) for parts, _ in slips)
    return and_(*may_be, *(title.regexp_match(expression) for _, expression in slips))
