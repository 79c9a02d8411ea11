"""Facts about what apps keep with tasks."""

from collections.abc import Mapping
from typing import Any
from uuid import UUID, uuid5

from sqlalchemy import RowMapping

from tasks_service.changes.schemas import Audience, ChangeDraft, differences
from tasks_service.metadata.schemas import MetadataResource

TASK_METADATA_UPDATED = "task_metadata.updated.v1"
TASK_METADATA_REMOVED = "task_metadata.removed.v1"

Row = Mapping[Any, Any]


def metadata_changed(
    event_type: str, before: Row | None, after: Row, *, task: RowMapping, owner_id: UUID
) -> ChangeDraft:
    """Draft a change. Who sees the task is told while it is shared, or was; nobody of a value that was not."""
    resource = _shown(after, task)
    is_told = after["shared"] or (before is not None and before["shared"])
    audience: Audience = "task" if is_told else frozenset({owner_id})
    return ChangeDraft(
        event_type,
        "task_metadata",
        uuid5(task["id"], f"metadata:{after['namespace']}"),
        after["version"],
        differences(None if before is None else _shown(before, task), resource),
        resource,
        audience=audience,
        project_id=task["project_id"],
        task_id=task["id"],
    )


def _shown(row: Row, task: RowMapping) -> dict[str, Any]:
    shown = {name: row[name] for name in ("namespace", "shared", "version", "updated_at")}
    return MetadataResource(
        id=uuid5(task["id"], f"metadata:{row['namespace']}"),
        workspace_id=task["workspace_id"],
        project_id=task["project_id"],
        task_id=task["id"],
        value=row["value"] if row["shared"] else None,
        **shown,
    ).model_dump(mode="json")
