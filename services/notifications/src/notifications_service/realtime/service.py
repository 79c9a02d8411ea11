"""What a new connection begins with, and what it has missed."""

from collections.abc import AsyncIterator, Mapping
from uuid import UUID

import aiohttp
import structlog
from chassis.db.engine import Database

from notifications_service.live import repository
from notifications_service.realtime.protocol import StoredFrame, stored_frame

log = structlog.get_logger()

REPLAY_AT_ONCE = 200
QUESTION_SECONDS = 1.0


class CursorExpired(Exception):
    """The cursor is older than what is kept."""


class TasksClient:
    """Asks the tasks service, once, for what its events have not brought yet."""

    def __init__(self, session: aiohttp.ClientSession, base_url: str) -> None:
        self._session = session
        self._url = f"{base_url.rstrip('/')}/internal/memberships"

    async def memberships(self, identity: str) -> dict[UUID, int]:
        """Return, by workspace, from where on the caller sees it; nothing when the service does not answer."""
        timeout = aiohttp.ClientTimeout(total=QUESTION_SECONDS)
        try:
            async with self._session.get(
                self._url, headers={"x-taskloom-identity": identity}, timeout=timeout
            ) as answer:
                answer.raise_for_status()
                rows = (await answer.json(content_type=None))["memberships"]
        except (aiohttp.ClientError, TimeoutError, ValueError, KeyError) as error:
            log.warning("memberships.unavailable", reason=type(error).__name__)
            return {}
        return {UUID(row["workspace_id"]): row["joined_seq"] for row in rows}


async def starting_positions(
    database: Database, tasks: TasksClient, *, user_id: UUID, identity: str, cursor: Mapping[UUID, int] | None
) -> dict[UUID, int]:
    """Return after which event of each workspace the reader goes on.

    Without a cursor that is the present. A workspace that a cursor does not name is one that the reader was no
    member of then, so it is read from the reader's first day in it.
    """
    async with database.reader.connect() as reader:
        joined = {row["workspace_id"]: row["joined_seq"] for row in await repository.memberships(reader, [user_id])}
    joined = joined or await tasks.memberships(identity)
    if cursor is not None:
        return {workspace: cursor.get(workspace, first - 1) for workspace, first in joined.items()}
    async with database.reader.connect() as reader:
        heads = await repository.heads(reader, joined)
    return {workspace: heads.get(workspace, first - 1) for workspace, first in joined.items()}


async def missed(
    database: Database, *, after: Mapping[UUID, int], until: Mapping[UUID, int]
) -> AsyncIterator[StoredFrame]:
    """Yield what lies between two positions, in order within each workspace. Raises CursorExpired."""
    for workspace, end in until.items():
        last = after[workspace]
        while last < end:
            async with database.reader.connect() as reader:
                rows = await repository.events_between(reader, workspace, after=last, until=end, limit=REPLAY_AT_ONCE)
            if not rows or rows[0]["seq"] != last + 1:
                raise CursorExpired
            for row in rows:
                yield stored_frame(row)
            last = rows[-1]["seq"]
