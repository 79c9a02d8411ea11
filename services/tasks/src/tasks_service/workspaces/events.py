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
    return ChangeDraft(WORKSPACE_CREATED, "workspace", row["id"], row["version"], differences(None, resource), resource)


def member_added(row: RowMapping) -> ChangeDraft:
    resource = MemberResource.model_validate(dict(row)).model_dump(mode="json")
    return ChangeDraft(MEMBER_ADDED, "member", row["id"], row["version"], differences(None, resource), resource)


def member_updated(row: RowMapping) -> ChangeDraft:
    """Draft a change of role, of which there are two that machines have."""
    resource = MemberResource.model_validate(dict(row)).model_dump(mode="json")
    was = "guest" if row["role"] == "member" else "member"
    return ChangeDraft(
        MEMBER_UPDATED, "member", row["id"], row["version"], [FieldChange("role", was, row["role"])], resource
    )


def member_removed(row: RowMapping) -> ChangeDraft:
    version = row["version"] + 1
    resource = MemberResource.model_validate({**row, "version": version}).model_dump(mode="json")
    return ChangeDraft(MEMBER_REMOVED, "member", row["id"], version, [FieldChange("role", row["role"], None)], resource)
