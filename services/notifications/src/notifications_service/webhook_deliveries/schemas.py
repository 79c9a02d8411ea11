from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Annotated, Any, Self, cast
from uuid import UUID

from chassis.cursors import MAX_CURSOR_CHARACTERS
from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from notifications_service.webhook_deliveries.rules import Kind, State

Position = Annotated[str, StringConstraints(min_length=1, max_length=MAX_CURSOR_CHARACTERS)]


class DeliveryOut(BaseModel):
    """An event on its way to a webhook."""

    id: UUID
    webhook_id: UUID
    event_id: UUID = Field(description="`webhook-id` of every request for it.")
    event: str = Field(description="The type of the event, such as `task.updated`.")
    kind: Kind = Field(description="Whether it came by itself, was asked for again, or is a test.")
    state: State
    attempt_count: int
    status: int | None = Field(description="What was answered last.")
    reason: str | None = Field(
        description=(
            "Why the last attempt failed: `status`, `redirect`, `gone`, `timeout`, `dns`, `connect`, `tls`, `protocol` "
            "or `blocked` (the URL leads where requests may not go), or that we failed: `sealed` (the key of its "
            "secret is missing), `broken`; or why there is none: `access_lost`, `expired`, "
            "`purged` (what it is about was deleted for good)."
        )
    )
    next_attempt_at: datetime | None = Field(description="While it is pending.")
    created_at: datetime
    settled_at: datetime | None

    @classmethod
    def of(cls, row: Mapping[Any, Any]) -> Self:
        """Make the resource of a row."""
        return cast("Self", cls.model_construct(**_shown(row)))


class AttemptOut(BaseModel):
    """One attempt at a delivery."""

    number: int
    at: datetime
    ms: int = Field(description="How long it took.")
    status: int | None
    reason: str | None
    excerpt: str | None = Field(description="The beginning of what was answered, up to 1 KiB.")


class SentOut(BaseModel):
    """What is sent for a delivery, now."""

    url: str
    headers: dict[str, str] = Field(description="But those that are of a single attempt, as the signature is.")
    body: dict[str, Any]


class DeliveryDetailOut(DeliveryOut):
    """A delivery with its attempts."""

    attempts: list[AttemptOut]
    request: SentOut | None = Field(
        description="Null where you, or the webhook's owner, do not see the event any more, or it is not kept."
    )

    @classmethod
    def detailed(
        cls, row: Mapping[Any, Any], attempts: Sequence[Mapping[Any, Any]], request: SentOut | None
    ) -> "DeliveryDetailOut":
        """Make the resource of a row with its attempts."""
        made = [AttemptOut.model_construct(**{name: one[name] for name in AttemptOut.model_fields}) for one in attempts]
        return cls.model_construct(**_shown(row), attempts=made, request=request)


class ReplayIn(BaseModel):
    """From where on events are sent again."""

    model_config = ConfigDict(extra="forbid")

    from_cursor: Position = Field(
        description="What came after it: any position, such as `X-Cursor`, or a frame's `cursor`.",
        examples=["AZnTsm8AfBGbXg9vap0sAQAAAAAAAAAHhI4"],
    )
    to_cursor: Position | None = Field(default=None, description="Up to there; up to now without it.")


class ReplayOut(BaseModel):
    """What a replay has begun."""

    count: int = Field(description="How many deliveries were made.")
    next_cursor: str | None = Field(
        description="Where there was more than one request looks at: ask again with it as `from_cursor`."
    )


def _shown(row: Mapping[Any, Any]) -> dict[str, Any]:
    plain = ("id", "webhook_id", "event_id", "kind", "state", "status", "reason", "created_at", "settled_at")
    waits = row["state"] == "pending"
    return {
        **{name: row[name] for name in plain},
        "event": row["event_type"],
        "attempt_count": row["attempts"],
        "next_attempt_at": row["next_attempt_at"] if waits else None,
    }


DELIVERY_EXAMPLE: dict[str, Any] = {
    "id": "0199d3b2-7d20-7e4d-8b22-6c2f4d8a0b71",
    "webhook_id": "0199d3b2-7c10-7d3d-9a11-5b1e3c7f9a61",
    "event_id": "0199d3b2-7b00-7f0e-8f3a-1d1f6c0f5ae1",
    "event": "task.updated",
    "kind": "event",
    "state": "delivered",
    "attempt_count": 1,
    "status": 204,
    "reason": None,
    "next_attempt_at": None,
    "created_at": "2026-11-24T09:00:00Z",
    "settled_at": "2026-11-24T09:00:01Z",
}
PENDING_EXAMPLE: dict[str, Any] = {
    **DELIVERY_EXAMPLE,
    "state": "pending",
    "attempt_count": 0,
    "status": None,
    "next_attempt_at": "2026-11-24T09:00:00Z",
    "settled_at": None,
}
DETAIL_EXAMPLE: dict[str, Any] = {
    **DELIVERY_EXAMPLE,
    "attempts": [{"number": 1, "at": "2026-11-24T09:00:00Z", "ms": 84, "status": 204, "reason": None, "excerpt": None}],
    "request": {
        "url": "https://hooks.example.com/taskloom",
        "headers": {
            "content-type": "application/json",
            "user-agent": "Taskloom-Webhooks/1",
            "webhook-id": "0199d3b2-7b00-7f0e-8f3a-1d1f6c0f5ae1",
        },
        "body": {
            "type": "task.updated",
            "timestamp": "2026-11-24T09:00:00.000000Z",
            "data": {
                "seq": 7,
                "cursor": "AZnTsm8AfBGbXg9vap0sAQAAAAAAAAAHhI4",
                "event_id": "0199d3b2-7b00-7f0e-8f3a-1d1f6c0f5ae1",
                "type": "task.updated",
                "workspace_id": "0199d3b2-6f00-7c11-9b5e-0f6f6a9d2c01",
                "project_id": "0199d3b2-7100-7a22-8c33-1a2b3c4d5e6f",
                "task_id": "0199d3b2-7a52-7f0e-8f3a-1d1f6c0f5a11",
                "subject": "0199d3b2-7a52-7f0e-8f3a-1d1f6c0f5a11",
                "version": 2,
                "changes": [{"field": "priority", "old": "low", "new": "high"}],
                "actor": {"type": "user", "id": "0199d3b2-5e00-7b00-8c6f-2d7e4a8b1c03", "via": "session"},
                "data": {"id": "0199d3b2-7a52-7f0e-8f3a-1d1f6c0f5a11", "title": "Buy milk", "priority": "high"},
                "occurred_at": "2026-11-24T09:00:00.000000Z",
                "origin_request_id": "0199d3b2-7a52-7f0e-8f3a-1d1f6c0f5a11",
            },
        },
    },
}
REPLAY_EXAMPLE: dict[str, Any] = {"count": 12, "next_cursor": None}
