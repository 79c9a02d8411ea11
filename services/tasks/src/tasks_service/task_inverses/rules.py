"""Pure rules of turning back what was done to trees of tasks."""

from collections.abc import Mapping
from uuid import UUID


def outermost(parents: Mapping[UUID, UUID | None]) -> list[UUID]:
    """Return which tasks are not right below others of these, by what each of them is below."""
    return [task_id for task_id, parent_id in parents.items() if parent_id not in parents]
