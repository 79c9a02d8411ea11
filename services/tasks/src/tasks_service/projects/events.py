"""Facts about projects."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any
from uuid import UUID

from sqlalchemy import RowMapping

from tasks_service.changes.schemas import Audience, ChangeDraft, differences
from tasks_service.projects.schemas import ProjectOut

PROJECT_CREATED = "project.created.v1"
PROJECT_UPDATED = "project.updated.v1"
PROJECT_DELETED = "project.deleted.v1"
PROJECT_RESTORED = "project.restored.v1"
PROJECT_PURGED = "project.purged.v1"


def project_created(row: RowMapping) -> ChangeDraft:
    return project_changed(PROJECT_CREATED, None, row)


def project_changed(
    event_type: str, before: RowMapping | None, after: RowMapping, *, audience: Audience = "project"
) -> ChangeDraft:
    """Draft the change between two rows; `before` is None for a new project."""
    resource = _resource(after)
    changes = differences(None if before is None else _resource(before), resource)
    return ChangeDraft(
        event_type,
        "project",
        after["id"],
        after["version"],
        changes,
        resource,
        audience=audience,
        project_id=after["id"],
    )


def project_lost(row: RowMapping, user_id: UUID) -> ChangeDraft:
    """Draft that somebody does not see a project any more, which nothing has changed in itself: nobody else is told."""
    draft = project_changed(PROJECT_UPDATED, row, row, audience=frozenset())
    return replace(draft, lost_by=frozenset({user_id}))


def _resource(row: RowMapping) -> Mapping[str, Any]:
    return ProjectOut.of(row).model_dump(mode="json")
