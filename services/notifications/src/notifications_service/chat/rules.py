"""What connections to chats are, what they may be told of, and how an event is said there. Without any I/O."""

from collections.abc import Collection, Mapping, Sequence
from typing import Any, Literal
from uuid import UUID

from notifications_service.event_patterns.rules import is_among, patterns_of

ChatKind = Literal["slack", "mattermost", "discord", "generic"]
ScopeType = Literal["user", "workspace", "project"]
MAX_CONNECTIONS = 20
"""Of one scope."""
SPACING_SECONDS = 60
CHANGEABLE = frozenset({"discord"})
"""Chats where a message that was sent can be changed."""

EVENTS = (
    "attachment.created",
    "comment.created",
    "member.added",
    "project.created",
    "project.deleted",
    "task.created",
    "task.deleted",
    "task.due_soon",
    "task.moved",
    "task.overdue",
    "task.restored",
    "task.updated",
)
"""What a workspace's or project's connection may be told of."""
PATTERNS = patterns_of(EVENTS)
DEFAULT_EVENTS = ("task.created", "task.updated", "task.deleted", "comment.created")

SENTENCES: Mapping[str, str] = {
    "attachment.created": "{who} attached {name} to {task}",
    "comment.created": "{who} commented on {task}",
    "member.added": "{who} added a member",
    "project.created": "{who} created the project {name}",
    "project.deleted": "{who} deleted the project {name}",
    "task.created": "{who} created {task}",
    "task.deleted": "{who} deleted {task}",
    "task.due_soon": "{task} is due soon",
    "task.moved": "{who} moved {task}",
    "task.overdue": "{task} is overdue",
    "task.restored": "{who} restored {task}",
    "task.updated": "{who} changed {fields} of {task}",
}
SOMEBODY, SOMETHING = "Somebody", "a task"
SHOWN_FIELDS = 3
UNTOLD_FIELDS = frozenset({"version", "updated_at", "position", "status_category"})


def url_place(connection_id: UUID) -> str:
    """Return where a URL belongs; it is sealed for this place and opens for no other connection."""
    return f"chat_connection|url_sealed|{connection_id}"


def wants_event(patterns: Collection[str], name: str) -> bool:
    """Tell whether a name, such as `task.updated`, is among what was asked for, and told in chats at all."""
    return name in EVENTS and is_among(patterns, name)


def sentence_of(frame: Mapping[str, Any], *, who: str | None, task: str | None) -> str:
    """Return an event as a sentence."""
    data = frame["data"] or {}
    values = {
        "who": who or SOMEBODY,
        "task": task or SOMETHING,
        "name": str(data.get("name") or "something"),
        "fields": fields_of(frame["changes"]),
    }
    return SENTENCES[frame["type"]].format(**values)


def fields_of(changes: Sequence[Mapping[str, Any]]) -> str:
    """Return what changed in words."""
    names = [str(one["field"]).replace("_", " ") for one in changes if one["field"] not in UNTOLD_FIELDS]
    if not names:
        return "something"
    shown, more = names[:SHOWN_FIELDS], len(names) - SHOWN_FIELDS
    return ", ".join(shown) + (f" and {more} more" if more > 0 else "")


def is_told(frame: Mapping[str, Any]) -> bool:
    """Tell whether an event says anything to people: that a task was put elsewhere in its list does not."""
    is_update = frame["type"] == "task.updated"
    return not is_update or any(one["field"] not in UNTOLD_FIELDS for one in frame["changes"])
