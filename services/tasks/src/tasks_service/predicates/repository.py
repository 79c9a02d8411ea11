"""SQL of predicates: what a bound tree asks of a row of `task`.

A condition is true of what fulfils it, and false or null of all else, so the complement is `IS NOT TRUE`. Values are
bound parameters, always. Nothing in a condition says what the caller may see: that is for the query that has it.
"""

import operator
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime
from typing import Any, cast
from zoneinfo import ZoneInfo

from chassis.db.base import table_of
from chassis.filtering.moments import day_of
from chassis.filtering.tree import And, Node, Not, Or, Predicate, Value
from chassis.identity import Principal
from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Date,
    DateTime,
    Double,
    Select,
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
)
from sqlalchemy.dialects.postgresql import ARRAY, JSONB
from sqlalchemy.dialects.postgresql import UUID as PG_UUID
from sqlalchemy.types import TypeEngine

from tasks_service.assignees.models import Assignee
from tasks_service.labels.models import PersonalLabel
from tasks_service.metadata.models import TaskMetadata
from tasks_service.metadata.rules import app_of
from tasks_service.predicates.rules import (
    COMPLEMENTS,
    META,
    PRIORITIES,
    Bound,
    Comparison,
    bounds_in_any_zone,
    bounds_of_day,
    earliest_id,
    places_in_metadata,
    ranked,
    within,
)
from tasks_service.stars.models import Star
from tasks_service.tasks.rules import Key, task_named
from tasks_service.visibility.repository import project, task
from tasks_service.watchers.models import Watcher

assignee = table_of(Assignee)
watcher = table_of(Watcher)
star = table_of(Star)
personal_label = table_of(PersonalLabel)
task_metadata = table_of(TaskMetadata)
# Of its own name, so that a query that joins projects does not take it for its own.
of_task = project.alias("project_of_task")

Condition = ColumnElement[bool]
Expression = ColumnElement[Any]
ID: TypeEngine[Any] = PG_UUID(as_uuid=True)
NO_TIME: Expression = literal_column("interval '0'")
A_DAY: Expression = literal_column("interval '24 hours'")
DAY, INSTANT, WALL = Date(), DateTime(timezone=True), DateTime(timezone=False)
COMPARE: Mapping[Comparison, Callable[[Any, Any], Any]] = {
    "=": operator.eq,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}


Bind = Callable[[Any, TypeEngine[Any]], Expression]


def _inline(value: Any, of: TypeEngine[Any]) -> Expression:
    return bindparam(None, value, type_=of, unique=True)


@dataclass(frozen=True, slots=True)
class Asking:
    """Who asks, and where days begin; how values become parameters, and what tasks are walked by."""

    caller: Principal
    zone: ZoneInfo
    bind: Bind = _inline
    walked_by: str | None = None

    def array(self, values: Sequence[Any], of: TypeEngine[Any]) -> Expression:
        """Return values as one parameter."""
        return self.bind(list(values), ARRAY(of))


Builder = Callable[[Predicate, Asking], Condition]


def condition_of(node: Node, asking: Asking) -> Condition:
    """Return what a tree asks of a row of `task`; null of a row counts as false."""
    match node:
        case And(nodes):
            return and_(true(), *(condition_of(one, asking) for one in nodes))
        case Or(nodes):
            return or_(false(), *(condition_of(one, asking) for one in nodes))
        case Not(inner):
            return _is_not_true(condition_of(inner, asking))
        case Predicate():
            return _asked(node, asking)


def _asked(predicate: Predicate, asking: Asking) -> Condition:
    if predicate.operator in COMPLEMENTS:
        return _is_not_true(_asked(replace(predicate, operator=COMPLEMENTS[predicate.operator]), asking))
    if predicate.operator == "is_null" and predicate.values == (False,):
        return _is_not_true(_asked(replace(predicate, values=()), asking))
    build = _metadata if predicate.field.startswith(META) else BUILDERS[predicate.field]
    return build(predicate, asking)


def _is_not_true(condition: Condition) -> Condition:
    return condition.self_group().op("IS NOT", is_comparison=True)(true())


def _of(column: Expression, of: TypeEngine[Any], *, ranks: tuple[str, ...] = ()) -> Builder:
    """Return how a column is asked for its value, for its place among ranks, and for a part of its text."""

    def build(predicate: Predicate, asking: Asking) -> Condition:
        name, values = predicate.operator, predicate.values
        if name == "is_null":
            return column.is_(None)
        if name in {"contains", "starts_with"}:
            return _has_part(column, name, values[0], asking)
        if ranks and name != "in":
            return column == any_(asking.array(tuple(ranked(cast("Comparison", name), values[0], ranks)), of))
        if name == "in":
            return column == any_(asking.array(values, of))
        condition: Condition = COMPARE[cast("Comparison", name)](column, asking.bind(values[0], of))
        return condition

    return build


def _has_part(column: Expression, name: str, value: Value, asking: Asking) -> Condition:
    """Return whether a text has a part, whatever the case. Nothing in it is a pattern, so nothing is escaped."""
    whole, part = func.lower(column), func.lower(asking.bind(value, Text()))
    found: Condition = func.starts_with(whole, part) if name == "starts_with" else func.strpos(whole, part) > 0
    return found


def _each(one: Callable[[Comparison, Value, Asking], Condition], is_null: Condition) -> Builder:
    """Return how something is asked for that is compared with one value at a time."""

    def build(predicate: Predicate, asking: Asking) -> Condition:
        if predicate.operator == "is_null":
            return is_null
        comparison = cast("Comparison", "=" if predicate.operator == "in" else predicate.operator)
        return or_(false(), *(one(comparison, value, asking) for value in predicate.values))

    return build


def _number(column: Expression) -> Builder:
    def one(comparison: Comparison, value: Value, asking: Asking) -> Condition:
        found = cast("int | float", value)
        # What is kept is smaller, and so a value beyond is as good as this one.
        limited = max(-(2**40), min(2**40, found))
        condition: Condition = COMPARE[comparison](
            column, asking.bind(limited, BigInteger() if isinstance(limited, int) else Double())
        )
        return condition

    return _each(one, column.is_(None))


def _all_of(column: Expression, bounds: list[Bound], of: TypeEngine[Any], asking: Asking) -> Condition:
    return and_(*(COMPARE[bound.comparison](column, asking.bind(bound.value, of)) for bound in bounds))


def _on_day(column: Expression, comparison: Comparison, value: date | datetime, asking: Asking) -> Condition:
    return _all_of(column, [Bound(comparison, day_of(value, asking.zone))], DAY, asking)


def _at_instant(column: Expression, comparison: Comparison, value: date | datetime, asking: Asking) -> Condition:
    if isinstance(value, datetime):
        return _all_of(column, [Bound(comparison, value)], INSTANT, asking)
    return _all_of(column, bounds_of_day(comparison, value, asking.zone), INSTANT, asking)


def _at_wall_time(column: Expression, comparison: Comparison, value: date | datetime, asking: Asking) -> Condition:
    if not isinstance(value, datetime):
        return _all_of(column, bounds_of_day(comparison, value, None), WALL, asking)
    # Of the two instants of a time at which clocks are put back PostgreSQL takes the second, and we take the first:
    # a day after what it was a day before, if clocks show this time then.
    zone = asking.bind(asking.zone.key, Text())
    first = func.timezone(zone, column - A_DAY) + A_DAY
    instant = case((func.timezone(zone, first) == column, first), else_=func.timezone(zone, column))
    return _all_of(instant, [Bound(comparison, value)], INSTANT, asking)


def _day(column: Expression) -> Builder:
    def one(comparison: Comparison, value: Value, asking: Asking) -> Condition:
        return _on_day(column, comparison, within(cast("date", value)), asking)

    return _each(one, column.is_(None))


def _instant(column: Expression) -> Builder:
    def one(comparison: Comparison, value: Value, asking: Asking) -> Condition:
        return _at_instant(column, comparison, within(cast("date", value)), asking)

    return _each(one, column.is_(None))


def _created(predicate: Predicate, asking: Asking) -> Condition:
    """Return what is asked of the time of creation.

    It is no later than that of the id: so a walk by ids ends where the ids are too old. There, the time itself is
    hidden from the planner, which would take the two for independent, and the tasks for fewer than they are.
    """
    if asking.walked_by != "id" or predicate.operator not in {"=", "in", ">", ">="} or not predicate.values:
        return _instant(task.c.created_at)(predicate, asking)
    earliest = min(earliest_id(within(cast("date", value)), asking.zone) for value in predicate.values)
    found = _instant(task.c.created_at + NO_TIME)(predicate, asking)
    return and_(task.c.id >= asking.bind(earliest, ID), found)


def _due(comparison: Comparison, value: Value, asking: Asking) -> Condition:
    """Return what is asked of the due; a walk by it ends where it is beyond by whatever zone."""
    wanted = within(cast("date", value))
    found = or_(
        _on_day(task.c.due_date, comparison, wanted, asking),
        _at_instant(task.c.due_at, comparison, wanted, asking),
        and_(task.c.due_kind == "local", _at_wall_time(task.c.due_local, comparison, wanted, asking)),
    )
    if asking.walked_by != "due":
        return found
    return and_(_all_of(task.c.due_sort, bounds_in_any_zone(comparison, wanted), INSTANT, asking), found)


def _key(_comparison: Comparison, value: Value, asking: Asking) -> Condition:
    try:
        named = task_named(str(value))
    except ValueError:
        return false()
    if not isinstance(named, Key):
        return false()
    projects = select(of_task.c.id).where(of_task.c.prefix == asking.bind(named.prefix, Text()))
    return and_(task.c.number == asking.bind(named.number, BigInteger()), task.c.project_id.in_(projects))


def _flag(condition: Callable[[Asking], Condition]) -> Builder:
    """Return how something is asked for that is so or not."""

    def build(predicate: Predicate, asking: Asking) -> Condition:
        found = condition(asking)
        ways = {bool(value) for value in predicate.values}
        return or_(false(), *(found if way else _is_not_true(found) for way in ways))

    return build


def _is_archived(_asking: Asking) -> Condition:
    return task.c.project_id.in_(select(of_task.c.id).where(of_task.c.archived_at.is_not(None)))


def _is_starred(asking: Asking) -> Condition:
    mine = star.c.user_id == asking.bind(asking.caller.user_id, ID)
    return exists().where(star.c.task_id == task.c.id, mine).correlate(task)


def _set(has_any: Callable[[tuple[Value, ...], Asking], Condition], is_empty: Callable[[Asking], Condition]) -> Builder:
    """Return how a set is asked for what is in it."""

    def build(predicate: Predicate, asking: Asking) -> Condition:
        if predicate.operator == "is_null":
            return is_empty(asking)
        if predicate.operator == "has_all":
            return and_(true(), *(has_any((value,), asking) for value in predicate.values))
        return has_any(predicate.values, asking)

    return build


def _has_assignee(values: tuple[Value, ...], asking: Asking) -> Condition:
    found: Condition = task.c.assignees.overlap(asking.array(values, ID))
    return found


def _has_label(values: tuple[Value, ...], asking: Asking) -> Condition:
    mine = _own_labels(asking).where(personal_label.c.label_id == any_(asking.array(values, ID)))
    return or_(task.c.labels.overlap(asking.array(values, ID)), mine.exists())


def _has_no_label(asking: Asking) -> Condition:
    return and_(func.cardinality(task.c.labels) == 0, ~_own_labels(asking).exists())


def _own_labels(asking: Asking) -> Select[Any]:
    mine = personal_label.c.user_id == asking.bind(asking.caller.user_id, ID)
    return select(personal_label.c.label_id).where(personal_label.c.task_id == task.c.id, mine).correlate(task)


def _has_watcher(values: tuple[Value, ...], asking: Asking) -> Condition:
    return _watching().where(watcher.c.user_id == any_(asking.array(values, ID))).exists()


def _watching() -> Select[Any]:
    return select(watcher.c.user_id).where(watcher.c.task_id == task.c.id, watcher.c.is_watching).correlate(task)


def _metadata(predicate: Predicate, asking: Asking) -> Condition:
    """Return what is asked of a value that the caller's app may see; see metadata.repository.list_readable."""
    readable = (
        task_metadata.c.task_id == task.c.id,
        or_(task_metadata.c.owner_id == asking.bind(app_of(asking.caller), ID), task_metadata.c.shared),
    )
    found = [
        and_(
            task_metadata.c.namespace == asking.bind(namespace, Text()),
            _in_metadata(asking.bind(path, ARRAY(Text)), predicate, asking),
        )
        for namespace, path in places_in_metadata(predicate.field)
    ]
    there = exists().where(*readable, or_(false(), *found)).correlate(task)
    return _is_not_true(there) if predicate.operator == "is_null" else there


def _in_metadata(path: Expression, predicate: Predicate, asking: Asking) -> Condition:
    text = task_metadata.c.value.op("#>>", return_type=Text())(path)
    value = task_metadata.c.value.op("#>", return_type=JSONB())(path)
    if predicate.operator == "is_null":
        # Of what is there; a null counts as nothing.
        return text.is_not(None)
    if predicate.operator in {"contains", "starts_with"}:
        return and_(
            func.jsonb_typeof(value) == "string", _has_part(text, predicate.operator, predicate.values[0], asking)
        )
    return or_(false(), *(_compared(value, text, predicate.operator, one, asking) for one in predicate.values))


def _compared(value: Expression, text: Expression, name: str, wanted: Value, asking: Asking) -> Condition:
    compare = COMPARE[cast("Comparison", "=" if name == "in" else name)]
    if isinstance(wanted, str):
        found: Condition = compare(text, asking.bind(wanted, Text()))
        return and_(func.jsonb_typeof(value) == "string", found)
    kind = "boolean" if isinstance(wanted, bool) else "number"
    return and_(func.jsonb_typeof(value) == kind, compare(value, asking.bind(wanted, JSONB())))


BUILDERS: Mapping[str, Builder] = {
    **{
        name: _of(task.c[name], ID)
        for name in (
            "id",
            "workspace_id",
            "project_id",
            "category_id",
            "parent_id",
            "assigned_to",
            "created_by",
            "completed_by",
        )
    },
    **{
        name: _of(task.c[name], Text())
        for name in (
            "title",
            "description",
            "status",
            "status_category",
            "completion_policy",
            "external_source",
            "external_id",
        )
    },
    "priority": _of(task.c.priority, Text(), ranks=tuple(PRIORITIES)),
    "estimate_minutes": _number(task.c.estimate_minutes),
    "start": _day(task.c.start_date),
    "deadline": _day(task.c.deadline),
    "due": _each(_due, task.c.due_kind.is_(None)),
    **{name: _instant(task.c[name]) for name in ("completed_at", "updated_at")},
    "created_at": _created,
    "key": _each(_key, false()),
    "is_archived": _flag(_is_archived),
    "is_starred": _flag(_is_starred),
    "assignees": _set(_has_assignee, lambda _asking: func.cardinality(task.c.assignees) == 0),
    "labels": _set(_has_label, _has_no_label),
    "watchers": _set(_has_watcher, lambda _asking: ~_watching().exists()),
}
