"""Filters as trees: what every way of writing one becomes, and what SQL and its check against Python are made of.

A predicate is true or false of a row, never unknown, so `Not` is the complement: what `due < today()` does not find,
`not due < today()` does. Of a row without a value, `!=` and `not_in` are true, `is_null` is, and all else is false.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Literal, get_args
from uuid import UUID

Operator = Literal[
    "=",
    "!=",
    "<",
    "<=",
    ">",
    ">=",
    "in",
    "not_in",
    "contains",
    "starts_with",
    "is_null",
    "has_any",
    "has_all",
    "has_none",
]
OPERATORS: tuple[Operator, ...] = get_args(Operator)
OF_LISTS: frozenset[Operator] = frozenset(("in", "not_in", "has_any", "has_all", "has_none"))
"""Operators whose value is a list."""

Value = str | int | float | bool | date | datetime | UUID
"""Of a predicate that is bound to its field: of the field's type, days and instants resolved, instants in UTC."""


@dataclass(frozen=True, slots=True)
class Predicate:
    """What a row has to fulfil in one field, by the field's own name, which is no alias.

    `values` has one value, several of `in`, `not_in` and `has_…`, and none of `is_null`.
    Instants and dues may be compared with days: `chassis.filtering.moments.day_bounds` says what a day is in a zone.
    """

    field: str
    operator: Operator
    values: tuple[Value, ...] = ()


@dataclass(frozen=True, slots=True)
class And:
    """All of these; an empty one is true."""

    nodes: tuple["Node", ...]


@dataclass(frozen=True, slots=True)
class Or:
    """Any of these; an empty one is false."""

    nodes: tuple["Node", ...]


@dataclass(frozen=True, slots=True)
class Not:
    """Not this."""

    node: "Node"


Node = Predicate | And | Or | Not
EVERYTHING = And(())


def all_of(nodes: Sequence[Node]) -> Node:
    """Join nodes by AND, as flat as they can be: conjunctions among them are opened."""
    flat = [inner for node in nodes for inner in (node.nodes if isinstance(node, And) else (node,))]
    return flat[0] if len(flat) == 1 else And(tuple(flat))


def any_of(nodes: Sequence[Node]) -> Node:
    """Join nodes by OR, as flat as they can be: alternatives among them are opened."""
    flat = [inner for node in nodes for inner in (node.nodes if isinstance(node, Or) else (node,))]
    return flat[0] if len(flat) == 1 else Or(tuple(flat))


def none_of(node: Node) -> Node:
    """Negate a node; what is negated twice is itself."""
    return node.node if isinstance(node, Not) else Not(node)
