"""What somebody can be told of, and where: the words that preferences, notifications and deliveries share."""

from typing import Literal, get_args

Kind = Literal[
    "mentioned",
    "assigned",
    "replied",
    "commented",
    "unassigned",
    "reminder",
    "overdue",
    "due_soon",
    "completed",
    "reopened",
    "status_changed",
    "due_changed",
    "updated",
    "deleted",
    "reacted",
    "shared",
    "added_to_project",
    "added_to_workspace",
    "role_changed",
    "job_finished",
    "webhook_disabled",
    "channel_disabled",
]
"""Of the kinds that fit, the first is told."""
AnyKind = Literal["*"]
KindOrAny = Literal[AnyKind, Kind]
"""One literal, since a union of two would name its parts in what is wrong with a value."""
Channel = Literal["inbox", "email", "chat", "push"]
Mode = Literal["instant", "digest", "off"]

KINDS: tuple[Kind, ...] = get_args(Kind)
CHANNELS: tuple[Channel, ...] = get_args(Channel)
