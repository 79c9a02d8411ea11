"""Filters judged in Python: whether a resource, as JSON shows it, is what a filter asks for.

The meanings are those that SQL has: a predicate is true or false, never unknown; what is no value is never equal, less
or more; where one side is a day, days are compared, by the zone of who asks, and else instants.

A `due` is shown as `{"kind": "date" | "at" | "local", "date", "at", "local"}`. What a resource does not show counts as
no value.
"""

import operator
from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import UTC, date, datetime
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

from chassis.clock import utcnow
from chassis.errors import InvalidInput
from chassis.filtering.binding import bind, conditions_of, needs_now
from chassis.filtering.fields import Field, FieldTable
from chassis.filtering.moments import Moment, day_of
from chassis.filtering.tree import And, Node, Not, Operator, Or, Predicate, Value
from chassis.filtering.values import ME, Context
from chassis.filtering.written import Written

Resource = Mapping[str, Any]
Question = Callable[[Resource], bool]
Test = Callable[[Any], bool]
"""What is asked of a value that is there."""

FRESH_SECONDS = 1.0
"""How long relative dates mean what they meant a moment ago."""
COMPLEMENTS: Mapping[Operator, Operator] = {"!=": "=", "not_in": "in", "has_none": "has_any"}
COMPARE: Mapping[Operator, Callable[[Any, Any], bool]] = {
    "=": operator.eq,
    "in": operator.eq,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}


class Judge:
    """A filter of somebody in a zone, which judges resources; equal filters judge alike.

    What is relative to now, such as `today()`, is resolved anew, at most once a second, for as long as the judge lives.
    """

    def __init__(self, written: Written, fields: FieldTable, *, user_id: UUID, zone: ZoneInfo) -> None:
        """Raise InvalidInput with all that is wrong with the filter."""
        self._written = written
        self._fields = fields
        self._user_id = user_id
        self._zone = zone
        self._is_relative = needs_now(written, fields)
        self._resolved_at = utcnow()
        self._question = self._resolve(self._resolved_at)

    def __call__(self, resource: Resource, *, now: datetime | None = None) -> bool:
        """Tell whether the resource is what the filter asks for, now or at an instant."""
        if self._is_relative:
            at = now or utcnow()
            if abs((at - self._resolved_at).total_seconds()) > FRESH_SECONDS:
                self._resolved_at = at
                # What is in no year any more that is taken stays what it was.
                with suppress(InvalidInput):
                    self._question = self._resolve(at)
        return self._question(resource)

    def _resolve(self, now: datetime) -> Question:
        tree = bind(self._written, self._fields, Context(self._user_id, self._zone, now))
        return question_of(tree, self._fields, self._zone)


def asks_for_me(written: Written, fields: FieldTable) -> bool:
    """Tell whether what a filter means depends on who asks."""
    return any(
        value.value == ME
        for condition in conditions_of(written)
        if (field := fields.find(condition.field)) is not None and field.type == "user"
        for value in condition.values
    )


def question_of(node: Node, fields: FieldTable, zone: ZoneInfo) -> Question:
    """Return what a bound tree asks of a resource."""
    match node:
        case And(nodes):
            every = [question_of(one, fields, zone) for one in nodes]
            return lambda resource: all(one(resource) for one in every)
        case Or(nodes):
            some = [question_of(one, fields, zone) for one in nodes]
            return lambda resource: any(one(resource) for one in some)
        case Not(inner):
            return _complement(question_of(inner, fields, zone))
        case Predicate():
            return _asked(node, fields[node.field], zone)


def _complement(question: Question) -> Question:
    return lambda resource: not question(resource)


def _asked(predicate: Predicate, field: Field, zone: ZoneInfo) -> Question:
    if (positive := COMPLEMENTS.get(predicate.operator)) is not None:
        return _complement(_asked(Predicate(predicate.field, positive, predicate.values), field, zone))
    if predicate.operator == "is_null":
        is_empty = _is_empty(field)
        return _complement(is_empty) if predicate.values == (False,) else is_empty
    name, test = field.name, _of_set(predicate) if field.several else _of_one(predicate, field, zone)
    return lambda resource: (value := resource.get(name)) is not None and test(value)


def _is_empty(field: Field) -> Question:
    name = field.name
    if field.several:
        return lambda resource: not resource.get(name)
    return lambda resource: resource.get(name) is None


def _of_set(predicate: Predicate) -> Test:
    wanted = frozenset(map(_shown, predicate.values))
    if predicate.operator == "has_all":
        return wanted.issubset
    return lambda value: not wanted.isdisjoint(value)


def _of_one(predicate: Predicate, field: Field, zone: ZoneInfo) -> Test:
    name = predicate.operator
    if name in ("contains", "starts_with"):
        return _has_part(name, str(predicate.values[0]).lower())
    compare = COMPARE[name]
    if field.type in ("day", "instant", "due"):
        moments = [_compared(compare, _moment(one), zone) for one in predicate.values]
        return lambda value: any(one(_value(value)) for one in moments)
    if field.type == "scalar":
        scalars = [_alike(compare, one) for one in predicate.values]
        return lambda value: any(one(value) for one in scalars)
    if field.ranks is not None and name != "in":
        places = {rank: place for place, rank in enumerate(field.ranks)}
        place = places[str(predicate.values[0])]
        return lambda value: value in places and compare(places[value], place)
    if field.any_case:
        folded = frozenset(str(one).upper() for one in predicate.values)
        return lambda value: str(value).upper() in folded
    wanted = [_shown(one) for one in predicate.values]
    return lambda value: any(compare(value, one) for one in wanted)


def _has_part(name: Operator, part: str) -> Test:
    if name == "starts_with":
        return lambda value: isinstance(value, str) and value.lower().startswith(part)
    return lambda value: isinstance(value, str) and part in value.lower()


def _alike(compare: Callable[[Any, Any], bool], wanted: Value) -> Test:
    """Compare with what is of the same kind: `true` is no number, and `5` no text."""
    if isinstance(wanted, bool):
        return lambda value: isinstance(value, bool) and compare(value, wanted)
    if isinstance(wanted, str):
        return lambda value: isinstance(value, str) and compare(value, wanted)
    return lambda value: isinstance(value, int | float) and not isinstance(value, bool) and compare(value, wanted)


def _compared(compare: Callable[[Any, Any], bool], wanted: Moment, zone: ZoneInfo) -> Callable[[Moment], bool]:
    wanted_day = day_of(wanted, zone)

    def test(value: Moment) -> bool:
        if isinstance(value, datetime) and isinstance(wanted, datetime):
            return compare(_instant(value, zone), wanted)
        return compare(_day(value, zone), wanted_day)

    return test


def _instant(value: datetime, zone: ZoneInfo) -> datetime:
    """Return an instant; of the two of a floating time that comes twice the first."""
    return (value.replace(tzinfo=zone) if value.tzinfo is None else value).astimezone(UTC)


def _day(value: Moment, zone: ZoneInfo) -> date:
    floats = isinstance(value, datetime) and value.tzinfo is None
    return value.date() if isinstance(value, datetime) and floats else day_of(value, zone)


def _value(shown: Any) -> Moment:
    """Return a day, an instant or a floating time as JSON shows it."""
    text = str(shown[shown["kind"]] if isinstance(shown, Mapping) else shown)
    return datetime.fromisoformat(text) if "T" in text else date.fromisoformat(text)


def _moment(value: Value) -> Moment:
    if not isinstance(value, date):
        raise TypeError(value)
    return value


def _shown(value: Value) -> Any:
    """Return a value as JSON shows it."""
    return str(value) if isinstance(value, UUID) else value
