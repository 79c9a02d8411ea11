"""Facts about workspaces and their members."""

from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

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
    return _of_member(MEMBER_ADDED, row["version"], differences(None, resource), resource, "members")


def member_updated(row: RowMapping) -> ChangeDraft:
    """Draft a change of role; the row has the role that there `was`."""
    resource = MemberResource.model_validate(dict(row)).model_dump(mode="json")
    changes = [FieldChange("role", row["was"], row["role"])]
    return _of_member(MEMBER_UPDATED, row["version"], changes, resource, "members")


def member_removed(row: RowMapping, audience: Audience = "members") -> ChangeDraft:
    version = row["version"] + 1
    resource = MemberResource.model_validate({**row, "version": version}).model_dump(mode="json")
    changes = [FieldChange("role", row["role"], None)]
    return _of_member(MEMBER_REMOVED, version, changes, resource, audience)


def _of_member(
    event_type: str, version: int, changes: Sequence[FieldChange], resource: Mapping[str, Any], audience: Audience
) -> ChangeDraft:
    """Draft a change of a membership: told to those who may list members, and to whose it is, or was."""
    also = frozenset({UUID(resource["user_id"])})
    return ChangeDraft(event_type, "member", UUID(resource["id"]), version, changes, resource, audience, also=also)
