"""What can be filtered by: the fields of a kind of resource, their types, and what each type takes."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from chassis.filtering.tree import Operator

FieldType = Literal["id", "user", "keyword", "text", "number", "boolean", "day", "instant", "due", "scalar"]
"""`user` is an id, or `me`. A `due` is a day, an instant or a wall time that floats with its reader. A
`scalar` is a text, a number or a boolean as JSON has them, each compared with its own kind and unlike the others."""

EQUALITY: tuple[Operator, ...] = ("=", "!=", "in", "not_in")
ORDER: tuple[Operator, ...] = ("<", "<=", ">", ">=")
OPERATORS_OF: Mapping[FieldType, tuple[Operator, ...]] = {
    "id": EQUALITY,
    "user": EQUALITY,
    "keyword": EQUALITY,
    "text": (*EQUALITY, "contains", "starts_with"),
    "number": (*EQUALITY, *ORDER),
    "boolean": EQUALITY,
    "day": (*EQUALITY, *ORDER),
    "instant": (*EQUALITY, *ORDER),
    "due": (*EQUALITY, *ORDER),
    "scalar": (*EQUALITY, *ORDER, "contains", "starts_with"),
}
OF_SETS: tuple[Operator, ...] = (*EQUALITY, "has_any", "has_all", "has_none")


@dataclass(frozen=True, slots=True)
class Field:
    """A field to filter by.

    `allowed` are all values of a keyword that are known beforehand. A field of `several` values is a set: `=` is having
    the value, `in` is having any of them, and `is_null` is having none. `ranks` are the values of a keyword from the
    lowest on, where it has an order. `pattern` is a regular expression that the whole text of a keyword matches, and
    a keyword of `any_case` is the same in capitals and not. A `whole` number has no fraction. `example` is a value as
    it is written in text.
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
    whole: bool = False
    any_case: bool = False

    @property
    def operators(self) -> tuple[Operator, ...]:
        """Return the operators that it takes."""
        own = OF_SETS if self.several else (*OPERATORS_OF[self.type], *(ORDER if self.ranks else ()))
        return (*own, "is_null") if self.nullable or self.several else own


class FieldTable:
    """The fields of a kind of resource, by their names and aliases; `dynamic` makes those that no table can list."""

    def __init__(self, fields: Sequence[Field], *, dynamic: Callable[[str], Field | None] | None = None) -> None:
        self.fields = tuple(fields)
        self.names = tuple(sorted(field.name for field in fields))
        self._dynamic = dynamic
        self._by_name = {name: field for field in fields for name in (field.name, *field.aliases)}

    def __getitem__(self, name: str) -> Field:
        """Return the field that a bound predicate names. Raises KeyError."""
        found = self.find(name)
        if found is None:
            raise KeyError(name)
        return found

    def find(self, name: str) -> Field | None:
        """Return the field of a name or an alias, or None when there is none."""
        found = self._by_name.get(name)
        return self._dynamic(name) if found is None and self._dynamic else found

    @property
    def known(self) -> tuple[str, ...]:
        """All names and aliases, without those of dynamic fields."""
        return tuple(self._by_name)
