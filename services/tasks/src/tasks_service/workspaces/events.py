"""Facts about workspaces and their members."""

from sqlalchemy import RowMapping

from tasks_service.changes.schemas import Audience, ChangeDraft, FieldChange, differences
from tasks_service.workspaces.schemas import MemberResource, WorkspaceResource

WORKSPACE_CREATED = "workspace.created.v1"
WORKSPACE_UPDATED = "workspace.updated.v1"
WORKSPACE_DELETED = "workspace.deleted.v1"
MEMBER_ADDED = "member.added.v1"
MEMBER_UPDATED = "member.updated.v1"
MEMBER_REMOVED = "member.removed.v1"


def workspace_changed(
    event_type: str, before: RowMapping | None, after: RowMapping, audience: Audience = "workspace"
) -> ChangeDraft:
    """Draft the change between two rows; `before` is None for a new workspace."""
    resource = WorkspaceResource.of(after).model_dump(mode="json")
    was = None if before is None else WorkspaceResource.of(before).model_dump(mode="json")
    changes = differences(was, resource)
    return ChangeDraft(event_type, "workspace", after["id"], after["version"], changes, resource, audience)


def member_added(row: RowMapping) -> ChangeDraft:
    resource = MemberResource.model_validate(dict(row)).model_dump(mode="json")
    changes = differences(None, resource)
    return ChangeDraft(MEMBER_ADDED, "member", row["id"], row["version"], changes, resource, "workspace")


def member_updated(row: RowMapping) -> ChangeDraft:
    """Draft a change of role; the row has the role that there `was`."""
    resource = MemberResource.model_validate(dict(row)).model_dump(mode="json")
    changes = [FieldChange("role", row["was"], row["role"])]
    return ChangeDraft(MEMBER_UPDATED, "member", row["id"], row["version"], changes, resource, "workspace")


def member_removed(row: RowMapping, audience: Audience = "workspace") -> ChangeDraft:
    """Draft the end of a membership, which whose it was is told of, too."""
    version = row["version"] + 1
    resource = MemberResource.model_validate({**row, "version": version}).model_dump(mode="json")
    changes = [FieldChange("role", row["role"], None)]
    also = frozenset({row["user_id"]})
    return ChangeDraft(MEMBER_REMOVED, "member", row["id"], version, changes, resource, audience, also=also)
