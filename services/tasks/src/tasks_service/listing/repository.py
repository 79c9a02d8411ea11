"""SQL of lists: each of the caller's places gives a page from an index in the order of the list; the best are shown.

A place is a project in which the caller has a role; tasks that are shared one by one are a place of their own. So the
cost is that of places, and no index is walked past what the caller does not see.
"""

import operator
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import lru_cache
from typing import Any, NamedTuple, cast

from chassis.identity import Principal
from sqlalchemy import (
    CTE,
    ColumnElement,
    Date,
    DateTime,
    Float,
    FromClause,
    Integer,
    Numeric,
    RowMapping,
    Select,
    Subquery,
    Text,
    and_,
    any_,
    bindparam,
    case,
    exists,
    false,
    func,
    literal_column,
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

from tasks_service.listing.rules import Asked, Edge, Part, Reach, Segment, segments
from tasks_service.matching.repository import Shaped
from tasks_service.searching.rules import EXACT_POINTS
from tasks_service.sorting.rules import RANK, KeyType, Order, Sort
from tasks_service.tasks.repository import KEY, SORTED_BY
from tasks_service.visibility.repository import (
    CALLER,
    CALLER_ID,
    EDITOR,
    IDS,
    IN_WORKSPACE,
    PROJECT_RANK,
    PROJECTS,
    WORKSPACE_ROLE,
    Sight,
    project,
    rank_of,
    role_of,
    seen_by,
    seen_in_project,
    sight_of,
    task,
    task_share,
)

Reader = AsyncConnection | AsyncSession
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
MANY = 10_000
"""More tasks than this, which a filter finds by whom or what it names, are not worth looking at one by one."""
SAMPLE = 500
"""How many tasks a number is estimated from."""
EXACT: ColumnElement[int] = bindparam("exact_up_to", type_=Integer())
SHOWN = tuple(column for column in task.c if column.name not in SORTED_BY)
UNRANKED: Mapping[str, ColumnElement[Any]] = {
    **{column.name: column for column in task.c},
    RANK: literal_column(f"CAST({EXACT_POINTS} AS integer)", Integer()).label(RANK),
}
"""What tasks are sorted by; what is not ranked fits less than what is, and all of it alike."""
OF_PLACE: ColumnElement[Any] = literal_column("place.id", PG_UUID(as_uuid=True))
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
        best: Rows = (await reader.execute(_listed(sight, reach, alone, part, step), values)).mappings().all()
        if len(best) == limit:
            return best
    rows: Rows = (await reader.execute(_listed(sight, reach, found, part, step), values)).mappings().all()
    return rows


def is_ranked(found: Shaped) -> bool:
    """Tell whether it is said of each task how well it fits: then these are all that there are."""
    return found.among is not None and RANK in found.among.selected_columns


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
    statement = _counted(sight_of(caller), reach, found)
    row = (
        await reader.execute(statement, {**seen_by(caller), **found.values, **parameters, "exact_up_to": exact_up_to})
    ).one()
    return Total(int(row.number), bool(row.is_estimate))


def edge_parameters(edge: Edge) -> dict[str, Any]:
    """Return the parameters that an edge gives a list."""
    return {f"edge_{place}": value for place, value in enumerate(edge) if value is not None}


@lru_cache(maxsize=64)
def _listed(sight: Sight, reach: Reach, found: Shaped, part: Part, step: int) -> Select[Any]:
    place = places(sight, reach)
    top = _best(place, found, part, step)
    return (
        select(*SHOWN, *_held(place), *_places_in(top, part.sort), *([top.c[RANK]] if RANK in top.c else []))
        .select_from(top.join(task, task.c.id == top.c.id).join(place, place.c.id == task.c.project_id))
        .order_by(*_ordered(top.c, part.sort, backwards=part.backwards))
    )


def _places_in(top: Subquery, sort: Sort) -> Sequence[ColumnElement[Any]]:
    """Return the sort keys of a task, for a cursor."""
    return [top.c[order.key.column].label(f"sort_{place}") for place, order in enumerate(sort)]


@lru_cache(maxsize=64)
def _counted(sight: Sight, reach: Reach, found: Shaped) -> Select[Any]:
    place = places(sight, reach)
    looked = _looked_at(place, found)
    shares = shared_of(place, []).where(*live(found.condition)).limit(EXACT + 1).subquery("share")
    shared = select(func.count().label("number")).select_from(shares).cte("shared").prefix_with("MATERIALIZED")
    of_shares = select(shared.c.number).scalar_subquery()
    number = func.coalesce(select(func.sum(looked.c.number)).scalar_subquery(), 0) + of_shares
    is_estimate = or_(of_shares > EXACT, select(func.bool_or(looked.c.is_estimate)).scalar_subquery())
    if found.among is None:
        return select(number.label("number"), is_estimate.label("is_estimate"))
    few, is_few = few_of(found.among)
    some = some_of(place, few, [task.c.id]).where(*live(found.rest))
    # Of the ways, only that which is right is gone.
    numbers = case((is_few, _size(some)), else_=number)
    return select(numbers.label("number"), case((is_few, false()), else_=is_estimate).label("is_estimate"))


def _size(query: Select[Any]) -> ColumnElement[int]:
    return select(func.count()).select_from(query.subquery()).scalar_subquery()


def _looked_at(place: CTE, found: Shaped) -> CTE:
    """Return how many tasks there are in each place, and whether that is an estimate.

    Numbers of tasks are given in the order of their making: some of them, spread over all, stand for those between.
    """
    sizes = select(func.coalesce(func.sum(place.c.next_number - 1), 0).label("tasks"))
    size = sizes.where(place.c.rank > 0).cte("size").prefix_with("MATERIALIZED")
    is_all = select(size.c.tasks <= EXACT).scalar_subquery()
    step = select(func.cast(func.greatest(size.c.tasks / func.least(SAMPLE, EXACT), 1), Integer())).scalar_subquery()
    whole = select(func.count().label("found")).where(task.c.project_id == OF_PLACE, *live(found.condition), is_all)
    every = whole.select_from(task).lateral("every")
    spread = func.generate_series(place.c.next_number - 1, 1, -step).table_valued("number").render_derived("spread")
    # An array of one, and nothing else that an index could have, so that each is looked up by its number.
    numbered = and_(task.c.project_id == OF_PLACE, task.c.number == any_(array([literal_column("spread.number")])))
    # Limited, so that it stays a lookup, however few tasks the planner takes a large project for.
    one = select(and_(*live(found.condition)).label("is_found")).where(numbered).limit(1).lateral("one")
    seen = select(func.count().label("looked_at"), func.count().filter(one.c.is_found).label("found"))
    seen = seen.select_from(spread.outerjoin(one, true()))
    part = seen.where(~is_all).lateral("sampled")
    scaled = func.round(
        func.cast(part.c.found, Numeric()) * (place.c.next_number - 1) / func.nullif(part.c.looked_at, 0)
    )
    number = every.c.found + func.coalesce(scaled, 0)
    query = select(number.label("number"), (~is_all).label("is_estimate"))
    return query.select_from(place.join(every, true()).join(part, true())).where(place.c.rank > 0).cte("looked_at")


def _held(place: CTE) -> Sequence[ColumnElement[Any]]:
    """Return what a caller has in a task; see tasks.repository.HELD."""
    by_share = select(rank_of(task_share.c.role)).where(
        task_share.c.task_id == task.c.id, task_share.c.user_id == CALLER_ID
    )
    best = func.greatest(place.c.rank, func.coalesce(by_share.correlate(task).scalar_subquery(), 0))
    rank = case((place.c.rank >= EDITOR, place.c.rank), else_=best)
    key = (place.c.prefix + "-" + func.cast(task.c.number, Text())).label(KEY.name)
    return key, role_of(rank).label("role"), place.c.workspace_role, place.c.is_archived


def places(sight: Sight, reach: Reach) -> CTE:
    """Return the projects that a list is of, with the caller's rank in each; 0 where there is none."""
    archived = project.c.archived_at.is_not(None)
    conditions = [CALLER, *([IN_WORKSPACE] if sight.in_workspace else []), *seen_in_project(sight)]
    if reach.in_workspaces:
        conditions.append(project.c.workspace_id == any_(bindparam("of_workspaces", type_=IDS)))
    if reach.in_projects:
        conditions.append(project.c.id == any_(bindparam("of_projects", type_=IDS)))
    if reach.is_archived is not None:
        conditions.append(archived if reach.is_archived else ~archived)
    columns = (project.c.id, project.c.prefix, project.c.next_number, archived.label("is_archived"), WORKSPACE_ROLE)
    query = select(*columns, PROJECT_RANK.label("rank")).select_from(PROJECTS)
    return query.where(*conditions, project.c.purged_at.is_(None)).cte("place").prefix_with("MATERIALIZED")


def _best(place: CTE, found: Shaped, part: Part, step: int) -> Subquery:
    """Return the ids and the sort keys of the best of all places."""
    joined = union_all(*(select(*way.subquery().c) for way in _ways(place, found, part, step))).subquery("found")
    query = select(*joined.c).order_by(*_ordered(joined.c, part.sort, backwards=part.backwards))
    return (
        query.limit(bindparam("shown", type_=Integer())).offset(bindparam("skipped", type_=Integer())).subquery("top")
    )


def _ways(place: CTE, found: Shaped, part: Part, step: int) -> list[Select[Any]]:
    if found.among is not None and is_ranked(found):
        ranked = _of_some(place, found.among.cte("ranked"), found, part, step)
        return [ranked] if found.beyond is None else [ranked, *_ways(place, found.beyond, part, step)]
    all_ways = [*_of_projects(place, found, part, step), _of_shares(place, found, part, step)]
    if found.among is None:
        return all_ways
    few, is_few = few_of(found.among)
    return [_of_some(place, few, found, part, step).where(is_few), *(way.where(~is_few) for way in all_ways)]


def few_of(among: Select[Any]) -> tuple[CTE, Condition]:
    """Return what a filter finds by whom or what it names, and whether it is little enough to be looked at."""
    reached = among.limit(literal_column(str(MANY + 1))).cte("reached").prefix_with("MATERIALIZED")
    is_few = select(func.count() <= literal_column(str(MANY))).select_from(reached).scalar_subquery()
    return select(reached.c.task_id).distinct().cte("few").prefix_with("MATERIALIZED"), is_few


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
    query = select(*_keys(part.sort)).where(task.c.project_id == OF_PLACE, task.c.deleted_at.is_(None))
    query = query.where(found.condition, *(_asked(one) for one in segment.asked))
    tested = segment.asked[segment.same].order if len(segment.asked) > segment.same else None
    order = _ordered(UNRANKED, part.sort[segment.same :], backwards=part.backwards, full=tested)
    return query.order_by(*order).limit(literal_column(str(step)))


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


def shared_of(place: CTE, columns: Sequence[ColumnElement[Any]]) -> Select[Any]:
    """Return columns of the tasks that are shared with the caller outside of places."""
    # An array of one, as in `some_of`.
    is_one = task.c.id == any_(array([task_share.c.task_id]))
    shared = task_share.join(task, is_one).join(place, place.c.id == task.c.project_id)
    query = select(*(columns or (task.c.id,))).select_from(shared)
    return query.where(task_share.c.user_id == CALLER_ID, place.c.rank == 0)


def _of_some(place: CTE, few: CTE, found: Shaped, part: Part, step: int) -> Select[Any]:
    """Return the first of the tasks that a filter has found by something else than a place."""
    columns = {**UNRANKED, **({RANK: few.c[RANK]} if RANK in few.c else {})}
    keys = [columns[order.key.column] for order in part.sort]
    if is_ranked(found) and RANK not in {order.name for order in part.sort}:
        keys.append(few.c[RANK])
    return _first(some_of(place, few, keys).where(*live(found.rest)), part, step)


def some_of(place: CTE, few: CTE, columns: Sequence[ColumnElement[Any]]) -> Select[Any]:
    """Return columns of those of the tasks found that the caller sees."""
    # An array of one, so that each is looked up by its id, and all tasks are never read to be joined.
    is_one = task.c.id == any_(array([few.c.task_id]))
    some = few.join(task, is_one).join(place, place.c.id == task.c.project_id)
    share = exists().where(task_share.c.task_id == task.c.id, task_share.c.user_id == CALLER_ID).correlate(task)
    return select(*columns).select_from(some).where(or_(place.c.rank > 0, share))


def live(condition: Condition) -> Conditions:
    """Return the conditions for tasks that are not in the trash, beside another."""
    return [task.c.deleted_at.is_(None), condition]


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
