"""Facts about tasks."""

from dataclasses import replace
from uuid import UUID

from sqlalchemy import RowMapping

from tasks_service.changes.schemas import ChangeDraft, FieldChange, differences
from tasks_service.tasks.schemas import TaskOut

TASK_CREATED = "task.created.v1"
TASK_UPDATED = "task.updated.v1"
TASK_MOVED = "task.moved.v1"
TASK_DELETED = "task.deleted.v1"
TASK_RESTORED = "task.restored.v1"
TASK_PURGED = "task.purged.v1"

WATCHERS = "watchers"
"""The field that tells that the maker of a new task watches it; whoever else does has an event of that."""


def task_created(row: RowMapping, *, watched_by: UUID | None) -> ChangeDraft:
    """Draft that a task was made, and that its maker watches it, unless a rule of theirs says otherwise."""
    draft = task_changed(TASK_CREATED, None, row)
    if watched_by is None:
        return draft
    return replace(draft, changes=[*draft.changes, FieldChange(WATCHERS, old=None, new=[str(watched_by)])])


def task_changed(event_type: str, before: RowMapping | None, after: RowMapping) -> ChangeDraft:
    """Draft the change between two rows; `before` is None for a new task."""
    shown = TaskOut.of(after).model_dump(mode="json")
    shown_before = None if before is None else TaskOut.of(before).model_dump(mode="json")
    changes = differences(shown_before, shown)
    return ChangeDraft(
        event_type,
        "task",
        after["id"],
        after["version"],
        changes,
        shown,
        audience="task",
        project_id=after["project_id"],
        task_id=after["id"],
    )
