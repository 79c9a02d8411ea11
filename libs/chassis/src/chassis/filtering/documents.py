"""Filters as JSON: `{"and": [...]}`, `{"or": [...]}`, `{"not": {...}}`, `{"field": …, "op": …, "value": …}`."""

from collections.abc import Sequence
from typing import Any, Literal

import orjson

from chassis.filtering.errors import FilterTooComplex, InvalidFilter, unreadable
from chassis.filtering.fields import FieldTable
from chassis.filtering.guesses import member_meant
from chassis.filtering.text import parse_text
from chassis.filtering.tree import OF_LISTS, OPERATORS
from chassis.filtering.values import plain_value
from chassis.filtering.written import (
    Condition,
    Group,
    Negation,
    Place,
    Written,
    WrittenValue,
    check_bytes,
    check_depth,
    check_values,
    enclosed,
    joined,
    negated,
)

A_FILTER = ("a filter: an object with `and`, `or`, `not` or `field`",)
MEMBERS = ("field", "op", "value")


def parse_filter(value: object) -> Written:
    """Read a filter that is text or JSON. Raises InvalidFilter or FilterTooComplex."""
    return parse_text(value) if isinstance(value, str) else parse_document(value)


def parse_document(value: object) -> Written:
    """Read a filter that is a JSON value. Raises InvalidFilter or FilterTooComplex; pointers are those of RFC 6901."""
    try:
        check_bytes(len(orjson.dumps(value)))
    except orjson.JSONEncodeError:
        # Nested deeper than what any parser of ours lets in, or no JSON at all.
        raise FilterTooComplex from None
    return parse_taken(value)


def parse_taken(value: object) -> Written:
    """Read the JSON of a filter that was taken before: it may be longer than what is taken, as JSON of a text is.

    Raises InvalidFilter or FilterTooComplex.
    """
    return _node(value, "", 0)


def _node(value: object, pointer: str, level: int) -> Written:
    check_depth(level)
    if not isinstance(value, dict):
        raise _unreadable(pointer, A_FILTER)
    if "field" in value:
        return _condition(value, pointer)
    if len(value) != 1:
        raise _unreadable(pointer, A_FILTER)
    ((word, inner),) = value.items()
    if word in ("and", "or"):
        return _group(word, inner, f"{pointer}/{word}", level)
    if word == "not":
        return negated(_node(inner, f"{pointer}/not", level + 1))
    raise _unreadable(pointer, A_FILTER)


def _group(word: Literal["and", "or"], inner: object, pointer: str, level: int) -> Written:
    if not isinstance(inner, list) or not inner:
        raise _unreadable(pointer, ["a list of filters"])
    nodes = [_node(one, f"{pointer}/{index}", level + 1) for index, one in enumerate(inner)]
    return enclosed(nodes[0]) if len(nodes) == 1 else joined(word, nodes)


def _condition(value: dict[str, Any], pointer: str) -> Written:
    unknown = next((member for member in value if member not in MEMBERS), None)
    if unknown is not None:
        where = f"{pointer}/{unknown.replace('~', '~0').replace('/', '~1')}"
        expected = ["nothing but `field`, `op` and `value`"]
        raise unreadable(expected, pointer=where, hint=member_meant(unknown, MEMBERS), allowed=MEMBERS)
    name, operator = (_text(value, member, pointer) for member in ("field", "op"))
    place, operator_place = (Place(pointer=f"{pointer}/{member}") for member in ("field", "op"))
    operator = operator.lower()
    if operator == "is_null":
        found = Condition(name, operator, (), place, operator_place)
        return found if _expects_null(value, pointer) else negated(found)
    return Condition(name, operator, _values(value, operator, pointer), place, operator_place)


def _text(value: dict[str, Any], member: str, pointer: str) -> str:
    found = value.get(member)
    if not isinstance(found, str):
        where = f"{pointer}/{member}" if member in value else pointer
        raise _unreadable(where, [f"`{member}`, a text"])
    return found


def _expects_null(value: dict[str, Any], pointer: str) -> bool:
    found = value.get("value", True)
    if not isinstance(found, bool):
        raise _unreadable(f"{pointer}/value", ["`true`", "`false`"])
    return found


def _values(value: dict[str, Any], operator: str, pointer: str) -> tuple[WrittenValue, ...]:
    if operator not in OPERATORS:
        # What is no operator is told of with those that the field has.
        return ()
    if "value" not in value:
        raise _unreadable(pointer, ["`value`"])
    given, where = value["value"], f"{pointer}/value"
    if operator in OF_LISTS:
        return _list(given, where)
    return (_literal(given, where),)


def _list(given: object, pointer: str) -> tuple[WrittenValue, ...]:
    if not isinstance(given, list) or not given:
        raise _unreadable(pointer, ["a list of values"])
    check_values(len(given))
    return tuple(_literal(one, f"{pointer}/{index}") for index, one in enumerate(given))


def _literal(given: object, pointer: str) -> WrittenValue:
    if not isinstance(given, str | int | float | bool):
        hint = "`is_null` is what finds rows without a value" if given is None else None
        raise _unreadable(pointer, ["a value: a text, a number, `true` or `false`"], hint)
    return WrittenValue(given, Place(pointer=pointer))


def _unreadable(pointer: str, expected: Sequence[str], hint: str | None = None) -> InvalidFilter:
    return unreadable(expected, pointer=pointer, hint=hint)


def document_of(written: Written, fields: FieldTable) -> dict[str, Any]:
    """Return a filter, however it was written, as JSON that means the same: relative dates and `me` stay as they are.

    The fields say which bare words are numbers or booleans.
    """
    if isinstance(written, Negation):
        return {"not": document_of(written.node, fields)}
    if isinstance(written, Group):
        return {written.word: [document_of(one, fields) for one in written.nodes]}
    shown: dict[str, Any] = {"field": written.field, "op": written.operator}
    field = fields.find(written.field)
    values = [one.value if field is None else plain_value(one, field) for one in written.values]
    if written.operator in OF_LISTS:
        return {**shown, "value": values}
    return {**shown, "value": values[0]} if values else shown
