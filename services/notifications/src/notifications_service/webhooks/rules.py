"""What webhooks are and what they may ask for, without any I/O."""

import base64
import secrets
from collections.abc import Collection, Mapping
from datetime import timedelta
from typing import Any, Literal
from uuid import UUID

from chassis.identity import Principal
from chassis.text import closest

ScopeType = Literal["workspace", "project", "user"]
Payload = Literal["full", "thin"]
DisabledReason = Literal["owner", "gone", "failing"]

MAX_WEBHOOKS = 20
"""Of one scope."""
SECRET_PREFIX = "whsec_"  # noqa: S105 - what every secret begins with
SECRET_BYTES = 32
OVERLAP = timedelta(hours=24)
"""How long the secret before signs, too."""
EVERYTHING = "*"
ALL_OF = ".*"

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
KNOWN = frozenset(EVENT_NAMES)
PATTERNS = (EVERYTHING, *sorted({f"{name.partition('.')[0]}{ALL_OF}" for name in EVENT_NAMES}), *EVENT_NAMES)


def pattern_meant(pattern: str) -> str | None:
    """Return the closest to a pattern that there is not."""
    return closest(pattern, PATTERNS)


def wants_event(events: Collection[str], name: str) -> bool:
    """Tell whether a name, such as `task.updated`, is among what was asked for, and goes to webhooks at all."""
    if name not in KNOWN:
        return False
    return EVERYTHING in events or name in events or f"{name.partition('.')[0]}{ALL_OF}" in events


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
