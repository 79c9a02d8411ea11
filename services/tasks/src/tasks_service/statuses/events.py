"""Facts about statuses."""

from typing import Any, cast

from sqlalchemy import RowMapping

from tasks_service.changes.schemas import ChangeDraft, differences
from tasks_service.statuses.schemas import StatusOut

STATUS_CREATED = "status.created.v1"
STATUS_UPDATED = "status.updated.v1"
STATUS_DELETED = "status.deleted.v1"


def status_created(row: RowMapping) -> ChangeDraft:
    return _draft(STATUS_CREATED, None, row)


def status_updated(before: RowMapping, after: RowMapping) -> ChangeDraft:
    return _draft(STATUS_UPDATED, before, after)


def status_deleted(row: RowMapping) -> ChangeDraft:
    """Draft the end of a status; the resource is what it was."""
    return _draft(STATUS_DELETED, row, cast("RowMapping", {**row, "version": row["version"] + 1}))


def _draft(event_type: str, before: RowMapping | None, after: RowMapping) -> ChangeDraft:
    resource = _resource(after)
    changes = differences(None if before is None else _resource(before), resource)
    return ChangeDraft(
        event_type,
        "status",
        after["id"],
        after["version"],
        changes,
        resource,
        audience="project",
        project_id=after["project_id"],
    )


def _resource(row: RowMapping) -> dict[str, Any]:
    return StatusOut.of(row).model_dump(mode="json")
