"""Use cases of deliveries. Each is part of one transaction that its caller commits."""

import random
from collections import defaultdict
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import structlog
from chassis.clock import utcnow
from chassis.db.failures import is_outage
from chassis.ids import uuid7
from sqlalchemy import RowMapping
from sqlalchemy.ext.asyncio import AsyncSession

from notifications_service.chat import repository as chats
from notifications_service.chat.rules import CHANGEABLE, SPACING_SECONDS
from notifications_service.deliveries import repository
from notifications_service.deliveries.drivers import Outgoing, Postpone, Undelivered
from notifications_service.deliveries.rules import (
    CHANNELS,
    FAILED,
    LONGEST_PAUSE,
    NEW,
    SENT,
    SKIPPED,
    WITH_TARGETS,
    delay_after,
)
from notifications_service.deliveries.schemas import PlannedDelivery
from notifications_service.devices import repository as devices

log = structlog.get_logger()

CHANNEL = repository.CHANNEL

Prepared = Mapping[UUID, Outgoing | datetime | Postpone | str]
"""By delivery: what is to be sent, or when it may be, or how it failed, or why nothing is to be."""
Reached = tuple[str, UUID]
"""A channel and a user."""
Prepare = Callable[[AsyncSession, Sequence[RowMapping]], Awaitable[Prepared]]
"""Finds out what claimed deliveries tell, and whether they are still to be told."""


@dataclass(frozen=True, slots=True)
class Target:
    """Where a user is reached on a channel; with `kinds`, only of these."""

    id: UUID
    spacing_seconds: int = 0
    kinds: Sequence[str] | None = None


async def plan(session: AsyncSession, *, rows: Sequence[PlannedDelivery]) -> int:
    """Note down messages to send, with what they are about; the same ones again change nothing. Return how many.

    What names no target goes to all that its user has on the channel at this moment, and to nobody where that is none.
    """
    now = utcnow()
    open_ended = [one for one in rows if one.channel in WITH_TARGETS and one.target_id is None]
    targets = await _targets_of(session, open_ended) if open_ended else {}
    aimed = [one for row in rows for one in _aimed(row, targets)]
    return await repository.add(session, [_new(one, now) for one in aimed])


async def _targets_of(session: AsyncSession, rows: Sequence[PlannedDelivery]) -> Mapping[Reached, Sequence[Target]]:
    """Return what users have on channels."""
    found: defaultdict[Reached, list[Target]] = defaultdict(list)
    if users := {one.user_id for one in rows if one.channel == "push"}:
        for row in await devices.targets_of(session, sorted(users)):
            found["push", row["user_id"]].append(Target(row["id"]))
    if users := {one.user_id for one in rows if one.channel == "chat"}:
        for row in await chats.own_of(session, sorted(users)):
            spacing = 0 if row["kind"] in CHANGEABLE else SPACING_SECONDS
            found["chat", row["owner_id"]].append(Target(row["id"], spacing, row["kinds"]))
    return found


def _aimed(one: PlannedDelivery, targets: Mapping[Reached, Sequence[Target]]) -> list[PlannedDelivery]:
    if one.channel not in WITH_TARGETS or one.target_id is not None:
        return [one]
    return [
        replace(one, target_id=target.id, spacing_seconds=target.spacing_seconds)
        for target in targets.get((one.channel, one.user_id), ())
        if target.kinds is None or one.kind is None or one.kind in target.kinds
    ]


def _new(one: PlannedDelivery, now: datetime) -> dict[str, Any]:
    due_at = one.due_at or now
    return {
        "id": uuid7(),
        "notification_id": one.notification_id,
        "digest_id": one.digest_id,
        "event_id": one.event_id,
        "stream_id": one.stream_id,
        "seq": one.seq,
        "user_id": one.user_id,
        "channel": one.channel,
        "target_id": one.target_id,
        "collapse_key": one.collapse_key,
        "spacing_seconds": one.spacing_seconds,
        "is_instant": due_at <= now,
        "state": NEW,
        "due_at": due_at,
        "attempts": 0,
        "claim": 0,
        "created_at": now,
    }


@dataclass(frozen=True, slots=True)
class Claimed:
    """Messages to send; and whether there may be more, which is so whatever became of those that were looked at."""

    messages: Sequence[tuple[RowMapping, Outgoing]]
    has_more: bool


async def claim_deliveries(session: AsyncSession, *, channel: str, limit: int, prepare: Prepare) -> Claimed:
    """Take messages to send; they are the caller's for 60 seconds.

    What is not to be sent any more is given up, and what is not to be sent yet waits.
    """
    if not await repository.hold_channel(session, channel):
        return Claimed([], has_more=False)
    await repository.expire(session, channel)
    await repository.space(session, channel)
    chosen = await repository.choose(session, channel, limit=limit)
    if not chosen:
        return Claimed([], has_more=False)
    await repository.replace(session, chosen)
    claimed = await repository.take(session, chosen)
    prepared = await _prepared(session, claimed, prepare) if claimed else {}
    messages = []
    for row in claimed:
        match prepared.get(row["id"], "gone"):
            case Outgoing() as message:
                messages.append((row, message))
            case datetime() as due_at:
                await _put_off(session, row, due_at)
            case Postpone() as error:
                await note_undelivered(session, row=row, error=error, chance=random.random())
            case reason:
                await _close(session, row, state=SKIPPED, reason=reason)
    return Claimed(messages, has_more=True)


async def _prepared(session: AsyncSession, rows: Sequence[RowMapping], prepare: Prepare) -> Prepared:
    """Prepare messages together, or, where that fails, each by itself: one that breaks our own code fails alone."""
    try:
        async with session.begin_nested():
            return await prepare(session, rows)
    except Exception as error:
        if is_outage(error):
            raise
        if len(rows) == 1:
            log.exception("delivery.broken", delivery_id=str(rows[0]["id"]), channel=rows[0]["channel"])
            return {rows[0]["id"]: Postpone("broken")}
    found: dict[UUID, Outgoing | datetime | Postpone | str] = {}
    for row in rows:
        found |= await _prepared(session, [row], prepare)
    return found


async def expire_deliveries(session: AsyncSession) -> bool:
    """Give up what nobody has sent for too long, as on a channel that has no way out; return whether there may be more.

    Senders do the same before they send.
    """
    more = [await repository.expire(session, channel) for channel in CHANNELS]
    return any(more)


async def note_sent(session: AsyncSession, *, row: RowMapping, provider_id: str | None) -> bool:
    """Note that a message was taken; False when the claim was lost meanwhile."""
    return await _close(session, row, state=SENT, reason=None, provider_id=provider_id)


async def note_undelivered(session: AsyncSession, *, row: RowMapping, error: Undelivered, chance: float) -> bool:
    """Note that a message was not taken, and when it is tried again; False when the claim was lost meanwhile."""
    delay = delay_after(row["channel"], row["attempts"], chance=chance) if isinstance(error, Postpone) else None
    if delay is None:
        return await _close(session, row, state=FAILED, reason=error.reason)
    pause = min(error.after, LONGEST_PAUSE) if isinstance(error, Postpone) and error.after else timedelta(0)
    now = utcnow()
    paused_until = now + pause if pause else None
    values = {"due_at": now + max(delay, pause), "paused_until": paused_until, "reason": error.reason}
    kept = await repository.settle(session, delivery_id=row["id"], claim=row["claim"], values=values)
    if kept and paused_until is not None and row["target_id"] is not None:
        await repository.pause_target(session, target_id=row["target_id"], until=paused_until)
    return kept


async def give_up_target(session: AsyncSession, *, target_id: UUID) -> None:
    """Send nothing more to a target."""
    await repository.skip_target(session, target_id=target_id)


async def _put_off(session: AsyncSession, row: RowMapping, due_at: datetime) -> None:
    """Let a message wait that was not tried."""
    values = {"due_at": due_at, "attempts": row["attempts"] - 1}
    await repository.settle(session, delivery_id=row["id"], claim=row["claim"], values=values)


async def _close(session: AsyncSession, row: RowMapping, **values: Any) -> bool:
    outcome = {**values, "settled_at": utcnow()}
    return await repository.settle(session, delivery_id=row["id"], claim=row["claim"], values=outcome)
