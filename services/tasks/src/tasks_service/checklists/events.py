"""Facts about items of checklists."""

from typing import cast
from uuid import UUID

from chassis.clock import utcnow
from sqlalchemy import RowMapping

from tasks_service.changes.schemas import ChangeDraft, differences
from tasks_service.checklists.schemas import ChecklistItemOut

CHECKLIST_ITEM_CREATED = "checklist_item.created.v1"
CHECKLIST_ITEM_UPDATED = "checklist_item.updated.v1"
CHECKLIST_ITEM_DELETED = "checklist_item.deleted.v1"


def item_changed(event_type: str, before: RowMapping | None, after: RowMapping, *, project_id: UUID) -> ChangeDraft:
    """Draft the change between two rows; `before` is None for a new item."""
    shown = ChecklistItemOut.of(after).model_dump(mode="json")
    shown_before = None if before is None else ChecklistItemOut.of(before).model_dump(mode="json")
    return ChangeDraft(
        event_type,
        "checklist_item",
        after["id"],
        after["version"],
        differences(shown_before, shown),
        shown,
        audience="task",
        project_id=project_id,
        task_id=after["task_id"],
    )


def item_deleted(row: RowMapping, *, project_id: UUID) -> ChangeDraft:
    """Draft the end of an item; the resource is what it was."""
    ended = cast("RowMapping", {**row, "version": row["version"] + 1, "updated_at": utcnow()})
    return item_changed(CHECKLIST_ITEM_DELETED, row, ended, project_id=project_id)
