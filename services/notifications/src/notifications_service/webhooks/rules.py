"""What webhooks are and what they may ask for, without any I/O."""

import base64
import secrets
from collections.abc import Collection, Mapping
from datetime import timedelta
from typing import Any, Literal
from uuid import UUID

from chassis.identity import Principal

from notifications_service.event_patterns.rules import is_among, patterns_of

ScopeType = Literal["workspace", "project", "user"]
Payload = Literal["full", "thin"]
DisabledReason = Literal["owner", "gone", "failing"]

MAX_WEBHOOKS = 20
"""Of one scope."""
SECRET_PREFIX = "whsec_"  # noqa: S105 - what every secret begins with
SECRET_BYTES = 32
OVERLAP = timedelta(hours=24)
"""How long the secret before signs, too."""

EVENT_NAMES = (
    "assignee.updated",
    "attachment.created",
    "attachment.deleted",
    "category.created",
    "category.deleted",
    "category.updated",
    "checklist_item.created",
    "checklist_item.deleted",
    "checklist_item.updated",
    "comment.created",
    "comment.deleted",
    "comment.updated",
    "filter.created",
    "filter.deleted",
    "filter.updated",
    "invitation.created",
    "invitation.deleted",
    "invitation.updated",
    "job.created",
    "job.updated",
    "label.created",
    "label.deleted",
    "label.updated",
    "member.added",
    "member.removed",
    "member.updated",
    "personal_label.added",
    "personal_label.removed",
    "project.created",
    "project.deleted",
    "project.purged",
    "project.restored",
    "project.updated",
    "project_member.added",
    "project_member.removed",
    "project_member.updated",
    "reaction.added",
    "reaction.removed",
    "relation.created",
    "relation.deleted",
    "reminder.fired",
    "star.added",
    "star.removed",
    "status.created",
    "status.deleted",
    "status.updated",
    "task.created",
    "task.deleted",
    "task.due_soon",
    "task.moved",
    "task.overdue",
    "task.purged",
    "task.restored",
    "task.updated",
    "task_metadata.removed",
    "task_metadata.updated",
    "task_share.added",
    "task_share.removed",
    "task_share.updated",
    "watcher.added",
    "watcher.removed",
    "watcher.updated",
    "webhook.disabled",
    "workspace.created",
    "workspace.deleted",
    "workspace.updated",
)
"""Every event that a webhook may be sent; a test compares them with the contracts."""
FIELD_NAMES = (
    "archived_at",
    "assigned_to",
    "assignee_id",
    "assignees",
    "author_id",
    "body",
    "cancelable",
    "category",
    "category_id",
    "color",
    "comment_id",
    "completed_at",
    "completed_by",
    "completion_policy",
    "content_type",
    "created_at",
    "created_by",
    "custom",
    "deadline",
    "deleted_at",
    "deleted_by",
    "description",
    "disabled_reason",
    "done",
    "done_at",
    "done_by",
    "due",
    "due_date",
    "edited_at",
    "emoji",
    "enabled",
    "enforce_blockers",
    "error",
    "estimate_minutes",
    "expires_at",
    "external_id",
    "external_source",
    "failed",
    "failing_since",
    "filter",
    "finished_at",
    "from_project_id",
    "from_task_id",
    "id",
    "invited_by",
    "is_inbox",
    "is_muted",
    "is_primary",
    "is_starred",
    "is_there",
    "is_urgent",
    "is_watching",
    "joined_seq",
    "key",
    "kind",
    "label_id",
    "labels",
    "member_role",
    "mentions",
    "name",
    "namespace",
    "owner_id",
    "parent_id",
    "personal",
    "position",
    "prefix",
    "priority",
    "progress",
    "project_id",
    "projects",
    "q",
    "reason",
    "remind_at",
    "reopen_on_assign",
    "require_if_match",
    "result_url",
    "role",
    "scope",
    "sha256",
    "shared",
    "shared_by",
    "since",
    "size",
    "sort",
    "start",
    "started_at",
    "state",
    "status",
    "status_category",
    "task_id",
    "text",
    "title",
    "to_project_id",
    "to_task_id",
    "total",
    "type",
    "user_id",
    "value",
    "visibility",
    "watchers",
    "workspace_id",
)
"""Every field that such an event may say has changed; a test compares them with the contracts."""
KNOWN = frozenset(EVENT_NAMES)
PATTERNS = patterns_of(EVENT_NAMES)


def wants_event(events: Collection[str], name: str) -> bool:
    """Tell whether a name, such as `task.updated`, is among what was asked for, and goes to webhooks at all."""
    return name in KNOWN and is_among(events, name)


def wants_change(changed_fields: Collection[str], changes: Collection[Mapping[str, Any]]) -> bool:
    """Tell whether one of the fields that were asked for has changed; without any, every change is wanted."""
    return not changed_fields or any(one["field"] in changed_fields for one in changes)


def reader_of(webhook: Mapping[Any, Any]) -> Principal:
    """Return a webhook as who reads: its owner, within its scope and its projects."""
    scope_type, projects = webhook["scope_type"], frozenset(webhook["project_ids"])
    if scope_type == "project":
        scope = frozenset({webhook["scope_id"]})
        projects = projects & scope if projects else scope
    restricted = bool(projects) or scope_type == "project"
    return Principal(
        user_id=webhook["owner_id"],
        session_id=webhook["id"],
        workspace_id=webhook["workspace_id"],
        project_ids=projects if restricted else None,
    )


def may_reach(caller: Principal, *, scope_type: str, scope_id: UUID, workspace_id: UUID | None) -> bool:
    """Tell whether a caller's restriction leaves all that a scope has in it."""
    if not caller.is_restricted:
        return True
    if workspace_id is None or not caller.reaches_workspace(workspace_id):
        return False
    return caller.project_ids is None or (scope_type == "project" and scope_id in caller.project_ids)


def new_secret() -> str:
    """Return a secret as Standard Webhooks writes it."""
    return SECRET_PREFIX + base64.b64encode(secrets.token_bytes(SECRET_BYTES)).decode()


def secret_place(webhook_id: UUID) -> str:
    """Return what a sealed secret is bound to."""
    return f"webhook|secret_sealed|{webhook_id}"
