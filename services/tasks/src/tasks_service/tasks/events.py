"""Facts about tasks."""

from sqlalchemy import RowMapping

from tasks_service.changes.schemas import ChangeDraft, differences
from tasks_service.tasks.schemas import TaskOut

TASK_CREATED = "task.created.v1"
TASK_UPDATED = "task.updated.v1"
TASK_MOVED = "task.moved.v1"
TASK_DELETED = "task.deleted.v1"
TASK_RESTORED = "task.restored.v1"
TASK_PURGED = "task.purged.v1"


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
