"""What somebody is told of a channel of theirs."""

from datetime import datetime
from typing import Any, Literal
from uuid import UUID

from chassis.ids import uuid7
from chassis.outbox.contracts import EventContract
from pydantic import BaseModel, Field

from notifications_service.live.schemas import PersonalEvent
from notifications_service.live.service import SOURCE_NAME

CHANNEL_DISABLED = "channel.disabled.v1"


class ChannelResource(BaseModel):
    """A channel that was turned off, since what is sent there is refused for good."""

    id: UUID
    user_id: UUID = Field(description="Whose it is.")
    channel: Literal["email", "chat", "push"]
    name: str = Field(description="What it is called, such as the address.")
    reason: str = Field(description="What was answered, such as `recipient_550`.")
    disabled_at: datetime


CHANNEL_EXAMPLE: dict[str, Any] = {
    "id": "0199d3b2-7d00-7a11-8f2e-3c5d7e9f1b24",
    "user_id": "0199d3b2-5e00-7b00-8c6f-2d7e4a8b1c03",
    "channel": "email",
    "name": "ada@example.com",
    "reason": "recipient_550",
    "disabled_at": "2026-11-24T09:00:00Z",
}

CHANNEL_EVENTS = (
    EventContract(
        CHANNEL_DISABLED,
        SOURCE_NAME,
        "channel",
        "A channel was turned off, since what is sent there is refused for good.",
        ChannelResource,
        CHANNEL_EXAMPLE,
        stream="user_id",
        optional=True,
        channels=("websocket", "sse", "notification"),
    ),
)


def channel_disabled(
    *, user_id: UUID, channel: Literal["email", "chat", "push"], name: str, reason: str, disabled_at: datetime
) -> PersonalEvent:
    """Draft that a channel was turned off."""
    resource = ChannelResource(
        id=uuid7(), user_id=user_id, channel=channel, name=name, reason=reason, disabled_at=disabled_at
    )
    return PersonalEvent(
        type=CHANNEL_DISABLED,
        entity_type="channel",
        subject=resource.id,
        resource=resource.model_dump(mode="json"),
    )
