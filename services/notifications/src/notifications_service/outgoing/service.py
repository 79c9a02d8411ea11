"""From planned deliveries to messages: what they tell by now, to whom, or why they are not sent any more."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any
from uuid import UUID

from chassis.clock import utcnow
from sqlalchemy import RowMapping
from sqlalchemy.ext.asyncio import AsyncSession

from notifications_service.chat.repository import find_all_unscoped as find_connections
from notifications_service.chat_posts.service import tell_events
from notifications_service.deliveries.drivers import Notice, Outgoing
from notifications_service.deliveries.repository import previous_of
from notifications_service.deliveries.service import Prepared
from notifications_service.devices.repository import find_all_unscoped as find_devices
from notifications_service.digests import service as digests
from notifications_service.emails.service import addresses_of
from notifications_service.inbox import service as inbox
from notifications_service.outgoing.rules import (
    NOT_VISIBLE,
    READ,
    TURNED_OFF,
    is_told_elsewhere,
    is_turned_off,
    mentioned_in,
    notice_of,
    person_of,
    quiet_until,
    readable,
    refusal,
    target_refusal,
)
from notifications_service.people.rules import Known
from notifications_service.people.service import find_people
from notifications_service.preferences.rules import Wishes
from notifications_service.preferences.service import wishes


@dataclass(frozen=True, slots=True)
class Facts:
    """What is known of the deliveries of one claim."""

    people: Mapping[UUID, Known]
    addresses: Mapping[UUID, str]
    wishes: Mapping[UUID, Wishes]
    notifications: Mapping[UUID, Mapping[Any, Any]]
    digests: Mapping[UUID, digests.Told]
    targets: Mapping[UUID, Mapping[Any, Any]]
    """Devices and connections to chats that anything is sent to."""
    posts: Mapping[UUID, Notice]
    """What events say, by delivery."""
    previous: Mapping[UUID, str]


@dataclass(frozen=True, slots=True)
class Preparation:
    """Finds out what deliveries of notifications, digests and events tell; links to tasks begin with `tasks_url`."""

    tasks_url: str

    async def prepare(self, session: AsyncSession, rows: Sequence[RowMapping]) -> Prepared:
        """Return what is to be sent by delivery, when it may be, or why nothing is: as its user sees it now."""
        known, now = await _look_up(session, rows, self.tasks_url), utcnow()
        return await _readable(session, {row["id"]: self._one(row, known, now) for row in rows})

    def _one(self, row: RowMapping, known: Facts, now: datetime) -> Outgoing | datetime | str:
        person, address = known.people.get(row["user_id"]), known.addresses.get(row["user_id"])
        refused = refusal(row, person, address) or target_refusal(row, known.targets.get(row["target_id"]))
        if refused is not None:
            return refused
        told, wishes = known.notifications.get(row["notification_id"]), known.wishes.get(row["user_id"], Wishes())
        if is_turned_off(row, told, wishes):
            return TURNED_OFF
        if (later := quiet_until(row, wishes, now=now)) is not None:
            return later
        if row["digest_id"] is not None:
            return self._digest(row, known)
        if row["event_id"] is not None:
            post = known.posts.get(row["id"])
            return NOT_VISIBLE if post is None else _message(row, known, [post])
        return self._notification(row, known)

    def _notification(self, row: RowMapping, known: Facts) -> Outgoing | str:
        found = known.notifications.get(row["notification_id"])
        if found is None:
            return NOT_VISIBLE
        if is_told_elsewhere(row, found):
            return READ
        return _message(row, known, [notice_of(found, tasks_url=self.tasks_url)])

    def _digest(self, row: RowMapping, known: Facts) -> Outgoing | str:
        told = known.digests.get(row["digest_id"])
        if told is None:
            return READ
        return _message(row, known, [notice_of(one, tasks_url=self.tasks_url) for one in told.rows], rest=told.rest)


async def _readable(session: AsyncSession, found: Prepared) -> Prepared:
    """Return messages with all that they tell as people read it."""
    messages = [one for one in found.values() if isinstance(one, Outgoing)]
    asked = mentioned_in(notice for one in messages for notice in one.notices)
    names = await inbox.find_names(session, asked=asked)
    return {
        key: replace(one, notices=[readable(each, names) for each in one.notices]) if isinstance(one, Outgoing) else one
        for key, one in found.items()
    }


async def _look_up(session: AsyncSession, rows: Sequence[RowMapping], tasks_url: str) -> Facts:
    users = {row["user_id"] for row in rows}
    notifications = [row["notification_id"] for row in rows if row["notification_id"] is not None]
    told: Mapping[UUID, Mapping[Any, Any]] = {}
    if notifications:
        told = await inbox.read_to_send(session, notification_ids=notifications)
    of_digests = [row["digest_id"] for row in rows if row["digest_id"] is not None]
    of_events = [row for row in rows if row["event_id"] is not None]
    targets = await _targets(session, rows)
    return Facts(
        people=await find_people(session, user_ids=users),
        addresses=await addresses_of(session, user_ids=users),
        wishes=await wishes(session, user_ids=users),
        notifications=told,
        digests=await digests.read_to_send(session, digest_ids=of_digests) if of_digests else {},
        targets=targets,
        posts=await tell_events(session, of_events, targets, tasks_url=tasks_url) if of_events else {},
        previous=await previous_of(session, [row["id"] for row in rows if row["collapse_key"] is not None]),
    )


async def _targets(session: AsyncSession, rows: Sequence[RowMapping]) -> Mapping[UUID, Mapping[Any, Any]]:
    pushed = [row["target_id"] for row in rows if row["channel"] == "push"]
    chatted = [row["target_id"] for row in rows if row["channel"] == "chat"]
    found: dict[UUID, Mapping[Any, Any]] = {}
    if pushed:
        found |= await find_devices(session, pushed)
    if chatted:
        found |= await find_connections(session, chatted)
    return found


def _message(row: RowMapping, known: Facts, notices: Sequence[Notice], *, rest: int = 0) -> Outgoing:
    user_id = row["user_id"]
    return Outgoing(
        delivery_id=row["id"],
        channel=row["channel"],
        attempts=row["attempts"],
        notification_id=row["notification_id"],
        digest_id=row["digest_id"],
        notices=notices,
        person=person_of(user_id, known.people.get(user_id), known.addresses.get(user_id)),
        target=known.targets.get(row["target_id"], {}),
        collapse_key=row["collapse_key"],
        previous=known.previous.get(row["id"]),
        rest=rest,
    )
