"""What a filter means, said once more and as plainly as can be: for checking what a database makes of it.

A row is a mapping from the names of fields to their values, None where there is none. A set is a collection; a due is a
mapping with `kind` and `date`, `at` or `local`, as it is read; instants are aware.
"""

from collections.abc import Callable, Mapping
from datetime import date, datetime
from operator import eq, ge, gt, le, lt
from typing import Any
from zoneinfo import ZoneInfo

from chassis.filtering.fields import Field, FieldTable
from chassis.filtering.tree import And, Node, Not, Or, Predicate

ORDERS: Mapping[str, Callable[[Any, Any], bool]] = {"<": lt, "<=": le, ">": gt, ">=": ge}
Row = Mapping[str, Any]


def matches(node: Node, row: Row, *, fields: FieldTable, zone: ZoneInfo) -> bool:
    """Tell whether a row fulfils a bound filter for somebody in a zone."""
    if isinstance(node, And):
        return all(matches(one, row, fields=fields, zone=zone) for one in node.nodes)
    if isinstance(node, Or):
        return any(matches(one, row, fields=fields, zone=zone) for one in node.nodes)
    if isinstance(node, Not):
        return not matches(node.node, row, fields=fields, zone=zone)
    field = fields[node.field]
    given = row.get(node.field)
    return _set_matches(given or (), node) if field.several else _value_matches(given, node, field, zone)


def _set_matches(given: Any, node: Predicate) -> bool:
    has = [value in given for value in node.values]
    return {
        "=": any(has),
        "!=": not any(has),
        "in": any(has),
        "has_any": any(has),
        "has_all": all(has),
        "not_in": not any(has),
        "has_none": not any(has),
        "is_null": not given,
    }[node.operator]


def _value_matches(given: Any, node: Predicate, field: Field, zone: ZoneInfo) -> bool:
    if node.operator == "is_null":
        return given is None
    if node.operator in ("!=", "not_in"):
        return given is None or not any(_is_same(given, value, field, zone) for value in node.values)
    if given is None:
        return False
    if node.operator in ("=", "in"):
        return any(_is_same(given, value, field, zone) for value in node.values)
    (value,) = node.values
    if node.operator in ("contains", "starts_with"):
        return isinstance(given, str) and _has_part(given, str(value), node.operator)
    pair = _comparable(given, value, field, zone)
    return pair is not None and ORDERS[node.operator](*pair)


def _has_part(given: str, part: str, operator: str) -> bool:
    whole, part = given.lower(), part.lower()
    return whole.startswith(part) if operator == "starts_with" else part in whole


def _is_same(given: Any, value: Any, field: Field, zone: ZoneInfo) -> bool:
    pair = _comparable(given, value, field, zone)
    return pair is not None and eq(*pair)


def _comparable(given: Any, value: Any, field: Field, zone: ZoneInfo) -> tuple[Any, Any] | None:
    """Return two things that can be compared as these are, or None where they can't."""
    if field.type == "scalar":
        return (given, value) if _kind(given) == _kind(value) else None
    if field.type == "instant":
        return (given, value) if isinstance(value, datetime) else (_day(given, zone), value)
    if field.type == "due":
        return _comparable_due(given, value, zone)
    if field.ranks:
        return field.ranks.index(given), field.ranks.index(value)
    return given, value


def _kind(value: Any) -> str:
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, int | float):
        return "number"
    return "text" if isinstance(value, str) else "other"


def _comparable_due(due: Row, value: Any, zone: ZoneInfo) -> tuple[Any, Any]:
    if due["kind"] == "date":
        return due["date"], _day(value, zone)
    moment = due["at"] if due["kind"] == "at" else due["local"]
    if not isinstance(value, datetime):
        return _day(moment, zone), value
    # A floating time is compared with what clocks show at the instant, where its reader is.
    return moment, value if due["kind"] == "at" else value.astimezone(zone).replace(tzinfo=None)


def _day(moment: date | datetime, zone: ZoneInfo) -> date:
    if not isinstance(moment, datetime):
        return moment
    return (moment if moment.tzinfo is None else moment.astimezone(zone)).date()
