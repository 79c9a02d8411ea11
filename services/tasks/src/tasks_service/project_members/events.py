"""Facts about members of projects."""

from sqlalchemy import RowMapping

from tasks_service.changes.schemas import Audience, ChangeDraft, FieldChange, differences
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


def project_member_removed(row: RowMapping, *, audience: Audience) -> ChangeDraft:
    """Draft the end of a membership, of which whoever had it is told, too."""
    changes = [FieldChange("role", row["role"], None)]
    return _draft(PROJECT_MEMBER_REMOVED, row, changes, version=row["version"] + 1, audience=audience)


def _draft(
    event_type: str, row: RowMapping, changes: list[FieldChange], *, version: int, audience: Audience = "project"
) -> ChangeDraft:
    resource = {**ProjectMemberResource.of(row).model_dump(mode="json"), "version": version}
    return ChangeDraft(
        event_type,
        "project_member",
        row["id"],
        version,
        changes,
        resource,
        audience=audience,
        project_id=row["project_id"],
    )
