"""Facts about who hears of tasks."""

from sqlalchemy import RowMapping

from tasks_service.changes.schemas import Audience, ChangeDraft, FieldChange
from tasks_service.watchers.schemas import WatcherResource, Watching, resource_of

WATCHER_ADDED = "watcher.added.v1"
WATCHER_UPDATED = "watcher.updated.v1"
WATCHER_REMOVED = "watcher.removed.v1"


def watcher_added(row: RowMapping, task: RowMapping) -> ChangeDraft:
    """Draft the beginning of somebody's watching."""
    return _draft(WATCHER_ADDED, row, task, FieldChange("is_watching", old=False, new=True))


def watcher_removed(row: RowMapping, task: RowMapping) -> ChangeDraft:
    """Draft the end of somebody's watching."""
    return _draft(WATCHER_REMOVED, row, task, FieldChange("is_watching", old=True, new=False))


def watcher_muted(row: RowMapping, task: RowMapping) -> ChangeDraft:
    """Draft what is for the watcher alone to know: that a task was muted, or is no more."""
    change = FieldChange("is_muted", not row["is_muted"], row["is_muted"])
    return _draft(WATCHER_UPDATED, row, task, change, audience=frozenset({row["user_id"]}))


def _draft(
    event_type: str, row: RowMapping, task: RowMapping, change: FieldChange, audience: Audience = "task"
) -> ChangeDraft:
    shown = resource_of(row, task)
    model = WatcherResource.model_validate(shown)
    if event_type == WATCHER_UPDATED:
        model = Watching.of(row, task)
    return ChangeDraft(
        event_type,
        "watcher",
        model.id,
        1,
        [change],
        model.model_dump(mode="json"),
        audience=audience,
        project_id=task["project_id"],
        task_id=task["id"],
    )
