"""Facts about shares of tasks, which whoever they are with is told, too."""

from dataclasses import replace

from sqlalchemy import RowMapping

from tasks_service.changes.schemas import ChangeDraft, FieldChange, differences
from tasks_service.shares.schemas import TaskShareResource, resource_of

TASK_SHARE_ADDED = "task_share.added.v1"
TASK_SHARE_UPDATED = "task_share.updated.v1"
TASK_SHARE_REMOVED = "task_share.removed.v1"


def task_share_added(row: RowMapping, task: RowMapping) -> ChangeDraft:
    """Draft a new share."""
    return _draft(TASK_SHARE_ADDED, TaskShareResource.model_validate(resource_of(row, task)))


def task_share_updated(row: RowMapping, task: RowMapping, *, former_role: str) -> ChangeDraft:
    """Draft a change of what somebody may do with a task that is shared with them."""
    resource = TaskShareResource.model_validate(resource_of(row, task))
    return _draft(TASK_SHARE_UPDATED, resource, FieldChange("role", former_role, resource.role))


def task_share_removed(row: RowMapping, task: RowMapping) -> ChangeDraft:
    """Draft the end of a share."""
    ended = {**resource_of(row, task), "version": row["version"] + 1}
    resource = TaskShareResource.model_validate(ended)
    draft = _draft(TASK_SHARE_REMOVED, resource, FieldChange("role", resource.role, None))
    return replace(draft, also=frozenset(), lost_by=draft.also)


def _draft(event_type: str, resource: TaskShareResource, change: FieldChange | None = None) -> ChangeDraft:
    shown = resource.model_dump(mode="json")
    return ChangeDraft(
        event_type,
        "task_share",
        resource.id,
        resource.version,
        differences(None, shown) if change is None else [change],
        shown,
        audience="task",
        project_id=resource.project_id,
        task_id=resource.task_id,
        also=frozenset({resource.user_id}),
    )
