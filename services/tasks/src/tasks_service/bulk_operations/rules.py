"""Pure rules of operations: how they name tasks, and what of an operation the field of a single request is."""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from tasks_service.bulk_operations.errors import DuplicateTempId, UnknownDependency, UnknownTempId
from tasks_service.tasks.rules import KEY_PATTERN, UUID_PATTERN

TEMP_ID = r"[A-Za-z_][A-Za-z0-9_]{0,30}"
"""Shorter than an id without its hyphens, and without the hyphen of a key."""
NAME_PATTERN = f"^(?:{UUID_PATTERN}|{KEY_PATTERN}|{TEMP_ID})$"
TEMP_ID_PATTERN = f"^{TEMP_ID}$"

Mode = Literal["atomic", "partial"]
Problem = tuple[type[UnknownTempId | DuplicateTempId | UnknownDependency], str]


@dataclass(frozen=True, slots=True)
class Named:
    """What an operation names of the others of its request; `temp_ids` are those that it uses, by field."""

    temp_id: str | None
    temp_ids: dict[str, str]
    depends_on: Sequence[int]


def is_temp_id(name: str) -> bool:
    """Tell whether the name of a task, as NAME_PATTERN has it, is a temporary one: all others have a hyphen."""
    return "-" not in name


def problems_of(operations: Sequence[Named]) -> Iterator[tuple[int, Problem]]:
    """Yield what is wrong with what operations name of each other: the index, the error, and the field."""
    known: set[str] = set()
    for index, one in enumerate(operations):
        for field, name in one.temp_ids.items():
            if name not in known:
                yield index, (UnknownTempId, field)
        for place, other in enumerate(one.depends_on):
            if other >= index:
                yield index, (UnknownDependency, f"depends_on.{place}")
        if one.temp_id is not None:
            if one.temp_id in known:
                yield index, (DuplicateTempId, "temp_id")
            known.add(one.temp_id)


def path_of(field: str | None, *, own: Collection[str], body: str | None) -> str | None:
    """Return where an operation has what is a field of its single request, whose body it has in `body`; or None."""
    if field is None:
        return None
    if body is not None:
        return f"{body}.{field}"
    return field if field.partition(".")[0] in own else None
