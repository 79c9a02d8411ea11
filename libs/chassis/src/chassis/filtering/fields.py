"""What can be filtered by: the fields of a kind of resource, their types, and what each type takes."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from chassis.filtering.tree import Operator

FieldType = Literal["id", "user", "keyword", "text", "number", "boolean", "day", "instant", "due"]
"""`user` is an id, or `me`. A `due` is a day, an instant or a wall time that floats with its reader."""

EQUALITY: tuple[Operator, ...] = ("=", "!=", "in", "not_in")
ORDER: tuple[Operator, ...] = ("<", "<=", ">", ">=")
OPERATORS_OF: Mapping[FieldType, tuple[Operator, ...]] = {
    "id": EQUALITY,
    "user": EQUALITY,
    "keyword": EQUALITY,
    "text": (*EQUALITY, "contains", "starts_with"),
    "number": (*EQUALITY, *ORDER),
    "boolean": ("=", "!="),
    "day": (*EQUALITY, *ORDER),
    "instant": (*EQUALITY, *ORDER),
    "due": (*EQUALITY, *ORDER),
}
OF_SETS: tuple[Operator, ...] = (*EQUALITY, "has_any", "has_all", "has_none")


@dataclass(frozen=True, slots=True)
class Field:
    """A field to filter by.

    `allowed` are all values of a keyword that are known beforehand. A field of `several` values is a set: `=` is having
    the value, `in` is having any of them, and `is_null` is having none. `ranks` are the values of a keyword from the
    lowest on, where it has an order. `pattern` is a regular expression that the whole text of a keyword matches.
    """

    name: str
    type: FieldType
    description: str
    example: str
    nullable: bool = False
    several: bool = False
    aliases: Sequence[str] = ()
    allowed: Sequence[str] | None = None
    ranks: Sequence[str] | None = None
    pattern: str | None = None

    @property
    def operators(self) -> tuple[Operator, ...]:
        """Return the operators that it takes."""
        own = OF_SETS if self.several else (*OPERATORS_OF[self.type], *(ORDER if self.ranks else ()))
        return (*own, "is_null") if self.nullable or self.several else own
