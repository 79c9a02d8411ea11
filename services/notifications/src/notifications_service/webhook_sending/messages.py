"""What is sent for a delivery: the event as its owner may see it now, signed (Standard Webhooks)."""

import base64
import hashlib
import hmac
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

import orjson
from chassis.clock import rfc3339
from chassis.cursors import CursorSigner
from chassis.sealing import KeyRing
from chassis.telemetry.tracing import new_traceparent
from sqlalchemy.ext.asyncio import AsyncConnection

from notifications_service.realtime.protocol import ACCESS_LOST, FOR_GOOD, StoredFrame, stored_frame, with_cursor
from notifications_service.sight.service import Sight, forgotten, sight_of, silenced
from notifications_service.webhook_deliveries.repository import events_at
from notifications_service.webhook_deliveries.rules import TEST_EVENT
from notifications_service.webhook_deliveries.service import visible_part
from notifications_service.webhooks.rules import SECRET_PREFIX, secret_place

USER_AGENT = "Taskloom-Webhooks/1"
THIN_WITHOUT = ("data", "changes")

Row = Mapping[Any, Any]
Place = tuple[UUID, int]


@dataclass(frozen=True, slots=True)
class Message:
    """The body of a request, or why there is none; or that our own code could not tell."""

    body: bytes = b""
    missing: str | None = None
    is_broken: bool = False


async def compose(reader: AsyncConnection, deliveries: Sequence[Row], signer: CursorSigner) -> list[Message]:
    """Return what is sent for each of these deliveries, which have their webhooks with them, `webhook_…`."""
    wanted = {(one["stream_id"], one["seq"]) for one in deliveries if one["seq"] is not None}
    frames = await _frames(reader, wanted)
    owners = {one["webhook_owner_id"] for one in deliveries}
    sight = await sight_of(reader, [*frames.values()], owners)
    return [_message(one, frames, sight, signer) for one in deliveries]


async def _frames(reader: AsyncConnection, places: set[Place]) -> dict[Place, StoredFrame]:
    rows = await events_at(reader, places) if places else []
    found: dict[Place, StoredFrame] = {}
    for stream in {row["workspace_id"] for row in rows}:
        own = sorted((row for row in rows if row["workspace_id"] == stream), key=lambda row: int(row["seq"]))
        told = [stored_frame(row) for row in await silenced(reader, own, stream)]
        found |= {(stream, frame.seq): frame for frame in await forgotten(reader, told, stream)}
    return found


def _message(delivery: Row, frames: Mapping[Place, StoredFrame], sight: Sight, signer: CursorSigner) -> Message:
    if delivery["seq"] is None:
        return Message(_test_body(delivery))
    frame = frames.get((delivery["stream_id"], delivery["seq"]))
    if frame is None:
        return Message(missing="expired")
    part = visible_part(webhook_of(delivery), frame, sight, kind=delivery["kind"])
    if part is None:
        return Message(missing=FOR_GOOD if frame.is_forgotten else ACCESS_LOST)
    cursor = signer.position({frame.stream_id: frame.seq})
    return Message(_body(with_cursor(frame, part, cursor).body, thin=delivery["webhook_payload"] == "thin"))


def webhook_of(delivery: Row) -> Row:
    """Return the webhook that was read with a delivery."""
    own = {name.removeprefix("webhook_"): value for name, value in delivery.items() if name.startswith("webhook_")}
    return {**own, "id": delivery["webhook_id"]}


def _body(event: bytes, *, thin: bool) -> bytes:
    told = orjson.loads(event)
    if thin:
        told = {name: value for name, value in told.items() if name not in THIN_WITHOUT}
    return orjson.dumps({"type": told["type"], "timestamp": told["occurred_at"], "data": told})


def _test_body(delivery: Row) -> bytes:
    at = rfc3339(delivery["created_at"])
    told = {
        "seq": None,
        "cursor": None,
        "event_id": str(delivery["event_id"]),
        "type": TEST_EVENT,
        "workspace_id": None if delivery["webhook_workspace_id"] is None else str(delivery["webhook_workspace_id"]),
        "project_id": None,
        "task_id": None,
        "subject": str(delivery["webhook_id"]),
        "version": delivery["webhook_version"],
        "changes": [],
        "actor": {"type": "user", "id": str(delivery["webhook_owner_id"]), "via": "session"},
        "data": {"id": str(delivery["webhook_id"]), "name": delivery["webhook_name"]},
        "occurred_at": at,
        "origin_request_id": None,
    }
    return orjson.dumps({"type": TEST_EVENT, "timestamp": at, "data": told})


def fixed_headers(delivery: Row) -> dict[str, str]:
    """Return the headers that are the same in every attempt."""
    return {
        "content-type": "application/json",
        "user-agent": USER_AGENT,
        "webhook-id": str(delivery["event_id"]),
    }


def headers_of(delivery: Row, body: bytes, *, ring: KeyRing, now: datetime) -> dict[str, str]:
    """Return all headers of an attempt now. Raises SealError when the secret can't be opened."""
    timestamp = str(int(now.timestamp()))
    content = b"%b.%b.%b" % (str(delivery["event_id"]).encode(), timestamp.encode(), body)
    signatures = [_signature(secret, content) for secret in _secrets(delivery, ring, now)]
    return {
        **fixed_headers(delivery),
        "webhook-timestamp": timestamp,
        "webhook-signature": " ".join(signatures),
        "traceparent": new_traceparent(),
    }


def _secrets(delivery: Row, ring: KeyRing, now: datetime) -> list[str]:
    """Return the secrets that sign now: the newest first, and the one before for a while."""
    sealed = [delivery["webhook_secret_sealed"]]
    until = delivery["webhook_old_secret_until"]
    if until is not None and until > now:
        sealed.append(delivery["webhook_old_secret_sealed"])
    place = secret_place(delivery["webhook_id"])
    return [ring.open(one, place=place).decode() for one in sealed]


def _signature(secret: str, content: bytes) -> str:
    key = base64.b64decode(secret.removeprefix(SECRET_PREFIX))
    return "v1," + base64.b64encode(hmac.digest(key, content, hashlib.sha256)).decode()
