"""How the past is told: what of it is not any more, and what is between two tasks as one of them has it."""

from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

from tasks_service.relations.rules import seen_from

WORDS = frozenset({"body"})
"""Fields of a comment that go with it."""
FIELDS_OF_RELATIONS = frozenset({"type", "task_id"})
"""What a task's history says of a relation: what the other task is to this one, as in what is asked for."""


def silenced(changes: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return changes of a comment that was deleted since: that there were words is told, and not which."""
    return [{**one, "old": None, "new": None} if one["field"] in WORDS else dict(one) for one in changes]


def seen_from_end(changes: Sequence[Mapping[str, Any]], task_id: UUID) -> list[dict[str, Any]]:
    """Return changes of a relation, of which the log tells what is stored, as one of its tasks has them."""
    told = {one["field"]: one for one in changes}
    is_from = str(task_id) in told["from_task_id"].values()
    kind, other = told["type"], told["to_task_id" if is_from else "from_task_id"]
    types = {name: kind[name] and seen_from(kind[name], is_from=is_from) for name in ("old", "new")}
    return [{"field": "type", **types}, {**other, "field": "task_id"}]
