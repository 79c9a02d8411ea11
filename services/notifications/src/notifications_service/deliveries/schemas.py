"""What is planned to be sent."""

from dataclasses import dataclass
from datetime import datetime
from typing import Literal
from uuid import UUID

Channel = Literal["email", "chat", "push"]


@dataclass(frozen=True, slots=True)
class PlannedDelivery:
    """A message to send to somebody on one channel, of exactly one of a notification, a digest or an event.

    On a channel that has targets (`chat`, `push`) it goes to all that the user has, unless `target_id` names one.
    Messages of one `collapse_key`, which is the task's id, replace each other while they wait for the same target, and
    are `spacing_seconds` apart. `kind` is the notification's. `due_at` None is at once. An event is named by its place,
    too: `stream_id` and `seq`.
    """

    user_id: UUID
    channel: Channel
    notification_id: UUID | None = None
    digest_id: UUID | None = None
    event_id: UUID | None = None
    stream_id: UUID | None = None
    seq: int | None = None
    kind: str | None = None
    target_id: UUID | None = None
    collapse_key: str | None = None
    due_at: datetime | None = None
    spacing_seconds: int = 0
