"""Pure rules of what predicates ask: of days and instants in a zone, of ranks, and of where metadata lies."""

from collections.abc import Hashable, Iterator, Sequence
from datetime import UTC, date, datetime, time, timedelta
from typing import Literal, NamedTuple, get_args
from uuid import UUID
from zoneinfo import ZoneInfo

from chassis.filtering.moments import day_bounds
from chassis.filtering.tree import And, Node, Not, Operator, Or, Predicate, Value

from tasks_service.tasks.rules import Priority

META = "meta."
PRIORITIES: Sequence[str] = get_args(Priority)
Comparison = Literal["=", "<", "<=", ">", ">="]
COMPLEMENTS: dict[Operator, Operator] = {"!=": "=", "not_in": "in", "has_none": "has_any"}
"""What is true of a row where the other is not."""
BETWEEN_CLOCKS = timedelta(days=1)
"""How much later than its id something may have been made, by any clock."""
BETWEEN_ZONES = timedelta(days=2)
"""How far an instant lies from another that is the same in some zone, or on the same day there, at the most."""
FIRST_DAY, LAST_DAY = date(1900, 1, 1), date(2200, 1, 1)
"""All that is kept lies between these, so a value beyond is as good as one of these."""


class Bound(NamedTuple):
    """One comparison with a day or a time."""

    comparison: Comparison
    value: date | datetime


def within(value: date | datetime) -> date | datetime:
    """Return a value, or the first or last day where it lies beyond."""
    day = value.date() if isinstance(value, datetime) else value
    if FIRST_DAY <= day <= LAST_DAY:
        return value
    limit = FIRST_DAY if day < FIRST_DAY else LAST_DAY
    return datetime.combine(limit, time(), UTC) if isinstance(value, datetime) else limit


def bounds_of_day(comparison: Comparison, day: date, zone: ZoneInfo | None) -> list[Bound]:
    """Return how instants, or without a zone wall times, compare where their day is compared with this one."""
    if zone is None:
        first = datetime.combine(day, time())
        after = first + timedelta(days=1)
    else:
        first, after = day_bounds(day, zone)
    bounds: dict[Comparison, list[Bound]] = {
        "=": [Bound(">=", first), Bound("<", after)],
        "<": [Bound("<", first)],
        "<=": [Bound("<", after)],
        ">": [Bound(">=", after)],
        ">=": [Bound(">=", first)],
    }
    return bounds[comparison]


def bounds_in_any_zone(comparison: Comparison, value: date | datetime) -> list[Bound]:
    """Return between what instants all lies that compares so with a day or an instant, whatever the zone.

    What has no zone is taken as if in UTC.
    """
    instant = value if isinstance(value, datetime) else datetime.combine(value, time(), UTC)
    least, most = Bound(">", instant - BETWEEN_ZONES), Bound("<", instant + BETWEEN_ZONES)
    return {"<": [most], "<=": [most], "=": [least, most], ">=": [least], ">": [least]}[comparison]


def earliest_id(value: date | datetime, zone: ZoneInfo) -> UUID:
    """Return an id that is lower than that of anything made on a day, or at an instant, or later."""
    instant = value if isinstance(value, datetime) else day_bounds(value, zone)[0]
    since = max(int((instant - BETWEEN_CLOCKS).timestamp() * 1000), 0)
    return UUID(int=since << 80)


def ranked(comparison: Comparison, value: Value, ranks: Sequence[str]) -> list[str]:
    """Return those of the ranks that compare so with a value."""
    place = ranks.index(str(value))
    first = {"<": 0, "<=": 0, ">": place + 1, ">=": place, "=": place}[comparison]
    last = {"<": place, "<=": place + 1, ">": len(ranks), ">=": len(ranks), "=": place + 1}[comparison]
    return list(ranks[first:last])


def places_in_metadata(field: str) -> Iterator[tuple[str, list[str]]]:
    """Yield each namespace and path that `meta.<namespace>.<path>` can mean: a namespace may have dots, too."""
    parts = field.removeprefix(META).split(".")
    for length in range(1, len(parts)):
        yield ".".join(parts[:length]), parts[length:]


def parts_of(node: Node) -> tuple[Node, ...]:
    """Return what a tree asks for altogether."""
    return node.nodes if isinstance(node, And) else (node,)


def fields_of(node: Node) -> frozenset[str]:
    """Return the fields that a tree asks for."""
    match node:
        case And(nodes) | Or(nodes):
            return frozenset(field for one in nodes for field in fields_of(one))
        case Not(inner):
            return fields_of(inner)
        case Predicate(field):
            return frozenset((field,))


def shape_of(node: Node) -> Hashable:
    """Return what trees have in common that differ in nothing but their values."""
    match node:
        case And(nodes):
            return ("and", *(shape_of(one) for one in nodes))
        case Or(nodes):
            return ("or", *(shape_of(one) for one in nodes))
        case Not(inner):
            return ("not", shape_of(inner))
        case Predicate(field, operator, values):
            return (field, operator, *(value if isinstance(value, bool) else type(value) for value in values))


def conjuncts(predicates: Sequence[object], fields: Sequence[str]) -> list[Predicate]:
    """Return those of the parts of a conjunction that are predicates of these fields and have to have a value."""
    having = ("=", "in", "has_any", "has_all")
    return [
        one
        for one in predicates
        if isinstance(one, Predicate) and one.field in fields and one.operator in having and one.values
    ]
