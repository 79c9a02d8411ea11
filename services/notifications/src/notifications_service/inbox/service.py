"""Use cases of the inbox. Each is part of one transaction that its caller commits.

Whoever writes notifications of somebody holds the head of their stream first, so all that happens to one inbox happens
one after the other: no two wait for each other, and nothing comes in unseen while all is marked.
"""

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal
from uuid import UUID

from chassis.clock import utcnow
from chassis.cursors import CursorSigner
from chassis.identity import Principal
from chassis.ids import uuid7
from chassis.paging import Page, Paging, Walk
from sqlalchemy import RowMapping
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncSession

from notifications_service.cards import repository as cards
from notifications_service.deliveries.schemas import PlannedDelivery
from notifications_service.deliveries.service import plan
from notifications_service.inbox import repository
from notifications_service.inbox.errors import NotificationNotFound
from notifications_service.inbox.events import (
    NOTIFICATION_ALL_ARCHIVED,
    NOTIFICATION_ALL_READ,
    NOTIFICATION_CREATED,
    NOTIFICATION_UPDATED,
    all_told,
    notification_told,
)
from notifications_service.inbox.filters import InboxFilter
from notifications_service.inbox.schemas import AllMarked, MarkAll, NewNotification
from notifications_service.kinds import Channel
from notifications_service.live.service import lock_streams, tell_user, tell_users
from notifications_service.people.service import find_people, who_can_be_told
from notifications_service.preferences.rules import Decision, Place, Question
from notifications_service.preferences.service import decide

Mark = Literal["read_at", "archived_at"]
VERSION = ".v1"
SENT_BY: tuple[Literal["email", "chat", "push"], ...] = ("email", "chat", "push")
EVENT_OF: Mapping[Mark, str] = {"read_at": NOTIFICATION_ALL_READ, "archived_at": NOTIFICATION_ALL_ARCHIVED}


@dataclass(frozen=True, slots=True)
class Told:
    """A new notification, and how its user is told of it."""

    row: dict[str, Any]
    decisions: Mapping[Channel, Decision]


async def notify(session: AsyncSession, *, wanted: Sequence[NewNotification]) -> int:
    """Tell people of events: in the inbox, on their open connections, and on the channels that they want.

    Nobody is told twice of one event, and nobody who does not read what they are told. Return how many were told.
    """
    if not wanted:
        return 0
    heads = dict(await lock_streams(session, user_ids={one.user_id for one in wanted}))
    new = await _new_among(session, wanted)
    told = await _decided(session, new, heads, utcnow())
    if not told:
        return 0
    await repository.add(session, [one.row for one in told])
    await _tell(session, new, told)
    await plan(session, rows=[one for each in told for one in _deliveries(each)])
    return len(told)


async def _new_among(session: AsyncSession, wanted: Sequence[NewNotification]) -> list[NewNotification]:
    """Leave out whom nothing is told, what they were told already, and what they do not see any more."""
    able = await who_can_be_told(session, user_ids={one.user_id for one in wanted})
    known = await repository.known_among(session, [(one.user_id, one.event_id) for one in wanted])
    seen = await repository.seen_among(session, {_place_of(one) for one in wanted})
    return [
        one
        for one in wanted
        if one.user_id in able and (one.user_id, one.event_id) not in known and _place_of(one) in seen
    ]


def _place_of(one: NewNotification) -> repository.Key:
    return one.user_id, one.workspace_id, one.project_id, one.task_id


async def _decided(
    session: AsyncSession, new: Sequence[NewNotification], heads: dict[UUID, int], now: datetime
) -> list[Told]:
    """Return what is told, in order, with the numbers that follow what each user was told before."""
    decided = await decide(session, questions={_question_of(one) for one in new}, now=now) if new else {}
    told = []
    for one in new:
        mine = decided[_question_of(one)]
        if mine["inbox"].mode != "off":
            heads[one.user_id] += 1
            told.append(Told(_row(one, heads[one.user_id], mine, now), mine))
    return told


def _question_of(one: NewNotification) -> Question:
    return Question(one.user_id, one.kind, Place(one.workspace_id, one.project_id), one.urgent)


def _row(one: NewNotification, seq: int, decisions: Mapping[Channel, Decision], now: datetime) -> dict[str, Any]:
    return {
        "id": uuid7(),
        "user_id": one.user_id,
        "seq": seq,
        "kind": one.kind,
        "event_id": one.event_id,
        "event_type": one.event_type.removesuffix(VERSION),
        "workspace_id": one.workspace_id,
        "project_id": one.project_id,
        "task_id": one.task_id,
        "comment_id": one.comment_id,
        "actor": None if one.actor is None else dict(one.actor),
        "details": dict(one.details or {}),
        "in_digest": decisions["email"].mode == "digest",
        "read_at": None,
        "archived_at": None,
        "created_at": now,
    }


async def _tell(session: AsyncSession, new: Sequence[NewNotification], told: Sequence[Told]) -> None:
    """Put the frames into the streams of their users, in the order of their numbers."""
    tasks = {one.event_id: one.task or {} for one in new}
    actors = {UUID(one.row["actor"]["id"]) for one in told if one.row["actor"] is not None}
    people = await find_people(session, user_ids=actors) if actors else {}
    places = {one.row[name] for one in told for name in ("workspace_id", "project_id")} - {None}
    names = {row["place_id"]: row["name"] for row in await cards.find_places(session, places)} if places else {}
    drafts = defaultdict(list)
    for one in told:
        row, task = one.row, tasks[one.row["event_id"]]
        actor = None if row["actor"] is None else people.get(UUID(row["actor"]["id"]))
        named = {
            "task_key": task.get("key"),
            "task_title": task.get("title"),
            "actor_name": None if actor is None else actor.name,
            "workspace_name": names.get(row["workspace_id"]),
            "project_name": names.get(row["project_id"]),
        }
        drafts[row["user_id"]].append(notification_told(NOTIFICATION_CREATED, {**row, **named}))
    await tell_users(session, drafts=drafts)


def _deliveries(one: Told) -> list[PlannedDelivery]:
    row = one.row
    key = None if row["task_id"] is None else str(row["task_id"])
    return [
        PlannedDelivery(
            user_id=row["user_id"],
            channel=channel,
            notification_id=row["id"],
            kind=row["kind"],
            collapse_key=key,
            due_at=one.decisions[channel].due_at,
        )
        for channel in SENT_BY
        if one.decisions[channel].mode == "instant"
    ]


async def find_names(session: AsyncSession, *, asked: Collection[tuple[UUID, UUID]]) -> Mapping[tuple[UUID, UUID], str]:
    """Return what users are called in workspaces, by both, as far as they are or were in them."""
    return await repository.names_among(session, asked) if asked else {}


async def list_notifications(
    reader: AsyncConnection, *, caller: Principal, wanted: InboxFilter, paging: Paging, signer: CursorSigner
) -> Page[RowMapping]:
    """Return a part of the inbox, the latest first. Raises InvalidCursor or CursorMismatch."""
    walk = Walk(paging, signer, query=wanted.fingerprint(caller, "each"), read=int)
    rows = await repository.list_seen(
        reader, caller=caller, wanted=wanted, limit=walk.limit, before=walk.onwards_from, after=walk.back_from
    )
    return walk.page(rows, key="seq")


async def list_groups(
    reader: AsyncConnection, *, caller: Principal, wanted: InboxFilter, paging: Paging, signer: CursorSigner
) -> Page[dict[str, Any]]:
    """Return a part of the inbox by task, `rows` being the latest of each. Raises InvalidCursor or CursorMismatch."""
    walk = Walk(paging, signer, query=wanted.fingerprint(caller, "by task"), read=int)
    rows = await repository.list_groups(
        reader, caller=caller, wanted=wanted, limit=walk.limit, before=walk.onwards_from, after=walk.back_from
    )
    groups: dict[int, list[RowMapping]] = {}
    for row in rows:
        groups.setdefault(row["last"], []).append(row)
    return walk.page([{"last": last, "rows": of_task} for last, of_task in groups.items()], key="last")


async def mark_one(
    session: AsyncSession, *, caller: Principal, notification_id: UUID, marks: Mapping[Mark, bool]
) -> RowMapping:
    """Mark a notification as read or archived, or as not; marked already it stays. Raises NotificationNotFound."""
    await lock_streams(session, user_ids=[caller.user_id])
    row = await find(session, caller=caller, notification_id=notification_id)
    now = utcnow()
    values = {name: now if is_set else None for name, is_set in marks.items()}
    if not values or not await repository.mark(session, notification_id, values):
        return row
    row = await find(session, caller=caller, notification_id=notification_id)
    await tell_user(session, user_id=caller.user_id, drafts=[notification_told(NOTIFICATION_UPDATED, row)])
    return row


async def find(reader: AsyncConnection | AsyncSession, *, caller: Principal, notification_id: UUID) -> RowMapping:
    """Return a notification. Raises NotificationNotFound for one that the caller does not see now."""
    row = await repository.find_seen(reader, caller=caller, notification_id=notification_id)
    if row is None:
        raise NotificationNotFound
    return row


async def mark_all(session: AsyncSession, *, caller: Principal, wanted: MarkAll, mark: Mark) -> tuple[int, int]:
    """Mark all that is in the inbox as read, or archive it; return how many were marked, and how many are unread.

    What comes in meanwhile comes after it, and stays as it is.
    """
    last = (await lock_streams(session, user_ids=[caller.user_id]))[caller.user_id]
    up_to = last if wanted.up_to is None else min(wanted.up_to, last)
    now = utcnow()
    state: Literal["unread", "all"] = "unread" if mark == "read_at" else "all"
    which = InboxFilter(state=state, workspace_id=wanted.workspace_id, task_id=wanted.task_id)
    changed = await repository.mark_all(session, caller=caller, wanted=which, up_to=up_to, values={mark: now})
    if changed:
        marked = AllMarked(
            id=uuid7(),
            user_id=caller.user_id,
            up_to=up_to,
            workspace_id=wanted.workspace_id or caller.workspace_id,
            project_ids=None if caller.project_ids is None else sorted(caller.project_ids),
            task_id=wanted.task_id,
            changed=changed,
            at=now,
        )
        await tell_user(session, user_id=caller.user_id, drafts=[all_told(EVENT_OF[mark], marked)])
    return changed, await repository.count_unread(session, caller=caller)


async def read_to_send(session: AsyncSession, *, notification_ids: Collection[UUID]) -> dict[UUID, RowMapping]:
    """Return those of some notifications that their users may see now, with the names that go with them."""
    found = await repository.find_to_send(session, notification_ids)
    return {row["id"]: row for row in found}


async def forget_tasks(session: AsyncSession, *, task_ids: Collection[UUID]) -> None:
    """Delete what was told of tasks that are gone for good."""
    if task_ids:
        await repository.remove_of_tasks(session, task_ids)


async def forget_notifications(session: AsyncSession, *, user_id: UUID) -> None:
    """Delete all that somebody was told who is gone; whoever tells them something meanwhile comes before or not."""
    await lock_streams(session, user_ids=[user_id])
    await repository.remove_of_user(session, user_id)
