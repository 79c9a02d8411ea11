"""Filters as they are written: not yet of any fields or types, and each part with the place where it stands."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

from chassis.filtering.errors import FilterTooComplex

MAX_BYTES = 4096
MAX_PREDICATES = 50
MAX_DEPTH = 6
"""`and`, `or` and `not` around a predicate, and brackets that are not just those of one of these."""
MAX_VALUES = 100
"""Values of one predicate."""

Scalar = str | int | float | bool


@dataclass(frozen=True, slots=True)
class Place:
    """Where something is written: a position in the text of a filter, a pointer into its JSON, or a parameter."""

    position: int | None = None
    pointer: str | None = None
    parameter: str | None = None


@dataclass(frozen=True, slots=True)
class WrittenValue:
    """A value. A bare one is a word whose type is that of its field; others are what they are."""

    value: Scalar
    place: Place
    bare: bool = False


@dataclass(frozen=True, slots=True)
class Condition:
    """A field compared with values; none of this is known to be there, or to fit."""

    field: str
    operator: str
    values: tuple[WrittenValue, ...]
    place: Place
    operator_place: Place
    depth: int = 0

    @property
    def size(self) -> int:
        return 1


@dataclass(frozen=True, slots=True)
class Group:
    """Nodes joined by one word. None of them is a group of the same word."""

    word: Literal["and", "or"]
    nodes: tuple["Written", ...]
    depth: int
    size: int


@dataclass(frozen=True, slots=True)
class Negation:
    node: "Written"
    depth: int
    size: int


Written = Condition | Group | Negation


def joined(word: Literal["and", "or"], nodes: Sequence[Written]) -> Written:
    """Join nodes, as flat as they can be, a single one being itself. Raises FilterTooComplex.

    The depth is that of what is written, and not of what becomes of it: it has those of one word directly in each
    other, too.
    """
    if len(nodes) == 1:
        return nodes[0]
    flat: list[Written] = []
    for node in nodes:
        flat.extend(node.nodes if isinstance(node, Group) and node.word == word else (node,))
    return Group(word, tuple(flat), _one_deeper(nodes), _sum_of_sizes(flat))


def enclosed(node: Written) -> Written:
    """Return what is around a single thing, which is that thing and yet a level. Raises FilterTooComplex."""
    return replace(node, depth=_one_deeper([node]))


def negated(node: Written) -> Negation:
    """Negate a node. Raises FilterTooComplex."""
    return Negation(node, _one_deeper([node]), node.size)


def _one_deeper(nodes: Sequence[Written]) -> int:
    depth = 1 + max(node.depth for node in nodes)
    check_depth(depth)
    return depth


def _sum_of_sizes(nodes: Sequence[Written]) -> int:
    size = sum(node.size for node in nodes)
    check_predicates(size)
    return size


def check_predicates(count: int) -> None:
    """Raise FilterTooComplex when there are more predicates than a filter may have."""
    if count > MAX_PREDICATES:
        raise FilterTooComplex(f"A filter has at most {MAX_PREDICATES} predicates.")


def check_depth(levels: int) -> None:
    """Raise FilterTooComplex when more is around each other than may be, even if it groups nothing."""
    if levels > MAX_DEPTH:
        raise FilterTooComplex(f"At most {MAX_DEPTH} of `and`, `or`, `not` and brackets may be around each other.")


def check_bytes(length: int) -> None:
    """Raise FilterTooComplex when a filter is longer than it may be."""
    if length > MAX_BYTES:
        raise FilterTooComplex(f"A filter has at most {MAX_BYTES} bytes.")


def check_values(count: int) -> None:
    """Raise FilterTooComplex when there are more values than one predicate may have."""
    if count > MAX_VALUES:
        raise FilterTooComplex(f"A predicate has at most {MAX_VALUES} values.")
