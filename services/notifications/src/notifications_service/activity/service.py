"""Telling people of what happens: what events say is taken in, and whom each concerns is notified, in one go."""

from collections.abc import Mapping, Sequence
from typing import Any, cast
from uuid import UUID

from chassis.clock import utcnow
from sqlalchemy import RowMapping
from sqlalchemy.ext.asyncio import AsyncSession

from notifications_service.activity import repository
from notifications_service.activity.rules import OF_USERS, OLDEST, told_of
from notifications_service.cards.rules import Cards, Event
from notifications_service.cards.service import load_cards, save_cards
from notifications_service.inbox.rules import comment_of, details_of
from notifications_service.inbox.schemas import NewNotification
from notifications_service.inbox.service import forget_tasks, notify


async def follow(session: AsyncSession, _stream_id: UUID, rows: Sequence[RowMapping]) -> None:
    """Take in the next events of a stream; a follower's work."""
    await follow_together(session, rows)


async def follow_together(session: AsyncSession, rows: Sequence[RowMapping]) -> None:
    """Take in the next events of streams, however many they are, in as many statements as for one.

    People are told in one go, so that whom two of us tell is locked in one order.
    """
    wanted = [_of_user(row) for row in rows if _is_of_user(row)]
    events = [Event.of(cast("Mapping[str, Any]", row)) for row in rows if row["frame"].get("workspace_id") is not None]
    if not events:
        await notify(session, wanted=wanted)
        return
    cards = await load_cards(session, events=events)
    oldest = utcnow() - OLDEST
    for event in events:
        cards.apply(event)
        if not event.quiet and event.occurred_at > oldest:
            wanted += _wanted(event, cards)
    await save_cards(session, cards=cards)
    await notify(session, wanted=[one for one in wanted if one.task_id not in cards.purged])
    await forget_tasks(session, task_ids=cards.purged)


async def find_concerned(session: AsyncSession, parts: Mapping[UUID, tuple[int, int]]) -> set[UUID]:
    """Return in which streams there is something that people may be told of."""
    return await repository.streams_with(session, parts, types={f"{one}.v1" for one in OF_USERS})


def _is_of_user(row: RowMapping) -> bool:
    """Tell whether something is in the stream of a user that is to be in their inbox."""
    frame = row["frame"]
    is_personal = frame.get("workspace_id") is None and frame.get("type") in OF_USERS
    return is_personal and row["occurred_at"] > utcnow() - OLDEST


def _of_user(row: RowMapping) -> NewNotification:
    frame = row["frame"]
    project_id = frame["project_id"]
    return NewNotification(
        user_id=row["workspace_id"],
        kind=OF_USERS[frame["type"]],
        event_id=UUID(frame["event_id"]),
        event_type=frame["type"],
        workspace_id=row["about_workspace_id"],
        project_id=None if project_id is None else UUID(project_id),
        details=details_of(frame["type"], frame["data"] or {}, frame["changes"]),
    )


def _wanted(event: Event, cards: Cards) -> list[NewNotification]:
    told = told_of(event, cards)
    if not told:
        return []
    task = None if event.task_id is None else cards.tasks.get(event.task_id)
    project_id = event.project_id if task is None else task.project_id
    about = _about(event, project_id, None if task is None else task.data)
    return [NewNotification(user_id=user_id, kind=kind, **about) for user_id, kind in sorted(told.items())]


def _about(event: Event, project_id: UUID | None, task: Mapping[str, Any] | None) -> dict[str, Any]:
    return {
        "event_id": event.id,
        "event_type": event.type,
        "workspace_id": event.workspace_id,
        "project_id": project_id,
        "task_id": event.task_id,
        "comment_id": comment_of(event.type, event.subject, event.data),
        "actor": event.actor,
        "details": details_of(event.type, event.data, event.changes),
        "task": task,
        "urgent": bool(event.data.get("is_urgent", False)),
    }
