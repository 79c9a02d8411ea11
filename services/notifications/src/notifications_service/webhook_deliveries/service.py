"""Use cases of deliveries: which events go to which webhooks, and how a delivery goes on."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

from chassis.clock import utcnow
from chassis.cursors import CursorSigner
from chassis.errors import AppError
from chassis.ids import uuid7
from chassis.timezones import zone_named
from sqlalchemy import RowMapping
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncSession

from notifications_service.following.rules import came_after
from notifications_service.live import filters
from notifications_service.live import repository as streams
from notifications_service.realtime.knowledge import tasks_known
from notifications_service.realtime.protocol import StoredFrame, stored_frame
from notifications_service.sight.rules import part_of
from notifications_service.sight.service import Sight, as_shown, forgotten, sight_of
from notifications_service.webhook_deliveries import repository
from notifications_service.webhook_deliveries.errors import CursorExpired, DeliveryMissing, NothingBetween
from notifications_service.webhook_deliveries.rules import (
    GONE,
    KEPT,
    MAX_REPLAYED,
    PATIENCE,
    TEST_EVENT,
    Kind,
)
from notifications_service.webhooks import repository as webhooks
from notifications_service.webhooks import service as webhook_service
from notifications_service.webhooks.errors import WebhookDisabled
from notifications_service.webhooks.rules import reader_of, wants_change, wants_event

UTC = ZoneInfo("UTC")
READ_AT_ONCE = 200

Row = Mapping[Any, Any]


@dataclass(frozen=True, slots=True)
class Outcome:
    """How an attempt went: without a `reason`, well. `delay` is until the next one; None when there is no more."""

    number: int
    at: datetime
    ms: int
    status: int | None
    reason: str | None
    excerpt: str | None
    delay: timedelta | None = None


async def plan_deliveries(session: AsyncSession, stream_id: UUID, rows: Sequence[RowMapping]) -> None:
    """Make a delivery of each event of a stream for each webhook that may and wants to have it.

    How many statements that are depends neither on the events nor on the webhooks.
    """
    told = {user for row in rows for user in (*row["audience"], *(row["lost_by"] or ()))}
    candidates = await webhooks.followers_of(session, stream_id, told=told, since=_first_of(rows))
    if candidates:
        planned = await _planned(session, candidates, rows, kind="event")
        await repository.add(session, planned, kind="event", at=utcnow())


async def find_concerned(session: AsyncSession, parts: Mapping[UUID, tuple[int, int]]) -> set[UUID]:
    """Return the streams that events come from which may be for any webhook."""
    return await webhooks.followed_among(session, parts)


async def replay(
    session: AsyncSession, *, webhook: RowMapping, start: Mapping[UUID, int], end: Mapping[UUID, int] | None
) -> tuple[int, dict[UUID, int] | None]:
    """Make deliveries of what came between two positions, of the streams that the first names.

    Return how many there are, and from where to go on where there was too much for one request.
    Raises CursorExpired, NothingBetween, WebhookDisabled.
    """
    _refuse_disabled(webhook)
    if end is not None and any(end[stream] < seq for stream, seq in start.items() if stream in end):
        raise NothingBetween(field="to_cursor")
    reader = await session.connection()
    heads = await streams.heads(reader, start)
    until = {stream: min(heads.get(stream, 0), (end or heads).get(stream, 0)) for stream in start}
    count, left, position = 0, MAX_REPLAYED, dict(start)
    for stream in sorted(start):
        while position[stream] < until[stream] and left > 0:
            limit = min(READ_AT_ONCE, left)
            after = position[stream]
            rows = await streams.events_between(reader, stream, after=after, until=until[stream], limit=limit)
            if not rows or rows[0]["seq"] != after + 1:
                raise CursorExpired(field="from_cursor")
            told = [webhook["owner_id"]]
            found = await webhooks.followers_of(session, stream, told=told, since=_first_of(rows))
            candidates = [one for one in found if one["id"] == webhook["id"]]
            planned = await _planned(session, candidates, rows, kind="replay") if candidates else []
            count += await repository.add(session, planned, kind="replay", at=utcnow())
            position[stream], left = rows[-1]["seq"], left - len(rows)
    is_done = all(position[stream] >= until[stream] for stream in start)
    return count, None if is_done else position


async def send_test(session: AsyncSession, *, webhook: RowMapping) -> RowMapping:
    """Make a delivery of an event that nothing has happened for, also to a webhook that is disabled."""
    test = {
        "id": uuid7(),
        "webhook_id": webhook["id"],
        "event_id": uuid7(),
        "event_type": TEST_EVENT,
        "stream_id": None,
        "seq": None,
    }
    await repository.add(session, [test], kind="test", at=utcnow())
    return await find_delivery(session, webhook_id=webhook["id"], delivery_id=test["id"])


async def redeliver(session: AsyncSession, *, webhook: RowMapping, delivery_id: UUID) -> RowMapping:
    """Put a delivery back in line, at once, whatever became of it. Raises DeliveryMissing, WebhookDisabled."""
    row = await find_delivery(session, webhook_id=webhook["id"], delivery_id=delivery_id, lock=True)
    if row["kind"] != "test":
        _refuse_disabled(webhook)
    if row["state"] != "pending" and await repository.find_other(session, row):
        return row
    found = await repository.send_anew(session, delivery_id, at=utcnow())
    repository.wake(session)
    return found


async def find_delivery(
    reader: AsyncConnection | AsyncSession, *, webhook_id: UUID, delivery_id: UUID, lock: bool = False
) -> RowMapping:
    """Return a delivery of a webhook. Raises DeliveryMissing."""
    row = await repository.find(reader, webhook_id=webhook_id, delivery_id=delivery_id, lock=lock)
    if row is None:
        raise DeliveryMissing
    return row


async def note(session: AsyncSession, *, delivery: Row, outcome: Outcome) -> bool:
    """Note how an attempt went, and what follows for the webhook; False when the claim was lost meanwhile."""
    counts = delivery["kind"] != "test"
    # The webhook before its delivery, as whoever sends anew holds them: no two wait for each other.
    webhook = await _note_health(session, delivery["webhook_id"], outcome) if counts else None
    mine = {"delivery_id": delivery["id"], "claim": delivery["claim"]}
    if not await repository.settle(session, **mine, values=_values(outcome)):
        return False
    names = ("number", "at", "ms", "status", "reason", "excerpt")
    kept = {"delivery_id": delivery["id"], **{name: getattr(outcome, name) for name in names}}
    await repository.add_attempt(session, kept)
    if webhook is not None:
        await _end_hopeless(session, webhook, outcome)
    return True


async def note_cancelled(session: AsyncSession, *, delivery: Row, reason: str) -> bool:
    """Note that a delivery is not to be made any more; False when the claim was lost meanwhile."""
    attempts = delivery["attempts"] - 1
    values = {"state": "cancelled", "reason": reason, "settled_at": utcnow(), "attempts": attempts}
    return await repository.settle(session, delivery_id=delivery["id"], claim=delivery["claim"], values=values)


async def purge_deliveries(session: AsyncSession, *, now: datetime) -> bool:
    """Forget what is too old and what belongs to nobody; return whether there may be more."""
    await webhooks.forget_old_secrets(session, now=now)
    await webhooks.end_of_ended_workspaces(session, at=now)
    more = await repository.purge(session, before=now - KEPT)
    return await webhooks.purge(session) or more


async def _note_health(session: AsyncSession, webhook_id: UUID, outcome: Outcome) -> RowMapping | None:
    """Note that a webhook works, or since when it does not; then return it, held."""
    if outcome.reason is None:
        await repository.note_working(session, webhook_id)
        return None
    await repository.note_failing(session, webhook_id, since=outcome.at)
    return await webhooks.hold(session, webhook_id)


async def _end_hopeless(session: AsyncSession, webhook: RowMapping, outcome: Outcome) -> None:
    """Disable a webhook that wants nothing any more, or has done nothing but fail for days."""
    if not webhook["enabled"]:
        return
    since = webhook["failing_since"]
    if outcome.status == GONE:
        await webhook_service.disable_webhook(session, row=webhook, reason="gone")
    elif since is not None and outcome.at - since >= PATIENCE:
        await webhook_service.disable_webhook(session, row=webhook, reason="failing")


def _values(outcome: Outcome) -> dict[str, Any]:
    values = {"status": outcome.status, "reason": outcome.reason}
    if outcome.reason is None:
        return {**values, "state": "delivered", "settled_at": outcome.at}
    if outcome.delay is None:
        return {**values, "state": "failed", "settled_at": outcome.at}
    return {**values, "next_attempt_at": outcome.at + outcome.delay}


async def _planned(
    session: AsyncSession,
    candidates: Sequence[Row],
    rows: Sequence[Row],
    *,
    kind: Kind,
) -> list[dict[str, Any]]:
    reader = await session.connection()
    is_asked = any(one["filter"] is not None for one in candidates)
    frames = await _frames(reader, rows, is_asked=is_asked)
    if kind == "replay":
        frames = await forgotten(reader, frames, rows[0]["workspace_id"])
    sight = await sight_of(reader, frames, {one["owner_id"] for one in candidates})
    planned = []
    for webhook in candidates:
        wants = _wish_of(webhook)
        for row, frame in zip(rows, frames, strict=True):
            is_due = kind == "replay" or awaited(webhook, row)
            if is_due and wants(frame) and visible_part(webhook, frame, sight, kind=kind) is not None:
                planned.append(_delivery(webhook["id"], row))
    return planned


def awaited(webhook: Row, row: Row) -> bool:
    """Tell whether an event is of after a webhook was made, and of before it was disabled; others come by replay."""
    begins_after = (webhook["begins_after"] or {}).get(str(row["workspace_id"]), 0)
    if not came_after(row, seq=begins_after, made_at=webhook["created_at"]):
        return False
    return bool(webhook["enabled"] or row["occurred_at"] < webhook["disabled_at"])


def visible_part(webhook: Row, frame: StoredFrame, sight: Sight, *, kind: Kind) -> bytes | None:
    """Return what a webhook is sent of an event: all of it, that something is gone, or nothing.

    That is what was told to its owner, who sees it now, within its scope. What comes by itself may be before what its
    owner sees it by; what is asked for again is not. What was deleted for good since is told by its deletion alone.
    """
    if frame.is_personal and webhook["scope_type"] != "user":
        return None
    owner, part = webhook["owner_id"], part_of(frame, reader_of(webhook))
    if frame.removed_user == owner or part is None:
        # The last that somebody hears of a workspace is to be out of it.
        return part
    # Who has a filter may not be told of the deletion: by then it may have left that. A replay begins anew.
    is_told_later = part is frame.opening and frame.is_forgotten and (kind == "replay" or webhook["filter"] is None)
    if is_told_later or sight.is_out(owner, frame.workspace_id):
        return None
    if part is not frame.opening or frame.ended_for == owner:
        return part
    if kind == "replay":
        shown = as_shown(frame, sight, owner)
        return shown.opening if owner in shown.audience else None
    return part if sight.shows(frame, owner) or (kind == "event" and sight.stands(frame, owner)) else None


async def _frames(reader: AsyncConnection, rows: Sequence[Row], *, is_asked: bool) -> Sequence[StoredFrame]:
    """Return the frames of events, with the tasks that they hang on where filters ask for these."""
    tasks = {UUID(row["frame"]["task_id"]) for row in rows if row["frame"].get("task_id")} if is_asked else set()
    known = await tasks_known(reader, tasks) if tasks else {}
    return [
        stored_frame(row, known.get(UUID(row["frame"]["task_id"])) if row["frame"].get("task_id") else None)
        for row in rows
    ]


def _wish_of(webhook: Row) -> Callable[[StoredFrame], bool]:
    """Return what tells whether a webhook wants an event that it may have."""
    events, fields = frozenset(webhook["events"]), frozenset(webhook["changed_fields"])
    matches = _filter_of(webhook)

    def wants(frame: StoredFrame) -> bool:
        told = frame.told
        return wants_event(events, told["type"]) and wants_change(fields, told["changes"]) and matches(frame)

    return wants


def _filter_of(webhook: Row) -> Callable[[StoredFrame], bool]:
    """Return what tells whether the task that an event is of matches a webhook's filter, or did before it.

    A filter that means nothing any more matches nothing.
    """
    if webhook["filter"] is None:
        return lambda _frame: True
    zone = zone_named(webhook["timezone"] or "") or UTC
    try:
        judge = filters.parse(webhook["filter"], user_id=webhook["owner_id"], zone=zone)
    except AppError:
        return lambda _frame: False
    return lambda frame: frame.judged(judge) is not None


def _first_of(rows: Sequence[Row]) -> datetime:
    first: datetime = min(row["occurred_at"] for row in rows)
    return first


def _delivery(webhook_id: UUID, row: Row) -> dict[str, Any]:
    frame = row["frame"]
    place = {"stream_id": row["workspace_id"], "seq": row["seq"]}
    event = {"event_id": UUID(frame["event_id"]), "event_type": frame["type"]}
    return {"id": uuid7(), "webhook_id": webhook_id, **place, **event}


def _refuse_disabled(webhook: Row) -> None:
    if not webhook["enabled"]:
        raise WebhookDisabled


def position_of(signer: CursorSigner, position: Mapping[UUID, int] | None) -> str | None:
    """Return a position as a cursor."""
    return None if position is None else signer.position(position)


def wanted_patterns(text: str | None) -> Collection[str]:
    """Return the patterns of events that a list is asked for by; `*` is for all."""
    patterns = [one.strip() for one in (text or "").split(",")]
    return [one for one in patterns if one and one != "*"]
