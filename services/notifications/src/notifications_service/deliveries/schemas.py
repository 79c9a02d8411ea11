"""What is planned to be sent, and how it is shown."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal, Self
from uuid import UUID

from pydantic import BaseModel, Field

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


DELIVERY_EXAMPLE: dict[str, Any] = {
    "id": "0199d3b2-9a20-7b1c-8d3e-4f5a6b7c8d91",
    "channel": "push",
    "target_id": "0199d3b2-8c10-7d2e-8f41-6a0f1d2b3c41",
    "target_name": "Firefox on my laptop",
    "state": "sent",
    "reason": None,
    "attempts": 1,
    "due_at": "2026-11-24T09:00:00Z",
    "created_at": "2026-11-24T09:00:00Z",
    "settled_at": "2026-11-24T09:00:01Z",
}


class DeliveryOut(BaseModel):
    """How a notification went on one channel to one target."""

    id: UUID
    channel: Channel
    target_id: UUID | None = Field(description="The device or the connection to a chat; null of mail.")
    target_name: str | None = Field(description="What that is called; null when it is not there any more.")
    state: Literal["new", "sent", "failed", "skipped"] = Field(
        description="`new` waits for its time or its next attempt, `skipped` was not to be sent any more."
    )
    reason: str | None = Field(
        description="Why it failed, last or for good, such as `status_503`; or why it was skipped: `read`, "
        "`not_visible`, `inactive`, `no_address`, `turned_off`, `replaced` by a later one, `target_gone`, "
        "or `expired` after a week in which nobody could send it."
    )
    attempts: int
    due_at: datetime = Field(description="When it is sent, or tried again.")
    created_at: datetime
    settled_at: datetime | None = Field(description="When it was sent or given up.")

    @classmethod
    def of(cls, row: Mapping[Any, Any]) -> Self:
        """Return what is shown of a row."""
        return cls.model_validate({name: row[name] for name in cls.model_fields})
