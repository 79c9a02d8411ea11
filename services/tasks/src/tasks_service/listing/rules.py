"""Pure rules of lists: what they are of, and what follows a place in a sorted list."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, date, datetime
from typing import Any, Literal, NamedTuple
from uuid import UUID

from chassis.errors import InvalidCursor
from chassis.filtering.tree import And, Node, Not, Or, Predicate

from tasks_service.sorting.rules import Key, KeyType, Order, Sort

SORTS_OF_MARKS = frozenset(("id", "-id", "due,id", "-due,-id", "updated_at,id", "-updated_at,-id", "-priority,due,id"))
"""In which orders the tasks of whom they are assigned to, and of a label, are kept."""


class Part(NamedTuple):
    """What part of a list is read: from an edge, of whose values some may be null, or from the beginning."""

    sort: Sort
    backwards: bool = False
    nulls: tuple[bool, ...] | None = None


Edge = tuple[Any, ...]
"""The sort keys of a task that a walk has come to."""
Test = Literal["=", "<", ">", "is null", "is not null"]


class Asked(NamedTuple):
    """What a segment asks of one key; `of_edge` is the place of the value in the edge."""

    order: Order
    test: Test
    of_edge: int


class Segment(NamedTuple):
    """A part of what is left of a list: what it asks of tasks, and how many keys are the same in all of it."""

    asked: tuple[Asked, ...]
    same: int


def segments(sort: Sort, *, backwards: bool, nulls: tuple[bool, ...] | None) -> list[Segment]:
    """Return the parts of what is left of a list, in their order; within each an index can be read in order.

    `nulls` says which keys of the edge are null; None is the whole list. Nulls are last, and so first backwards.
    """
    if nulls is None:
        return [Segment(asked, 0) for asked in _by_first(sort[0], backwards=backwards)]
    found: list[Segment] = []
    for last in reversed(range(len(sort))):
        same = tuple(Asked(sort[place], "is null" if nulls[place] else "=", place) for place in range(last))
        beyond = _beyond(Asked(sort[last], "=", last), backwards=backwards, is_null=nulls[last])
        found += [Segment((*same, one), last + (one.test == "is null")) for one in beyond]
    return found


def _by_first(order: Order, *, backwards: bool) -> Sequence[tuple[Asked, ...]]:
    """Split a list where its first key is null, but where an index has the nulls on that side, anyway."""
    if not order.key.nullable or not order.descending:
        return [()]
    split = [(Asked(order, "is not null", 0),), (Asked(order, "is null", 0),)]
    return split[::-1] if backwards else split


def _beyond(at: Asked, *, backwards: bool, is_null: bool) -> Iterator[Asked]:
    if backwards:
        # Nulls first: after a null there is all that is not.
        yield at._replace(test="is not null" if is_null else "<" if not at.order.descending else ">")
    elif not is_null:
        yield at._replace(test="<" if at.order.descending else ">")
        if at.order.key.nullable:
            yield at._replace(test="is null")


def names(node: Node, field: str) -> bool:
    """Tell whether a tree asks for a field anywhere."""
    match node:
        case Predicate():
            return node.field == field
        case Not(inner):
            return names(inner, field)
        case And(nodes) | Or(nodes):
            return any(names(one, field) for one in nodes)


def as_written(values: Sequence[Any]) -> list[str | int | None]:
    """Return the keys of a task as they are in a cursor."""
    return [_as_written(value) for value in values]


def _as_written(value: Any) -> str | int | None:
    if value is None or isinstance(value, int | str):
        return value
    return value.astimezone(UTC).isoformat() if isinstance(value, datetime) else str(value)


def read_edge(sort: Sort, written: object) -> Edge:
    """Return the keys that a cursor has, of the types that they have to be of. Raises InvalidCursor."""
    if not isinstance(written, list) or len(written) != len(sort):
        raise InvalidCursor(field="cursor")
    return tuple(_read(order.key, one) for order, one in zip(sort, written, strict=True))


def _read(key: Key, value: object) -> Any:
    if value is None and key.nullable:
        return None
    if key.type == "number" and isinstance(value, int | float) and not isinstance(value, bool):
        return value
    if key.type != "number" and isinstance(value, str):
        try:
            return READERS[key.type](value)
        except ValueError:
            pass
    raise InvalidCursor(field="cursor")


READERS: Mapping[KeyType, Any] = {
    "id": UUID,
    "instant": datetime.fromisoformat,
    "day": date.fromisoformat,
    "text": str,
}
