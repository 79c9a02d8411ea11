"""What was probably meant by what is no operator, or no member of a filter as JSON."""

import re
from collections.abc import Iterable, Mapping
from types import MappingProxyType

from chassis.filtering.tree import OPERATORS
from chassis.text import closest, hint_at

NO_VALUE = "`is_null` is what finds rows without a value, as in `due is_null`, and `not due is_null` those with one"
NEVER_EMPTY = "it is never empty"
NOTHING = frozenset({"null", "none", "nil", "empty"})
"""What is written for no value, where that is none of the values."""
OF_NULL = frozenset(
    {"is_null", "isnull", "null", "not_null", "notnull", "is_not_null", "isnotnull", "is_empty", "is_none"}
)
"""What stands for `is_null`, or for the opposite."""
BEFORE_THE_FIELD = "`not` stands before the field, as in `not title contains milk`"
OTHER_NAMES: Mapping[str, str] = MappingProxyType(
    {
        "==": "=",
        "=>": ">=",
        "=<": "<=",
        "eq": "=",
        "equals": "=",
        "is": "=",
        "<>": "!=",
        "ne": "!=",
        "neq": "!=",
        "is_not": "!=",
        "lt": "<",
        "lte": "<=",
        "le": "<=",
        "gt": ">",
        "gte": ">=",
        "ge": ">=",
        "like": "contains",
        "ilike": "contains",
        "includes": "contains",
        "begins_with": "starts_with",
        "any_of": "in",
        "none_of": "not_in",
    }
)
"""What operators are called elsewhere, in whatever case."""
OTHER_MEMBERS: Mapping[str, str] = MappingProxyType({"operator": "op", "operation": "op", "comparison": "op"})
WORD = re.compile(r"\w+|[^\w\s()\-]+")
MOST_WORDS = 3
LONGEST = 100


def operator_meant(written: str, candidates: Iterable[str] = OPERATORS) -> str | None:
    """Return a hint at what was meant by what is no operator; comparing takes its time."""
    candidates = tuple(candidates)
    words = WORD.findall(written[:LONGEST].lower())[:MOST_WORDS]
    # The longest first: `is not null` is not `is`.
    names = ["_".join(words[:count]) for count in range(len(words), 0, -1)]
    if any(name in OF_NULL for name in names):
        return NO_VALUE if "is_null" in candidates else NEVER_EMPTY
    for name in names:
        meant = OTHER_NAMES.get(name, name)
        if meant in candidates:
            return hint_at(meant)
    if words[:1] == ["not"]:
        return BEFORE_THE_FIELD
    return hint_at(closest(words[0], candidates)) if words else None


def member_meant(name: str, members: Iterable[str]) -> str | None:
    """Return a hint at what was meant by a member that there is not."""
    return hint_at(OTHER_MEMBERS.get(name.lower()) or closest(name, members))
