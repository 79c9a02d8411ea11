"""Telling the chats of workspaces and projects of their events: who is told of what, and how it is said by then."""

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import UUID

from chassis.clock import utcnow
from sqlalchemy import RowMapping
from sqlalchemy.ext.asyncio import AsyncSession

from notifications_service.cards.repository import find_tasks
from notifications_service.cards.rules import excerpt_of
from notifications_service.chat import repository
from notifications_service.chat.rules import CHANGEABLE, SPACING_SECONDS, is_told, sentence_of, wants_event
from notifications_service.deliveries.drivers import Notice
from notifications_service.deliveries.schemas import PlannedDelivery
from notifications_service.deliveries.service import plan
from notifications_service.following.rules import came_after
from notifications_service.people.service import find_people
from notifications_service.realtime.protocol import stored_frame
from notifications_service.sight.service import Sight, forgotten, sight_of, silenced

OLDEST = timedelta(days=7)
"""Events that are followed later than so are told nobody."""
EventKey = tuple[UUID, int]


async def plan_posts(session: AsyncSession, stream_id: UUID, rows: Sequence[RowMapping]) -> None:
    """Plan a message for each event and each connection that it is for: one, however many people see it.

    A workspace's connection is told what its owner sees but for private projects, since others read the chat; these
    have connections of their own. What an import brings is told nowhere.
    """
    connections = await repository.of_workspace(session, stream_id)
    young = [row for row in rows if not row["quiet"] and row["occurred_at"] > utcnow() - OLDEST]
    if not connections or not young:
        return
    private = await _private_among(session, young)
    told = [row for row in young if is_told(row["frame"])]
    pairs = [(row, one) for row in told for one in connections if _is_awaited(row, one)]
    await plan(session, rows=[_planned(row, one) for row, one in pairs if _is_for(row, one, private)])


async def find_concerned(session: AsyncSession, parts: Mapping[UUID, tuple[int, int]]) -> set[UUID]:
    """Return the streams of workspaces whose events are posted anywhere."""
    return await repository.posted_among(session, parts)


def _is_awaited(row: Mapping[Any, Any], connection: Mapping[Any, Any]) -> bool:
    return came_after(row, seq=connection["begins_after"] or 0, made_at=connection["created_at"])


def _is_for(row: Mapping[Any, Any], connection: Mapping[Any, Any], private: Collection[UUID]) -> bool:
    frame = row["frame"]
    if not wants_event(connection["events"] or (), frame["type"]) or connection["owner_id"] not in row["audience"]:
        return False
    project = _uuid(frame["project_id"])
    if connection["scope"] == "project":
        return bool(project == connection["project_id"])
    return project not in private


def _planned(row: Mapping[Any, Any], connection: Mapping[Any, Any]) -> PlannedDelivery:
    frame = row["frame"]
    return PlannedDelivery(
        user_id=connection["owner_id"],
        channel="chat",
        event_id=UUID(frame["event_id"]),
        stream_id=row["workspace_id"],
        seq=row["seq"],
        target_id=connection["id"],
        collapse_key=frame["task_id"],
        spacing_seconds=0 if connection["kind"] in CHANGEABLE else SPACING_SECONDS,
    )


@dataclass(frozen=True, slots=True)
class _Facts:
    events: Mapping[EventKey, Mapping[Any, Any]]
    private: Collection[UUID]
    sights: Mapping[UUID, Sight]
    names: Mapping[UUID, str]
    tasks: Mapping[UUID, Mapping[str, Any]]


async def tell_events(
    session: AsyncSession,
    deliveries: Sequence[Mapping[Any, Any]],
    connections: Mapping[UUID, Mapping[Any, Any]],
    *,
    tasks_url: str,
) -> dict[UUID, Notice]:
    """Return what events say by now, by delivery; what is gone, or not to be seen any more, is left out."""
    known = await _look_up(session, deliveries)
    found = {}
    for one in deliveries:
        row, connection = known.events.get((one["stream_id"], one["seq"])), connections.get(one["target_id"])
        if row is None or connection is None or not _is_for(row, connection, known.private):
            continue
        sight, user_id = known.sights[one["stream_id"]], one["user_id"]
        # What is of no project is seen by who is in the workspace.
        if sight.shows(stored_frame(row), user_id) and not sight.is_out(user_id, one["stream_id"]):
            found[one["id"]] = _notice(row, known, tasks_url)
    return found


async def _look_up(session: AsyncSession, deliveries: Sequence[Mapping[Any, Any]]) -> _Facts:
    reader = await session.connection()
    users = {row["user_id"] for row in deliveries}
    by_stream: defaultdict[UUID, list[RowMapping]] = defaultdict(list)
    for row in await repository.find_events(session, [(row["stream_id"], row["seq"]) for row in deliveries]):
        by_stream[row["workspace_id"]].append(row)
    events: dict[EventKey, Mapping[Any, Any]] = {}
    sights = {}
    for stream_id, rows in by_stream.items():
        stored = await forgotten(reader, [stored_frame(row) for row in rows], stream_id)
        gone = {one.seq for one in stored if one.is_forgotten}
        told = [one for one in await silenced(reader, rows, stream_id) if one["seq"] not in gone]
        events |= {(stream_id, one["seq"]): one for one in told}
        sights[stream_id] = await sight_of(reader, stored, users)
    frames = [row["frame"] for row in events.values()]
    actors = {UUID(one["actor"]["id"]) for one in frames if one["actor"] and one["actor"].get("id")}
    people = await find_people(session, user_ids=actors) if actors else {}
    tasks = {UUID(one["task_id"]) for one in frames if one["task_id"] and not one["type"].startswith("task.")}
    return _Facts(
        events=events,
        private=await _private_among(session, list(events.values())),
        sights=sights,
        names={user_id: one.name for user_id, one in people.items() if one.name},
        tasks={row["task_id"]: row["data"] for row in await find_tasks(session, tasks)} if tasks else {},
    )


def _notice(row: Mapping[Any, Any], known: _Facts, tasks_url: str) -> Notice:
    frame = row["frame"]
    data, task_id = frame["data"] or {}, _uuid(frame["task_id"])
    task: Mapping[str, Any] = data if frame["type"].startswith("task.") else known.tasks.get(task_id or UUID(int=0), {})
    actor = (frame["actor"] or {}).get("id")
    who = known.names.get(UUID(actor)) if actor else None
    key, title = task.get("key"), task.get("title")
    body = data.get("body") if frame["type"].startswith("comment.") else None
    return Notice(
        id=UUID(frame["event_id"]),
        kind=frame["type"],
        text=sentence_of(frame, who=who, task=" ".join(one for one in (key, title) if one) or None),
        created_at=row["occurred_at"],
        workspace_id=row["workspace_id"],
        project_id=_uuid(frame["project_id"]),
        task_id=task_id,
        key=key,
        title=title,
        excerpt=excerpt_of(str(body)) if body else None,
        actor=who,
        link=None if task_id is None else f"{tasks_url}/{task_id}",
    )


async def _private_among(session: AsyncSession, rows: Sequence[Mapping[Any, Any]]) -> set[UUID]:
    projects = {UUID(row["frame"]["project_id"]) for row in rows if row["frame"]["project_id"]}
    return await repository.private_among(session, sorted(projects)) if projects else set()


def _uuid(text: str | None) -> UUID | None:
    return None if text is None else UUID(text)
