"""Facts about workspaces and their members."""

from sqlalchemy import RowMapping

from tasks_service.changes.schemas import ChangeDraft, FieldChange, differences
from tasks_service.workspaces.schemas import MemberResource, WorkspaceResource

WORKSPACE_CREATED = "workspace.created.v1"
MEMBER_ADDED = "member.added.v1"
MEMBER_UPDATED = "member.updated.v1"
MEMBER_REMOVED = "member.removed.v1"


def workspace_created(row: RowMapping) -> ChangeDraft:
    shown = {**row, "personal": row["personal_owner_id"] is not None}
    resource = WorkspaceResource.model_validate(shown).model_dump(mode="json")
    changes = differences(None, resource)
    return ChangeDraft(WORKSPACE_CREATED, "workspace", row["id"], row["version"], changes, resource, "workspace")


def member_added(row: RowMapping) -> ChangeDraft:
    resource = MemberResource.model_validate(dict(row)).model_dump(mode="json")
    changes = differences(None, resource)
    return ChangeDraft(MEMBER_ADDED, "member", row["id"], row["version"], changes, resource, "workspace")


def member_updated(row: RowMapping) -> ChangeDraft:
    """Draft a change of role, of which there are two that machines have."""
    resource = MemberResource.model_validate(dict(row)).model_dump(mode="json")
    was = "guest" if row["role"] == "member" else "member"
    changes = [FieldChange("role", was, row["role"])]
    return ChangeDraft(MEMBER_UPDATED, "member", row["id"], row["version"], changes, resource, "workspace")


def member_removed(row: RowMapping) -> ChangeDraft:
    version = row["version"] + 1
    resource = MemberResource.model_validate({**row, "version": version}).model_dump(mode="json")
    changes = [FieldChange("role", row["role"], None)]
    return ChangeDraft(MEMBER_REMOVED, "member", row["id"], version, changes, resource, "workspace")
