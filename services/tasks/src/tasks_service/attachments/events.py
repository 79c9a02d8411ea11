"""Facts about files of tasks, which the attachments service tells first."""

from sqlalchemy import RowMapping

from tasks_service.attachments.schemas import AttachmentChange
from tasks_service.changes.schemas import ChangeDraft, FieldChange, differences

ATTACHMENT_CREATED = "attachment.created.v1"
ATTACHMENT_DELETED = "attachment.deleted.v1"


def attachment_changed(event_type: str, told: AttachmentChange, task: RowMapping) -> ChangeDraft:
    """Draft that a file came, or went; the resource is as the attachments service tells it."""
    resource = told.resource.model_dump(mode="json")
    is_there = event_type == ATTACHMENT_CREATED
    return ChangeDraft(
        event_type,
        "attachment",
        told.resource.id,
        told.version,
        differences(None, resource) if is_there else [FieldChange("name", told.resource.name, None)],
        {**resource, "version": told.version},
        audience="task",
        project_id=task["project_id"],
        task_id=task["id"],
    )
