"""Facts about members of projects."""

from dataclasses import replace

from sqlalchemy import RowMapping

from tasks_service.changes.schemas import ChangeDraft, FieldChange, differences
from tasks_service.project_members.schemas import ProjectMemberResource

PROJECT_MEMBER_ADDED = "project_member.added.v1"
PROJECT_MEMBER_UPDATED = "project_member.updated.v1"
PROJECT_MEMBER_REMOVED = "project_member.removed.v1"


def project_member_added(row: RowMapping) -> ChangeDraft:
    resource = ProjectMemberResource.of(row).model_dump(mode="json")
    return _draft(PROJECT_MEMBER_ADDED, row, differences(None, resource), version=row["version"])


def project_member_updated(row: RowMapping, *, former_role: str) -> ChangeDraft:
    changes = [FieldChange("role", former_role, row["role"])]
    return _draft(PROJECT_MEMBER_UPDATED, row, changes, version=row["version"])


def project_member_removed(row: RowMapping) -> ChangeDraft:
    """Draft the end of a membership, of which whoever had it is told, too."""
    changes = [FieldChange("role", row["role"], None)]
    draft = _draft(PROJECT_MEMBER_REMOVED, row, changes, version=row["version"] + 1)
    return replace(draft, lost_by=frozenset({row["user_id"]}))


def _draft(event_type: str, row: RowMapping, changes: list[FieldChange], *, version: int) -> ChangeDraft:
    resource = {**ProjectMemberResource.of(row).model_dump(mode="json"), "version": version}
    return ChangeDraft(
        event_type,
        "project_member",
        row["id"],
        version,
        changes,
        resource,
        audience="project",
        project_id=row["project_id"],
    )
