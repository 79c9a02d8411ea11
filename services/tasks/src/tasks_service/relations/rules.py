"""Pure rules of relations: each is stored once, and is of another type when it is seen from its other end."""

from collections.abc import Mapping
from typing import Literal, get_args
from uuid import UUID

StoredType = Literal["blocks", "relates_to", "duplicates", "precedes"]
RelationType = Literal["blocks", "blocked_by", "relates_to", "duplicates", "duplicated_by", "precedes", "follows"]

MAX_RELATIONS = 100
INVERSES: Mapping[RelationType, RelationType] = {
    "blocks": "blocked_by",
    "blocked_by": "blocks",
    "relates_to": "relates_to",
    "duplicates": "duplicated_by",
    "duplicated_by": "duplicates",
    "precedes": "follows",
    "follows": "precedes",
}
ACYCLIC: frozenset[StoredType] = frozenset({"blocks", "precedes"})


def stored(kind: RelationType, task_id: UUID, other_id: UUID) -> tuple[StoredType, UUID, UUID]:
    """Return how a relation of a task to another is stored: type, from and to.

    What is the same from both ends begins at the lower id.
    """
    if kind == "relates_to":
        return kind, min(task_id, other_id), max(task_id, other_id)
    for name in get_args(StoredType):
        if kind == name:
            return name, task_id, other_id
        if INVERSES[kind] == name:
            return name, other_id, task_id
    raise ValueError(kind)


def seen_from(kind: StoredType, *, is_from: bool) -> RelationType:
    """Return the type of a stored relation as it is seen from one of its ends."""
    return kind if is_from else INVERSES[kind]
