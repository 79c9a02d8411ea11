"""What a new connection begins with, and what it has missed."""

from collections.abc import AsyncIterator, Iterable, Mapping
from uuid import UUID

import aiohttp
import structlog
from chassis.db.engine import Database
from sqlalchemy.ext.asyncio import AsyncConnection

from notifications_service.live import repository
from notifications_service.realtime.connection import Admission, Connection
from notifications_service.realtime.errors import CursorExpired
from notifications_service.realtime.protocol import StoredFrame, stored_frame
from notifications_service.realtime.schemas import MembershipsIn
from notifications_service.sight.service import sight_of, silenced

log = structlog.get_logger()

REPLAY_AT_ONCE = 200
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
                told = await silenced(reader, rows, workspace)
                frames = await _seen_now(reader, [stored_frame(row) for row in told], user_id)
            if not frames:
                raise CursorExpired
            for frame in frames:
                if frame.seq != last + 1:
                    raise CursorExpired
                last = frame.seq
                yield frame


async def _seen_now(reader: AsyncConnection, frames: list[StoredFrame], user_id: UUID) -> list[StoredFrame]:
    """Hide what the user was shown once and does not see any more: of projects that it is out of, of tasks unshared.

    Of what it alone was told, so is what is about workspaces that it is out of.
    """
    sight = await sight_of(reader, frames, [user_id])
    return [one if one.ended_for == user_id or sight.shows(one, user_id) else one.hidden() for one in frames]
