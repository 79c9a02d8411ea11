"""What a new connection begins with, and what it has missed."""

from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from typing import Any
from uuid import UUID

import aiohttp
import structlog
from chassis.db.engine import Database
from sqlalchemy import RowMapping
from sqlalchemy.ext.asyncio import AsyncConnection

from notifications_service.live import repository
from notifications_service.realtime.connection import Admission, Connection
from notifications_service.realtime.errors import CursorExpired
from notifications_service.realtime.protocol import Place, StoredFrame, stored_frame, without_words
from notifications_service.realtime.schemas import MembershipsIn

log = structlog.get_logger()

REPLAY_AT_ONCE = 200
COMMENT = "comment."
QUESTION_SECONDS = 1.0


class TasksClient:
    """Asks the tasks service, once, for what its events have not brought yet."""

    def __init__(self, session: aiohttp.ClientSession, base_url: str) -> None:
        self._session = session
        self._url = f"{base_url.rstrip('/')}/internal/memberships"

    async def memberships(self, identity: str) -> dict[UUID, Admission]:
        """Return what the caller is a member of; nothing when the service does not answer."""
        try:
            body = await self._ask(identity)
            known = MembershipsIn.model_validate_json(body).memberships
        except (aiohttp.ClientError, TimeoutError, ValueError) as error:
            log.warning("memberships.unavailable", reason=type(error).__name__)
            return {}
        return {one.workspace_id: Admission(one.joined_seq, one.joined_seq) for one in known}

    async def _ask(self, identity: str) -> bytes:
        timeout = aiohttp.ClientTimeout(total=QUESTION_SECONDS)
        headers = {"x-taskloom-identity": identity}
        async with self._session.get(self._url, headers=headers, timeout=timeout, allow_redirects=False) as answer:
            answer.raise_for_status()
            return await answer.read()


async def set_out(
    connection: Connection, database: Database, tasks: TasksClient, *, identity: str, cursor: Mapping[UUID, int] | None
) -> None:
    """Tell the connection what it is a member of, and after which event of each workspace it goes on.

    Without a cursor that is the present. A workspace that a cursor does not name is one that the reader was no
    member of then, so it is read from the reader's first day in it. The user's own stream is read from the present on
    where a cursor does not name it, as that of a change.
    """
    async with database.reader.connect() as reader:
        rows = await repository.memberships(reader, [connection.user_id])
        places = await repository.places(reader, connection.projects)
    admissions = {
        row["workspace_id"]: Admission(row["joined_seq"], row["changed_seq"])
        for row in rows
        if connection.sees(row["workspace_id"], places)
    }
    if not admissions or len(places) < len(connection.projects):
        # The answer is for the caller's identity, and so within its restriction.
        admissions = {**await tasks.memberships(identity), **admissions}
    own = connection.user_id
    begun = {own: 0, **{workspace: admission.joined_seq - 1 for workspace, admission in admissions.items()}}
    seen: Mapping[UUID, int]
    if cursor is None:
        seen = await _heads(database, begun)
    elif own in cursor:
        seen = cursor
    else:
        seen = {**cursor, **await _heads(database, [own])}
    connection.begin(admissions, {stream: seen.get(stream, first) for stream, first in begun.items()})


async def _heads(database: Database, streams: Iterable[UUID]) -> dict[UUID, int]:
    async with database.reader.connect() as reader:
        return await repository.heads(reader, streams)


async def missed(
    database: Database, *, user_id: UUID, after: Mapping[UUID, int], until: Mapping[UUID, int]
) -> AsyncIterator[StoredFrame]:
    """Yield what lies between two positions, in order within each workspace; what the user doesn't see now is hidden.

    Raises CursorExpired.
    """
    for workspace, end in until.items():
        last = after[workspace]
        while last < end:
            async with database.reader.connect() as reader:
                rows = await repository.events_between(reader, workspace, after=last, until=end, limit=REPLAY_AT_ONCE)
                silenced = await _silenced(reader, rows, workspace)
                frames = await _seen_now(reader, [stored_frame(row) for row in silenced], user_id)
            if not frames:
                raise CursorExpired
            for frame in frames:
                if frame.seq != last + 1:
                    raise CursorExpired
                last = frame.seq
                yield frame


async def _silenced(reader: AsyncConnection, rows: Sequence[RowMapping], workspace_id: UUID) -> list[Mapping[Any, Any]]:
    """Take the words out of the rows of comments that have been deleted since."""
    told = {row["frame"]["subject"]: row["seq"] for row in reversed(rows) if row["type"].startswith(COMMENT)}
    if not told:
        return [*rows]
    gone = await repository.comments_deleted(reader, told, workspace_id=workspace_id, after=min(told.values()))
    return [
        {**row, "frame": without_words(row["frame"])}
        if row["type"].startswith(COMMENT) and row["frame"]["subject"] in gone
        else row
        for row in rows
    ]


async def _seen_now(reader: AsyncConnection, frames: list[StoredFrame], user_id: UUID) -> list[StoredFrame]:
    """Hide what the user was shown once and does not see any more: of projects that it is out of, of tasks unshared.

    Of what it alone was told, so is what is about workspaces that it is out of.
    """
    is_seen: dict[UUID | None, Callable[[Place], bool]] = {None: _everything}
    for workspace in {one.workspace_id for one in frames if one.workspace_id is not None}:
        places = [place for one in frames if one.workspace_id == workspace for place in one.places]
        is_seen[workspace] = await _sight(reader, places, workspace_id=workspace, user_id=user_id)
    if any(one.is_personal for one in frames):
        held = {row["workspace_id"] for row in await repository.memberships(reader, [user_id])}
        is_seen |= {workspace: _nothing for workspace in is_seen.keys() - held if workspace is not None}

    def is_shown(frame: StoredFrame) -> bool:
        return frame.ended_for == user_id or all(map(is_seen[frame.workspace_id], frame.places))

    return [one if is_shown(one) else one.hidden() for one in frames]


async def _sight(
    reader: AsyncConnection, places: Sequence[Place], *, workspace_id: UUID, user_id: UUID
) -> Callable[[Place], bool]:
    """Return what tells whether the user sees a place in a workspace now."""
    projects = {one.project_id for one in places if one.project_id is not None}
    if not projects:
        return _everything
    tasks = {one.task_id for one in places if one.task_id is not None}
    seen = await repository.projects_seen(reader, projects, workspace_id=workspace_id, user_id=user_id)
    shared = await repository.tasks_shared(reader, tasks, user_id=user_id) if projects - seen else set()
    return lambda place: place.project_id is None or place.project_id in seen or place.task_id in shared


def _everything(_place: Place) -> bool:
    return True


def _nothing(_place: Place) -> bool:
    return False
