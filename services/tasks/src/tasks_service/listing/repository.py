"""SQL of lists: each of the caller's places gives a page from an index in the order of the list; the best are shown.

A place is a project in which the caller has a role; tasks that are shared one by one are a place of their own. So the
cost is that of places, and no index is walked past what the caller does not see.
"""

import operator
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import lru_cache
from typing import Any, NamedTuple, cast
from uuid import UUID

from chassis.db.direct import DirectReader, KeptStatements
from chassis.identity import Principal
from chassis.paging import Paging
from sqlalchemy import (
    CTE,
    ColumnElement,
    Date,
    DateTime,
    Float,
    FromClause,
    Integer,
    RowMapping,
    Select,
    Subquery,
    Text,
    and_,
    any_,
    bindparam,
    case,
    false,
    func,
    literal_column,
    null,
    or_,
    select,
    true,
    union_all,
)
from sqlalchemy.dialects.postgresql import UUID as PG_UUID
from sqlalchemy.dialects.postgresql import array
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncSession
from sqlalchemy.sql.elements import UnaryExpression
from sqlalchemy.types import TypeEngine

from tasks_service.changes.repository import state_of_log
from tasks_service.listing.rules import SORTS_OF_MARKS, Asked, Edge, Part, Segment, segments
from tasks_service.matching.repository import Shaped, task_mark
from tasks_service.places.repository import OF_PLACE, few_of, live, places, shared_of, some_of
from tasks_service.places.rules import Reach
from tasks_service.searching.rules import EXACT_POINTS
from tasks_service.sorting.rules import RANK, KeyType, Order, Sort, text_of
from tasks_service.tasks.repository import KEY, SORTED_BY
from tasks_service.timezones.repository import ZONE_OF_CALLER
from tasks_service.totals.repository import Total, counted_exactly, is_countable
from tasks_service.visibility.repository import (
    CALLER_ID,
    EDITOR,
    Sight,
    rank_of,
    role_of,
    seen_by,
    sight_of,
    task,
    task_share,
)

Reader = AsyncConnection | AsyncSession | DirectReader
Rows = Sequence[RowMapping]
Condition = ColumnElement[bool]
Conditions = Sequence[Condition]

TYPES: Mapping[KeyType, TypeEngine[Any]] = {
    "id": PG_UUID(as_uuid=True),
    "instant": DateTime(timezone=True),
    "day": Date(),
    "number": Integer(),
    "text": Text(),
}
TESTS: Mapping[str, Callable[[Any, Any], Any]] = {"=": operator.eq, "<": operator.lt, ">": operator.gt}
STEPS = (26, 51, 101, 201, 501, 1001, 2001, 5001, 10_101)
"""How many tasks a place gives: a few numbers, which the statement tells, so that its plan is made for them."""
TURNS = 8
"""What part of these a place gives at first."""
SHOWN = tuple(column for column in task.c if column.name not in SORTED_BY)
UNRANKED: Mapping[str, ColumnElement[Any]] = {
    **{column.name: column for column in task.c},
    RANK: literal_column(f"CAST({EXACT_POINTS} AS integer)", Integer()).label(RANK),
}
"""What tasks are sorted by; what is not ranked fits less than what is, and all of it alike."""
OF_MARK: Mapping[str, ColumnElement[Any]] = {
    "id": task_mark.c.task_id.label("id"),
    **{name: task_mark.c[name] for name in ("priority_rank", "due_sort", "updated_at")},
}
"""What the tasks of a mark are sorted by."""


PAGES, LISTS = KeptStatements(), KeptStatements()
"""Callers sort and filter as they like, and to make the statement of a list takes ten times what a list does."""
LIMIT: ColumnElement[int] = bindparam("shown", type_=Integer())
OFFSET: ColumnElement[int] = bindparam("skipped", type_=Integer())
COUNTED_AT: ColumnElement[UUID] = bindparam("counted_at", type_=PG_UUID(as_uuid=True))
EVERYTHING = Shaped((), true(), {})
"""A filter that finds all."""


async def list_tasks(
    reader: Reader,
    *,
    caller: Principal,
    reach: Reach,
    found: Shaped,
    part: Part,
    limit: int,
    offset: int = 0,
    parameters: Mapping[str, Any],
) -> Rows:
    """Return tasks as they are read, with what the caller has in them, in the order of the walk.

    What is beyond those that are ranked is read where these do not fill the page, or do not come first.
    """
    step = next(one for one in STEPS if limit + offset <= one)
    sight = sight_of(caller)
    values = {**seen_by(caller), **found.values, **parameters, "shown": limit, "skipped": offset}
    if found.beyond is not None and part.sort[0] == Order(RANK, descending=not part.backwards):
        alone = replace(found, shape=("alone", found.shape), beyond=None)
        statement = _listed_by(reader, sight, reach, alone, part, step)
        best: Rows = (await reader.execute(statement, values)).mappings().all()
        if len(best) == limit:
            return best
    statement = _listed_by(reader, sight, reach, found, part, step)
    rows: Rows = (await reader.execute(statement, values)).mappings().all()
    return rows


def _listed_by(reader: Reader, sight: Sight, reach: Reach, found: Shaped, part: Part, step: int) -> Any:
    made_of = (sight, reach, found.shape, part, step)
    return LISTS.of(reader, made_of, lambda: _listed(sight, reach, found, part, step))


class PageFound(NamedTuple):
    """Tasks as they are read, one more than the page has if there are more, and what is said of the whole list.

    There is no total where it is yet to be counted.
    """

    rows: Rows
    total: Total | None
    zone: str | None
    log_at: UUID | None = None
    """Where the logs stood of all that the caller sees, if that was asked for."""


async def find_page(
    reader: Reader,
    *,
    caller: Principal,
    reach: Reach,
    found: Shaped,
    sort: Sort,
    paging: Paging,
    parameters: Mapping[str, Any],
    exact_up_to: int,
    keeps: bool = False,
    counted_at: UUID | None = None,
) -> PageFound:
    """Return a page by its number of what is not found by whom or what it names, the total, and the caller's zone.

    Where it is kept (`keeps`) it is told where the logs stand, and nothing is counted while they stand where they stood
    when that was done (`counted_at`).

    It is one statement: a way to the database costs more than what is asked beside a page.
    """
    limit = paging.per_page + 1
    step = next(one for one in STEPS if limit + paging.offset <= one)
    given: dict[str, Any] = {"shown": limit, "skipped": paging.offset, "exact_up_to": exact_up_to}
    if keeps:
        given["counted_at"] = counted_at
    values = {**seen_by(caller), **found.values, **parameters, **given}
    sight = sight_of(caller)
    made_of = (sight, reach, found.shape, sort, step, keeps)
    statement = PAGES.of(reader, made_of, lambda: _paged(sight, reach, found, sort, step, keeps=keeps))
    rows: Rows = (await reader.execute(statement, values)).mappings().all()
    about = rows[0]
    total = None if about["total"] is None else Total(int(about["total"]), is_estimate=False)
    return PageFound([] if about["id"] is None else rows, total, about["zone"], about["log_at"])


def is_ranked(found: Shaped) -> bool:
    """Tell whether it is said of each task how well it fits: then these are all that there are."""
    return found.among is not None and RANK in found.among.selected_columns


def edge_parameters(edge: Edge) -> dict[str, Any]:
    """Return the parameters that an edge gives a list."""
    return {f"edge_{place}": value for place, value in enumerate(edge) if value is not None}


@lru_cache(maxsize=64)
def _listed(sight: Sight, reach: Reach, found: Shaped, part: Part, step: int) -> Select[Any]:
    place = places(sight, reach)
    shown = _tasks_of(_best(_ways(place, found, part, step), part).subquery("top"), part.sort)
    rank = [shown.c[RANK]] if RANK in shown.c else []
    return (
        select(*_columns(shown), *_held(place, shown), *_keys_of(shown, part.sort), *rank)
        .select_from(shown.join(place, place.c.id == shown.c.project_id))
        .order_by(*_ordered(_by_name(shown, part.sort), part.sort, backwards=part.backwards))
    )


@lru_cache(maxsize=64)
def _paged(sight: Sight, reach: Reach, found: Shaped, sort: Sort, step: int, *, keeps: bool) -> Select[Any]:
    """Return a page with what is said of it in each of its rows, of which there is always one."""
    place, part = places(sight, reach), Part(sort)
    shared = shared_of(place, _keys(sort)).where(*live(found.condition)).cte("shared").prefix_with("MATERIALIZED")
    ways = [*_of_projects(place, found, part, step), _first(select(*shared.c), part, step)]
    top = _best(ways, part).cte("top").prefix_with("MATERIALIZED")
    about, shown = _about(place, shared, top, found, sight if keeps else None), _tasks_of(top, sort)
    return (
        select(*_columns(shown), *_held(place, shown), *about.c)
        .select_from(about.outerjoin(shown.join(place, place.c.id == shown.c.project_id), true()))
        .order_by(*_ordered(_by_name(shown, sort), sort, backwards=False))
    )


def _about(place: CTE, shared: CTE, top: CTE, found: Shaped, kept_for: Sight | None) -> Subquery:
    """Return what is said of a page: it tells how many tasks there are, unless it is full, or beyond the end.

    Only then, and where that is little enough, they are counted. Where it is kept, for callers of a sight, it tells
    where their logs stand, and nothing that was counted when they stood there is counted.
    """
    there = select(func.count()).select_from(top).scalar_subquery()
    is_open = or_(there == LIMIT, and_(there == 0, OFFSET > 0))
    countable = select(is_countable(place, shared).label("is_countable")).cte("countable").prefix_with("MATERIALIZED")
    number: ColumnElement[Any] = counted_exactly(place, shared, found)
    log_at: ColumnElement[Any] = null()
    if kept_for is not None:
        log = state_of_log(kept_for).cte("log").prefix_with("MATERIALIZED")
        log_at = select(*log.c).scalar_subquery()
        number = case((log_at == COUNTED_AT, null()), else_=number)
    total = case((~is_open, OFFSET + there), (select(*countable.c).scalar_subquery(), number)).label("total")
    return select(total, log_at.label("log_at"), ZONE_OF_CALLER.label("zone")).subquery("about")


def _tasks_of(top: FromClause, sort: Sort) -> CTE:
    """Return the tasks with these ids, and what they are sorted by.

    They are read before anything is joined to them; the other way round, all tasks of the places were.
    """
    keys = [top.c[order.key.column].label(f"sort_{place}") for place, order in enumerate(sort)]
    rank = [top.c[RANK]] if RANK in top.c else []
    # An array of one, so that each is looked up by its id.
    query = select(*SHOWN, *keys, *rank).select_from(top.join(task, task.c.id == any_(array([top.c.id]))))
    return query.cte("shown").prefix_with("MATERIALIZED")


def _columns(shown: CTE) -> Sequence[ColumnElement[Any]]:
    return [shown.c[column.name] for column in SHOWN]


def _keys_of(shown: CTE, sort: Sort) -> Sequence[ColumnElement[Any]]:
    """Return the sort keys of a task, for a cursor."""
    return [shown.c[f"sort_{place}"] for place in range(len(sort))]


def _by_name(shown: CTE, sort: Sort) -> Mapping[str, ColumnElement[Any]]:
    return {order.key.column: key for order, key in zip(sort, _keys_of(shown, sort), strict=True)}


def _held(place: CTE, shown: CTE) -> Sequence[ColumnElement[Any]]:
    """Return what a caller has in a task; see tasks.repository.HELD."""
    by_share = select(rank_of(task_share.c.role)).where(
        task_share.c.task_id == shown.c.id, task_share.c.user_id == CALLER_ID
    )
    best = func.greatest(place.c.rank, func.coalesce(by_share.correlate(shown).scalar_subquery(), 0))
    rank = case((place.c.rank >= EDITOR, place.c.rank), else_=best)
    key = (place.c.prefix + "-" + func.cast(shown.c.number, Text())).label(KEY.name)
    return key, role_of(rank).label("role"), place.c.workspace_role, place.c.is_archived


def _best(ways: Sequence[Select[Any]], part: Part) -> Select[Any]:
    """Return the ids and the sort keys of the best of all places."""
    joined = union_all(*(select(*way.subquery().c) for way in ways)).subquery("found")
    query = select(*joined.c).order_by(*_ordered(joined.c, part.sort, backwards=part.backwards))
    return query.limit(LIMIT).offset(OFFSET)


def _ways(place: CTE, found: Shaped, part: Part, step: int) -> list[Select[Any]]:
    if found.among is not None and is_ranked(found):
        ranked = _of_some(place, found.among.cte("ranked"), found, part, step)
        return [ranked] if found.beyond is None else [ranked, *_ways(place, found.beyond, part, step)]
    if found.marked is not None and text_of(part.sort) in SORTS_OF_MARKS:
        return _of_mark(place, found, part, step)
    found = replace(found, marked=None)
    all_ways = [*_of_projects(place, found, part, step), _of_shares(place, found, part, step)]
    if found.among is None:
        return all_ways
    few, is_few = few_of(found.among)
    return [_of_some(place, few, found, part, step).where(is_few), *(way.where(~is_few) for way in all_ways)]


def _of_mark(place: CTE, found: Shaped, part: Part, step: int) -> list[Select[Any]]:
    """Return the first of the tasks that have one mark, which are walked in the places; few are marked elsewhere."""
    ways = [*_of_projects(place, found, part, step), _of_shares(place, found, part, step)]
    if found.owned is None:
        return ways
    return [*ways, _of_some(place, found.owned.cte("owned"), found, part, step).where(place.c.rank > 0)]


def _of_projects(place: CTE, found: Shaped, part: Part, step: int) -> list[Select[Any]]:
    """Return the first tasks of the projects that are places.

    Each gives a few, and more only where all of its few are among the best: any other has given one that is too bad.
    """
    few = max(step // TURNS, 2)
    first = _first_of_place(found, part, few)
    given = select(place.c.id.label("of_place"), *first.c).select_from(place.join(first, true()))
    heads = given.where(place.c.rank > 0).cte("heads").prefix_with("MATERIALIZED")
    order = _ordered(heads.c, part.sort, backwards=part.backwards)
    best = select(heads.c.of_place.label("id")).order_by(*order).limit(literal_column(str(step))).subquery("best")
    going_on = select(best.c.id).group_by(best.c.id).having(func.count() == literal_column(str(few)))
    more = going_on.cte("going_on").prefix_with("MATERIALIZED")
    on, rest = select(more.c.id).subquery("place"), _first_of_place(found, part, step)
    return [
        select(*(heads.c[one.key.column] for one in part.sort)).where(heads.c.of_place.not_in(select(more.c.id))),
        select(*rest.c).select_from(on.join(rest, true())),
    ]


def _first_of_place(found: Shaped, part: Part, step: int) -> FromClause:
    inner = segments(part.sort, backwards=part.backwards, nulls=part.nulls)
    return _joined([_segment(one, found, part, step) for one in inner], step).lateral("part")


def _segment(segment: Segment, found: Shaped, part: Part, step: int) -> Select[Any]:
    columns = UNRANKED if found.marked is None else OF_MARK
    query = _in_place(found, [columns[order.key.column] for order in part.sort])
    query = query.where(*(_asked(one, columns) for one in segment.asked))
    tested = segment.asked[segment.same].order if len(segment.asked) > segment.same else None
    order = _ordered(columns, part.sort[segment.same :], backwards=part.backwards, full=tested)
    return query.order_by(*order).limit(literal_column(str(step)))


def _in_place(found: Shaped, keys: Sequence[ColumnElement[Any]]) -> Select[Any]:
    """Return what a filter finds in a place: of all its tasks, or of those that have a mark."""
    if found.marked is None:
        return select(*keys).where(task.c.project_id == OF_PLACE, *live(found.condition))
    is_one = (task_mark.c.mark == found.marked, task_mark.c.project_id == OF_PLACE)
    if found.of_mark is not None:
        return select(*keys).where(*is_one, found.of_mark)
    marked = task_mark.join(task, task.c.id == any_(array([task_mark.c.task_id])))
    return select(*keys).select_from(marked).where(*is_one, *live(found.rest))


def _joined(parts: Sequence[Select[Any]], step: int) -> Select[Any]:
    """Return the first so many of parts that follow each other; none is begun when those before are enough."""
    if len(parts) == 1:
        return parts[0]
    done: list[CTE] = []
    for place, one in enumerate(parts):
        inner, left = one.subquery(), cast("ColumnElement[int]", literal_column(str(step), Integer()))
        for before in done:
            left = left - select(func.count()).select_from(before).scalar_subquery()
        done.append(select(*inner.c).limit(left).cte(f"part_{place}", nesting=True))
    union = union_all(*(select(*one.c) for one in done)).subquery()
    return select(*union.c).add_cte(*done, nest_here=True)


def _of_shares(place: CTE, found: Shaped, part: Part, step: int) -> Select[Any]:
    """Return the first of the tasks that are shared with the caller outside of places."""
    return _first(shared_of(place, _keys(part.sort)).where(*live(found.condition)), part, step)


def _of_some(place: CTE, few: CTE, found: Shaped, part: Part, step: int) -> Select[Any]:
    """Return the first of the tasks that a filter has found by something else than a place."""
    columns = {**UNRANKED, **({RANK: few.c[RANK]} if RANK in few.c else {})}
    keys = [columns[order.key.column] for order in part.sort]
    if is_ranked(found) and RANK not in {order.name for order in part.sort}:
        keys.append(few.c[RANK])
    return _first(some_of(place, few, keys).where(*live(found.rest)), part, step)


def _first(query: Select[Any], part: Part, step: int) -> Select[Any]:
    """Return what a query finds of what is left of a list, without an index to read in order."""
    columns = query.selected_columns
    if part.nulls is not None:
        left = segments(part.sort, backwards=part.backwards, nulls=part.nulls)
        query = query.where(or_(false(), *(and_(*(_asked(one, columns) for one in segment.asked)) for segment in left)))
    return query.order_by(*_ordered(columns, part.sort, backwards=part.backwards)).limit(literal_column(str(step)))


def _keys(sort: Sort) -> list[ColumnElement[Any]]:
    return [UNRANKED[order.key.column] for order in sort]


def _asked(asked: Asked, columns: Any = UNRANKED) -> Condition:
    column = columns[asked.order.key.column]
    if asked.test not in TESTS:
        is_null: Condition = column.is_(None) if asked.test == "is null" else column.is_not(None)
        return is_null
    of = Float() if asked.order.name == RANK else TYPES[asked.order.key.type]
    condition: Condition = TESTS[asked.test](column, bindparam(f"edge_{asked.of_edge}", type_=of))
    return condition


def _ordered(columns: Any, sort: Sort, *, backwards: bool, full: Order | None = None) -> list[UnaryExpression[Any]]:
    """Return the order of a walk, nulls last, and so first backwards; `full` is a key without nulls.

    What an index has anyway is not said, nor is that of a key without nulls: an index is read in the order alone that
    is the same word for word.
    """
    found = []
    for order in sort:
        column, descending = columns[order.key.column], order.descending != backwards
        directed = column.desc() if descending else column.asc()
        if order.key.nullable and order != full and descending != backwards:
            directed = directed.nulls_first() if backwards else directed.nulls_last()
        found.append(directed)
    return found
