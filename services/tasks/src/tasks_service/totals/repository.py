"""SQL of totals of lists: counted where that is little work, and else estimated from tasks that are spread over all."""

from collections.abc import Mapping
from functools import lru_cache
from typing import Any, NamedTuple, cast

from chassis.db.direct import DirectReader, KeptStatements
from chassis.identity import Principal
from sqlalchemy import (
    CTE,
    BigInteger,
    ColumnElement,
    Integer,
    Numeric,
    Select,
    and_,
    any_,
    bindparam,
    case,
    func,
    literal_column,
    or_,
    select,
    true,
)
from sqlalchemy.dialects.postgresql import array
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncSession

from tasks_service.matching.repository import Shaped, task_mark
from tasks_service.places.repository import OF_PLACE, few_of, live, places, shared_of, some_of
from tasks_service.places.rules import Reach
from tasks_service.visibility.repository import Sight, seen_by, sight_of, task

Reader = AsyncConnection | AsyncSession | DirectReader
SAMPLE = 500
"""How many tasks a number is estimated from."""
RUN = 4
"""How many of them follow each other: read together they cost half of what they cost alone."""
LAST_NUMBER = 2**31 - 1
"""The largest number that a task can have."""
MARKED = 50_000
"""How many entries are read of the index that has the tasks of a mark."""
TOTALS = KeptStatements()
EXACT: ColumnElement[int] = bindparam("exact_up_to", type_=Integer())


class Total(NamedTuple):
    """How many tasks there are, or about how many."""

    number: int
    is_estimate: bool


async def count_tasks(
    reader: Reader, *, caller: Principal, reach: Reach, found: Shaped, parameters: Mapping[str, Any], exact_up_to: int
) -> Total:
    """Count what `list_tasks` would walk through, by what the caller sees alone.

    Where more tasks than `exact_up_to` would have to be looked at, some of each place stand for the rest of it.
    """
    sight = sight_of(caller)
    statement = TOTALS.of(reader, (sight, reach, found.shape), lambda: _counted(sight, reach, found))
    values = {**seen_by(caller), **found.values, **parameters, "exact_up_to": exact_up_to}
    row = (await reader.execute(statement, values)).mappings().one()
    return Total(int(row["number"]), bool(row["is_estimate"]))


@lru_cache(maxsize=64)
def _counted(sight: Sight, reach: Reach, found: Shaped) -> Select[Any]:
    place = places(sight, reach)
    looked = _looked_at(place, found)
    of_shares = _of_shares(place, found)
    number = func.coalesce(select(func.sum(looked.c.number)).scalar_subquery(), 0) + of_shares
    is_estimate = or_(of_shares > EXACT, select(func.bool_or(looked.c.is_estimate)).scalar_subquery())
    if found.among is None:
        return select(number.label("number"), is_estimate.label("is_estimate"))
    some, is_few, is_exact = _of_few(place, found.among, found.rest)
    if found.marked is not None:
        some, is_few, is_exact = _of_mark(place, found)
        some, is_exact = some + of_shares, and_(is_exact, of_shares <= EXACT)
    # Of the ways, only that which is right is gone.
    numbers = case((is_few, some), else_=number)
    return select(numbers.label("number"), case((is_few, ~is_exact), else_=is_estimate).label("is_estimate"))


def is_countable(place: CTE, shared: CTE) -> ColumnElement[bool]:
    """Tell whether it is little enough to count all tasks in places, and those that are shared, as SQL."""
    size = _all_of(place).scalar_subquery()
    return and_(size <= EXACT, _size(select(shared.c.id)) <= EXACT)


def counted_exactly(place: CTE, shared: CTE, found: Shaped) -> ColumnElement[Any]:
    """Return how many tasks are found in places and among those that are shared.

    It is looked at only where a statement comes to it.
    """
    every = _found_in_place(found).lateral("every")
    in_places = select(func.coalesce(func.sum(every.c.found), 0)).select_from(place.join(every, true()))
    return in_places.where(place.c.rank > 0).scalar_subquery() + _size(select(shared.c.id))


def _found_in_place(found: Shaped) -> Select[Any]:
    """Return how many tasks of a place are found; place by place, so that it is an index that is read."""
    number = select(func.count().label("found")).select_from(task)
    return number.where(task.c.project_id == OF_PLACE, *live(found.condition))


Way = tuple[ColumnElement[int], ColumnElement[bool], ColumnElement[bool]]
"""A number, whether it is few enough for it to be gone, and whether it is exact then."""


def _of_few(place: CTE, among: Select[Any], rest: ColumnElement[bool]) -> Way:
    """Count what is found by whom or what a filter names, by looking at each."""
    few, is_few = few_of(among)
    return _size(some_of(place, few, [task.c.id]).where(*live(rest))), is_few, true()


def _of_mark(place: CTE, found: Shaped) -> Way:
    """Count the tasks of a mark in places: by what is kept with it, where no more is asked, else by some tasks."""
    of_place = and_(task_mark.c.mark == found.marked, task_mark.c.project_id == place.c.id, place.c.rank > 0)
    every = select().select_from(place.join(task_mark, of_place)).limit(literal_column(str(MARKED + 1)))
    there, number, is_exact = _by_marks(every, found.of_mark) if found.of_mark is not None else _by_tasks(every, found)
    if found.owned is not None:
        owned = some_of(place, found.owned.cte("owned"), [task.c.id]).where(place.c.rank > 0, *live(found.rest))
        number = number + _size(owned)
    return number, there <= MARKED, is_exact


Counted = tuple[ColumnElement[int], ColumnElement[int], ColumnElement[bool]]
"""How many tasks a mark has, how many of these are found, and whether that is exact."""


def _by_marks(every: Select[Any], condition: ColumnElement[bool]) -> Counted:
    looked_at = every.add_columns(condition.label("is_found")).subquery("looked_at_mark")
    counts = (func.count().label("marks"), func.count().filter(looked_at.c.is_found).label("found"))
    size = select(*counts).cte("size_of_mark").prefix_with("MATERIALIZED")
    return select(size.c.marks).scalar_subquery(), select(size.c.found).scalar_subquery(), true()


def _by_tasks(every: Select[Any], found: Shaped) -> Counted:
    at = func.row_number(type_=BigInteger()).over().label("at")
    marks = every.add_columns(task_mark.c.task_id, at).cte("marks").prefix_with("MATERIALIZED")
    size = select(func.count().label("marks")).select_from(marks).cte("size_of_mark").prefix_with("MATERIALIZED")
    there = select(size.c.marks).scalar_subquery()
    return there, _scaled(marks, there, found), there <= EXACT


def _scaled(marks: CTE, there: ColumnElement[int], found: Shaped) -> ColumnElement[int]:
    """Return how many tasks of a mark a filter finds, by all of them or by some that are spread over all."""
    step = case((there <= EXACT, 1), else_=func.greatest(there // SAMPLE, 1))
    block = (marks.c.at - 1) // step
    is_looked_at = (marks.c.at - 1) % step == _anywhere(func.hashint8extended(block, 0), step)
    is_found = and_(task.c.id.is_not(None), *live(found.rest))
    of_mark = marks.outerjoin(task, task.c.id == any_(array([marks.c.task_id])))
    share = func.cast(func.count().filter(is_found), Numeric()) / func.greatest(func.count(), 1)
    return select(func.round(share * there)).select_from(of_mark).where(is_looked_at).scalar_subquery()


def _of_shares(place: CTE, found: Shaped) -> ColumnElement[int]:
    shares = shared_of(place, []).where(*live(found.condition)).limit(EXACT + 1).subquery("share")
    shared = select(func.count().label("number")).select_from(shares).cte("shared").prefix_with("MATERIALIZED")
    return select(shared.c.number).scalar_subquery()


def _size(query: Select[Any]) -> ColumnElement[int]:
    return select(func.count()).select_from(query.subquery()).scalar_subquery()


def _all_of(place: CTE) -> Select[Any]:
    """Return how many tasks were ever made in places."""
    tasks = func.coalesce(func.sum(place.c.next_number - 1), 0).label("tasks")
    return select(tasks).where(place.c.rank > 0)


def _looked_at(place: CTE, found: Shaped) -> CTE:
    """Return how many tasks there are in each place, and whether that is an estimate."""
    every_place = _all_of(place).subquery("every_place")
    runs = func.least(every_place.c.tasks / func.least(SAMPLE, EXACT), LAST_NUMBER // RUN)
    step = RUN * func.cast(func.greatest(runs, 1), Integer())
    size = select(every_place.c.tasks, step.label("step")).cte("size").prefix_with("MATERIALIZED")
    is_all = select(size.c.tasks <= EXACT).scalar_subquery()
    every = _found_in_place(found).where(is_all).lateral("every")
    part = _sampled(place, size, found).where(~is_all).lateral("sampled")
    number = every.c.found + func.coalesce(part.c.found, 0)
    query = select(number.label("number"), (~is_all).label("is_estimate"))
    return query.select_from(place.join(every, true()).join(part, true())).where(place.c.rank > 0).cte("looked_at")


def _sampled(place: CTE, size: CTE, found: Shaped) -> Select[Any]:
    """Return about how many tasks of a place are found.

    Numbers of tasks are given in the order of their making: of each step one run is looked at, and stands for all of
    it. A number may have no task any more, and counts as one that is not found.
    """
    run = _runs(place, size).lateral("run")
    of_run = task.c.number.between(literal_column("run.first"), literal_column("run.last"))
    # Limited, so that it stays a lookup, however few tasks the planner takes a large project for.
    is_found = select(and_(*live(found.condition)).label("is_found"))
    one = is_found.where(task.c.project_id == OF_PLACE, of_run).limit(RUN).lateral("one")
    number = func.sum(run.c.stands_for).filter(one.c.is_found).label("found")
    return select(number).select_from(run.join(one, true()))


def _runs(place: CTE, size: CTE) -> Select[Any]:
    """Return from which number to which a run is looked at, and how many each of these stands for; for each step.

    The last step is narrower, and not made of whole runs: one number stands for it, as each is to be as likely.
    """
    steps = func.generate_series(place.c.next_number - 1, 1, -size.c.step)
    end = literal_column("spread.number", Integer())
    length = case((and_(end < size.c.step, size.c.step > RUN), 1), else_=RUN)
    width = func.least(size.c.step, end, type_=Integer())
    stands_for = func.greatest(width // length, 1, type_=Integer())
    last = end - length * _anywhere(func.uuid_hash_extended(OF_PLACE, func.cast(end, BigInteger())), stands_for)
    first: ColumnElement[Any] = last - length + 1
    numbers = steps.table_valued("number").render_derived("spread")
    run = select(first.label("first"), last.label("last"), stands_for.label("stands_for"))
    return cast("Select[Any]", run.select_from(size.join(numbers, true())))


def _anywhere(hashed: ColumnElement[int], room: ColumnElement[int]) -> ColumnElement[int]:
    """Return one of so many places, from 0 on; by any rule what recurs in steps would be missed, or be all of it."""
    return func.cast(hashed.op("&", return_type=BigInteger())(LAST_NUMBER) % room, Integer())
