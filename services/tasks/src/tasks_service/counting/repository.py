"""SQL of counts: tasks are grouped by what they have as it is, and sets are opened when there is one row a group.

What is counted is of the caller's places, and what is shared one by one, as in lists (places.repository).
"""

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any, NamedTuple

from chassis.db.base import table_of
from chassis.identity import Principal
from sqlalchemy import (
    CTE,
    ColumnElement,
    Date,
    Integer,
    Numeric,
    Select,
    Subquery,
    Text,
    and_,
    any_,
    bindparam,
    case,
    cast,
    false,
    func,
    literal,
    literal_column,
    null,
    select,
    true,
    union_all,
)
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.dialects.postgresql import UUID as PG_UUID
from sqlalchemy.ext.asyncio import AsyncConnection

from tasks_service.counting.rules import MAX_GROUPS, Dimension
from tasks_service.labels.models import Label, PersonalLabel
from tasks_service.matching.repository import Shaped
from tasks_service.names.repository import visible
from tasks_service.places.repository import OF_PLACE, few_of, live, places, shared_of, some_of
from tasks_service.places.rules import Reach
from tasks_service.visibility.repository import CALLER_ID, Sight, member, seen_by, sight_of, task

label = table_of(Label)
personal_label = table_of(PersonalLabel)

ZONE: ColumnElement[str] = bindparam("zone", type_=Text())
IDS: ARRAY[Any] = ARRAY(PG_UUID(as_uuid=True))
NO_IDS = literal_column("'{}'::uuid[]", IDS)
WHOLE = literal_column("1", Numeric())
SAMPLE: ColumnElement[int] = bindparam("sample", type_=Integer())


class Counting(NamedTuple):
    """What is counted by what: by all dimensions together, or by each alone."""

    reach: Reach
    found: Shaped
    dimensions: tuple[Dimension, ...]
    is_together: bool


class Counted(NamedTuple):
    """How many tasks there are in a group of the dimension at this place; of all tasks the place is -1."""

    place: int
    key: tuple[str | None, ...]
    number: int


class Counts(NamedTuple):
    """Up to 1,001 groups of each kind, largest first, and how many tasks there are at all."""

    groups: Sequence[Counted]
    total: int
    is_estimate: bool


async def size_of(reader: AsyncConnection, *, caller: Principal, reach: Reach, parameters: Mapping[str, Any]) -> int:
    """Return how many tasks were ever made in the caller's places: no more than that have to be looked at there."""
    place = places(sight_of(caller), reach)
    query = select(func.coalesce(func.sum(place.c.next_number - 1), 0)).where(place.c.rank > 0)
    return int((await reader.execute(query, {**seen_by(caller), **parameters})).scalar_one())


async def count_groups(
    reader: AsyncConnection,
    *,
    caller: Principal,
    counting: Counting,
    zone: str,
    sample: int | None,
    parameters: Mapping[str, Any],
) -> Counts:
    """Count the tasks that the caller sees; of a sample of so many, the newest of each place stand for the others."""
    statement = _counted(sight_of(caller), counting, is_sampled=sample is not None)
    values = {**seen_by(caller), **counting.found.values, **parameters, "zone": zone, "sample": sample}
    result = await reader.execute(statement, values)
    rows = [(Counted(row[0], tuple(row[1:-2]), int(row[-2])), bool(row[-1])) for row in result]
    total, is_estimate = next((one.number, flag) for one, flag in rows if one.place < 0)
    return Counts([one for one, _ in rows if one.place >= 0], total, is_estimate)


@lru_cache(maxsize=64)
def _counted(sight: Sight, counting: Counting, *, is_sampled: bool) -> Select[Any]:
    place = places(sight, counting.reach)
    rows, is_estimate = _rows(sight, place, counting, is_sampled=is_sampled)
    base = _base(rows, counting, is_sampled=is_sampled)
    kinds = [tuple(range(len(counting.dimensions)))] if counting.is_together else None
    kinds = kinds or [(at,) for at in range(len(counting.dimensions))]
    parts: list[Select[Any]] = [_groups(base, at, kind) for at, kind in enumerate(kinds)]
    parts.append(_whole(base, is_estimate, len(kinds[0])))
    found = union_all(*(select(*one.subquery().c) for one in parts)).subquery()
    keys = [found.c[f"key_{at}"] for at in range(len(kinds[0]))]
    return select(*found.c).order_by(found.c.place, found.c.number.desc(), *(key.asc().nulls_last() for key in keys))


def _whole(base: CTE, is_estimate: ColumnElement[bool], keys: int) -> Select[Any]:
    """Return how many tasks there are: in each kind they are all there, once."""
    number = select(func.coalesce(func.sum(base.c.number), 0)).where(base.c.kind == 0).scalar_subquery()
    nothing = [cast(null(), Text()).label(f"key_{at}") for at in range(keys)]
    columns: list[ColumnElement[Any]] = [literal(-1).label("place"), *nothing, number.label("number")]
    return select(*columns, is_estimate.label("is_estimate"))


def _groups(base: CTE, place: int, dimensions: Sequence[int]) -> Select[Any]:
    """Return the groups of one kind; a task is in those of all that it has."""
    of_tasks = base
    keys: list[ColumnElement[Any]] = []
    opened: Any = of_tasks
    for at in dimensions:
        column = base.c[f"of_{at}"]
        if isinstance(column.type, ARRAY):
            one = func.unnest(column).table_valued("value", name=f"one_{place}_{at}").render_derived()
            opened, column = opened.outerjoin(one, true()), one.c.value
        keys.append(cast(column, Text()))
    number = func.sum(base.c.number)
    named = [key.label(f"key_{nth}") for nth, key in enumerate(keys)]
    query = select(literal(place).label("place"), *named, number.label("number"), false().label("is_estimate"))
    query = query.select_from(opened).where(base.c.kind == place).group_by(*keys)
    return query.order_by(number.desc(), *(key.asc().nulls_last() for key in keys)).limit(MAX_GROUPS + 1)


def _base(rows: Subquery, counting: Counting, *, is_sampled: bool) -> CTE:
    """Return how many tasks have exactly the same; `kind` is the place of the dimension that it is about."""
    columns = [rows.c[f"of_{at}"] for at in range(len(counting.dimensions))]
    number = func.round(func.sum(rows.c.weight)) if is_sampled else func.count()
    if counting.is_together or len(columns) == 1:
        query = select(*columns, literal(0).label("kind"), number.label("number")).group_by(*columns)
        return query.cte("base").prefix_with("MATERIALIZED")
    bits, last = func.grouping(*columns), len(columns) - 1
    every = 2 ** len(columns) - 1
    kind = case({every - 2 ** (last - at): at for at in range(len(columns))}, value=bits)
    query = select(*columns, kind.label("kind"), number.label("number")).group_by(func.grouping_sets(*columns))
    return query.cte("base").prefix_with("MATERIALIZED")


def _rows(sight: Sight, place: CTE, counting: Counting, *, is_sampled: bool) -> tuple[Subquery, ColumnElement[bool]]:
    """Return what the tasks have that are counted, and whether some stand for others."""
    found, having = counting.found, Having(sight, counting.dimensions, is_weighed=is_sampled)
    ways = [
        _newest(place, found, having) if is_sampled else _live(_in_projects(place, having), found.condition, having),
        _live(shared_of(place, having.columns), found.condition, having),
    ]
    if found.among is None:
        return _together(ways), literal(is_sampled)
    few, is_few = few_of(found.among)
    some = _live(some_of(place, few, having.columns), found.rest, having).where(is_few)
    return _together([some, *(way.where(~is_few) for way in ways)]), and_(literal(is_sampled), ~is_few)


def _together(ways: Sequence[Select[Any]]) -> Subquery:
    return union_all(*(select(*way.subquery().c) for way in ways)).subquery("counted")


def _live(query: Select[Any], condition: ColumnElement[bool], having: "Having") -> Select[Any]:
    return having.joined(query).where(*live(condition))


def _in_projects(place: CTE, having: "Having") -> Select[Any]:
    ids = func.array(select(place.c.id).where(place.c.rank > 0).scalar_subquery(), type_=IDS)
    return select(*having.columns).where(task.c.project_id == any_(ids))


def _newest(place: CTE, found: Shaped, having: "Having") -> Select[Any]:
    """Return the newest tasks of each place, each with how many it stands for.

    Numbers of tasks are given in the order of their making, so what numbers the newest have tells how dense they are.
    """
    # A whole number, since how many there are tells whether these are all.
    of_place = select(func.greatest(SAMPLE // func.count(), 1)).where(place.c.rank > 0).scalar_subquery()
    newest = (
        having.joined(select(*having.shown, task.c.number, and_(true(), found.condition).label("is_found")))
        .where(task.c.project_id == OF_PLACE, task.c.deleted_at.is_(None))
        .order_by(task.c.id.desc())
        .limit(of_place)
        .subquery("newest")
    )
    span = func.max(newest.c.number).over() - func.min(newest.c.number).over() + 1
    looked_at = select(*newest.c, span.label("span"), func.count().over().label("looked_at")).lateral("looked_at")
    weight = case(
        (looked_at.c.looked_at < of_place, WHOLE), else_=cast(place.c.next_number - 1, Numeric()) / looked_at.c.span
    )
    columns = [looked_at.c[one.name] for one in having.shown]
    query = select(*columns, weight.label("weight")).select_from(place.join(looked_at, true()))
    return query.where(place.c.rank > 0, looked_at.c.is_found)


class Having:
    """What tasks have that is counted: a column for each dimension."""

    def __init__(self, sight: Sight, dimensions: Sequence[Dimension], *, is_weighed: bool) -> None:
        self._own = _own_labels(sight) if "label" in dimensions else None
        self.shown = [self._of(one).label(f"of_{at}") for at, one in enumerate(dimensions)]
        self.columns = [*self.shown, WHOLE.label("weight")] if is_weighed else self.shown

    def joined(self, query: Select[Any]) -> Select[Any]:
        """Return a query of tasks with what it needs beside them."""
        return query if self._own is None else query.outerjoin(self._own, self._own.c.task_id == task.c.id)

    def _of(self, dimension: Dimension) -> ColumnElement[Any]:
        if dimension == "label" and self._own is not None:
            return func.array_cat(task.c.labels, func.coalesce(self._own.c.ids, NO_IDS), type_=IDS)
        return COLUMNS[dimension]


def _own_labels(sight: Sight) -> Subquery:
    """Return the labels of the caller's own that tasks have, as far as the caller sees the labels."""
    owned = personal_label.join(label, label.c.id == personal_label.c.label_id)
    return (
        select(personal_label.c.task_id, func.array_agg(personal_label.c.label_id, type_=IDS).label("ids"))
        .select_from(owned.join(member, member.c.workspace_id == label.c.workspace_id))
        .where(*visible(label, sight), personal_label.c.user_id == CALLER_ID)
        .group_by(personal_label.c.task_id)
        .subquery("own_label")
    )


def _day_of(instant: ColumnElement[Any]) -> ColumnElement[Any]:
    return cast(func.timezone(ZONE, instant), Date())


COLUMNS: Mapping[Dimension, ColumnElement[Any]] = {
    "status": task.c.status,
    "status_category": task.c.status_category,
    "priority": task.c.priority,
    "project": task.c.project_id,
    "workspace": task.c.workspace_id,
    "category": task.c.category_id,
    "assignee": task.c.assignees,
    "assigned_to": task.c.assigned_to,
    "label": task.c.labels,
    "created_by": task.c.created_by,
    "due_day": case(
        (task.c.due_kind == "date", task.c.due_date),
        (task.c.due_kind == "at", _day_of(task.c.due_at)),
        else_=cast(task.c.due_local, Date()),
    ),
    "completed_day": _day_of(task.c.completed_at),
    "created_day": _day_of(task.c.created_at),
}
