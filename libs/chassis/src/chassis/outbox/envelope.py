"""An event as it travels: CloudEvents 1.0 in structured JSON."""

from datetime import datetime
from typing import Any, Self
from uuid import UUID

import orjson
from pydantic import BaseModel, ConfigDict, Field

from chassis.clock import rfc3339

CONTENT_TYPE = "application/cloudevents+json"
MAX_EVENT_BYTES = 256 * 1024


class EventTooLarge(ValueError):
    """An event larger than what travels in one message: its producer's input limits are too wide."""


class EventEnvelope(BaseModel):
    """One fact. `stream_id` and `sequence` place it in the ordered stream that it belongs to."""

    model_config = ConfigDict(frozen=True)

    event_id: UUID
    type: str = Field(examples=["task.updated.v1"])
    source: str = Field(examples=["/taskloom/tasks"])
    subject: UUID
    occurred_at: datetime
    stream_id: UUID
    sequence: int
    traceparent: str | None = None
    data: dict[str, Any]

    def to_json(self) -> bytes:
        """Return the structured-mode JSON. Raises EventTooLarge."""
        event: dict[str, Any] = {
            "specversion": "1.0",
            "id": str(self.event_id),
            "source": self.source,
            "type": self.type,
            "subject": str(self.subject),
            "time": rfc3339(self.occurred_at),
            "datacontenttype": "application/json",
            "partitionkey": str(self.stream_id),
            "sequence": self.sequence,
            "data": self.data,
        }
        if self.traceparent is not None:
            event["traceparent"] = self.traceparent
        body = orjson.dumps(event)
        if len(body) > MAX_EVENT_BYTES:
            raise EventTooLarge(f"{self.type} {self.event_id}: {len(body)} bytes")
        return body

    @classmethod
    def from_json(cls, body: bytes) -> Self:
        """Read what `to_json` wrote. Raises ValueError for anything that is not such an event."""
        event = orjson.loads(body)
        if not isinstance(event, dict) or event.get("specversion") != "1.0":
            raise ValueError("not a CloudEvent of version 1.0")
        return cls(
            event_id=event.get("id"),
            type=event.get("type"),
            source=event.get("source"),
            subject=event.get("subject"),
            occurred_at=event.get("time"),
            stream_id=event.get("partitionkey"),
            sequence=event.get("sequence"),
            traceparent=event.get("traceparent"),
            data=event.get("data"),
        )
