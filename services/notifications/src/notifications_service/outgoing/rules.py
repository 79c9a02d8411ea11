"""Whether what was planned is still to be sent, and how it is said. Without any I/O."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any, cast
from uuid import UUID

from sqlalchemy import RowMapping

from notifications_service.cards.rules import one_line
from notifications_service.deliveries.drivers import Notice, Person
from notifications_service.inbox.schemas import shown
from notifications_service.people.rules import Known
from notifications_service.preferences.rules import Place, Wishes, due_time, mode_of

EMAIL, PUSH = "email", "push"
READ, NOT_VISIBLE, INACTIVE, NO_ADDRESS = "read", "not_visible", "inactive", "no_address"
TURNED_OFF = "turned_off"
TARGET_GONE = "target_gone"
MENTION = re.compile(r"@\[user:([0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12})\]")
CUT_MENTION = re.compile(r"@\[user:[0-9a-fA-F-]*…$")
SOMEBODY = "somebody"

Names = Mapping[tuple[UUID, UUID], str]
"""What users are called in workspaces, by workspace and user."""


def refusal(delivery: Mapping[Any, Any], person: Known | None, address: str | None) -> str | None:
    """Return why somebody is told nothing on a channel, whatever it would be; None when they are.

    Of who is not known yet an address may come in a moment: their mail is tried again.
    """
    if person is None:
        return None
    if not person.can_be_told:
        return INACTIVE
    return NO_ADDRESS if delivery["channel"] == EMAIL and address is None else None


def target_refusal(delivery: Mapping[Any, Any], target: Mapping[Any, Any] | None) -> str | None:
    """Return why nothing is sent to a target: it is gone, turned off, or somebody else's by now; None of mail, too."""
    if delivery["target_id"] is None:
        return None
    if target is None:
        return TARGET_GONE
    owner = target["user_id"] if delivery["channel"] == PUSH else target["owner_id"]
    is_on = delivery["channel"] == PUSH or target["enabled"]
    return None if is_on and owner == delivery["user_id"] else TARGET_GONE


def is_told_elsewhere(delivery: Mapping[Any, Any], notification: Mapping[Any, Any]) -> bool:
    """Tell whether somebody has seen a notification already: then only mail that was due at once still comes."""
    is_done = notification["read_at"] is not None or notification["archived_at"] is not None
    return is_done and not (delivery["channel"] == EMAIL and delivery["is_instant"])


def is_turned_off(delivery: Mapping[Any, Any], notification: Mapping[Any, Any] | None, wishes: Wishes) -> bool:
    """Tell whether somebody wants nothing of the kind any more, whatever they wanted when it was planned."""
    if notification is None:
        return delivery["digest_id"] is not None and not wishes.wants_digests
    place = Place(notification["workspace_id"], notification["project_id"])
    return mode_of(wishes.lines, kind=notification["kind"], channel=delivery["channel"], place=place) == "off"


def quiet_until(delivery: Mapping[Any, Any], wishes: Wishes, *, now: datetime) -> datetime | None:
    """Return the end of the quiet hours that a notification runs into, late or tried again; None where it may go.

    What was let through when it came, as what is urgent may be, goes on.
    """
    quiet, came = wishes.quiet_hours, delivery["created_at"]
    if delivery["notification_id"] is None or (delivery["is_instant"] and due_time(quiet, now=came) > came):
        return None
    due = due_time(quiet, now=now)
    return due if due > now else None


def notice_of(row: Mapping[Any, Any], *, tasks_url: str) -> Notice:
    """Return a notification as channels tell it, from its row with the names that go with it."""
    known = shown(cast("RowMapping", row))
    task = known["task"]
    return Notice(
        id=row["id"],
        kind=row["kind"],
        text=known["text"],
        created_at=row["created_at"],
        workspace_id=row["workspace_id"],
        project_id=row["project_id"],
        task_id=row["task_id"],
        key=None if task is None else task.key,
        title=None if task is None else task.title,
        excerpt=row["excerpt"],
        actor=row["actor_name"],
        link=None if row["task_id"] is None else f"{tasks_url}/{row['task_id']}",
    )


def mentioned_in(notices: Iterable[Notice]) -> set[tuple[UUID, UUID]]:
    """Return whom texts mention, with the workspace in which they do."""
    told = [(one.workspace_id, one.excerpt) for one in notices if one.workspace_id is not None and one.excerpt]
    return {(place, UUID(user_id)) for place, text in told for user_id in MENTION.findall(text)}


def readable(notice: Notice, names: Names) -> Notice:
    """Return a notice as people read it outside of apps: each text one line, and mentions by names."""
    title, excerpt = notice.title, notice.excerpt
    return replace(
        notice,
        text=one_line(notice.text),
        title=None if title is None else one_line(title),
        excerpt=None if excerpt is None else one_line(_with_names(excerpt, notice.workspace_id, names)),
    )


def _with_names(text: str, workspace_id: UUID | None, names: Names) -> str:
    def name_of(found: re.Match[str]) -> str:
        known = None if workspace_id is None else names.get((workspace_id, UUID(found[1])))
        return f"@{known or SOMEBODY}"

    return CUT_MENTION.sub("…", MENTION.sub(name_of, text))


def person_of(user_id: UUID, person: Known | None, address: str | None) -> Person:
    """Return whom a message is for."""
    if person is None:
        return Person(user_id, "", address)
    return Person(user_id, person.name or "", address, person.locale, person.zone.key)
