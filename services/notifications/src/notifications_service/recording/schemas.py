from datetime import datetime
from typing import Any, Literal, Self
from uuid import UUID

from pydantic import BaseModel, Field
from sqlalchemy import RowMapping

RecordedChannel = Literal["email", "chat", "push"]

RECORDED_EXAMPLE: dict[str, Any] = {
    "id": "0199d3b2-9a20-7b1c-8d3e-4f5a6b7c8d91",
    "channel": "push",
    "notification_id": "0199d3b2-9a1f-7c00-9b2e-0f6f6a9d2c55",
    "digest_id": None,
    "target_id": "0199d3b2-8c10-7d2e-8f41-6a0f1d2b3c41",
    "content": {"title": "SHOP-7 Buy milk", "body": "Ada assigned SHOP-7 Buy milk to you"},
    "recorded_at": "2026-11-24T09:00:00Z",
}


class RecordedMessageOut(BaseModel):
    """What a channel would have sent."""

    id: UUID = Field(description="The delivery's id.")
    channel: RecordedChannel
    notification_id: UUID | None = Field(description="What it tells of, if that is a notification.")
    digest_id: UUID | None
    target_id: UUID | None = Field(description="The device or the connection to a chat.")
    content: dict[str, Any] = Field(description="What would have been sent, as the channel has it.")
    recorded_at: datetime

    @classmethod
    def of(cls, row: RowMapping) -> Self:
        """Return what is shown of a row."""
        return cls.model_validate({name: row[name] for name in cls.model_fields})
