"""What a new connection begins with, and what it has missed."""

from collections.abc import AsyncIterator, Collection, Iterable, Mapping, Sequence
from typing import Any
from uuid import UUID

import aiohttp
import structlog
from chassis.db.engine import Database
from sqlalchemy.ext.asyncio import AsyncConnection

from notifications_service.cards.repository import find_tasks
from notifications_service.live import repository
from notifications_service.realtime.connection import Admission, Connection
from notifications_service.realtime.errors import CursorExpired
from notifications_service.realtime.knowledge import TaskMemory
from notifications_service.realtime.protocol import StoredFrame, stored_frame
from notifications_service.realtime.schemas import LocationIn, MembershipsIn
from notifications_service.realtime.subscriptions import Scope, Subscription
from notifications_service.sight.service import Spot, forgotten, seen_now, silenced, spots_seen

log = structlog.get_logger()

REPLAY_AT_ONCE = 200
QUESTION_SECONDS = 1.0


class TasksClient:
    """Asks the tasks service, once, for what its events have not brought yet."""

    def __init__(self, session: aiohttp.ClientSession, base_url: str) -> None:
        self._session = session
        self._base_url = base_url.rstrip("/")

    async def memberships(self, identity: str) -> dict[UUID, Admission]:
        """Return what the caller is a member of; nothing when the service does not answer."""
        try:
            body = await self._ask(identity)
            known = MembershipsIn.model_validate_json(body).memberships
        except (aiohttp.ClientError, TimeoutError, ValueError) as error:
            log.warning("memberships.unavailable", reason=type(error).__name__)
            return {}
        return {one.workspace_id: Admission(one.joined_seq, one.joined_seq) for one in known}

    async def place_of(self, identity: str, scope: Scope) -> Spot | None:
        """Return where a project or task is that the caller sees; None when it does not, or there is no answer."""
        try:
            body = await self._ask(identity, f"/internal/{scope.kind}s/{scope.id}")
            found = LocationIn.model_validate_json(body)
        except aiohttp.ClientResponseError:
            return None
        except (aiohttp.ClientError, TimeoutError, ValueError) as error:
            log.warning("place.unavailable", reason=type(error).__name__)
            return None
        return Spot(found.workspace_id, found.project_id, scope.id if scope.kind == "task" else None)

    async def _ask(self, identity: str, path: str = "/internal/memberships") -> bytes:
        timeout = aiohttp.ClientTimeout(total=QUESTION_SECONDS)
        headers = {"x-taskloom-identity": identity}
        asked = self._session.get(self._base_url + path, headers=headers, timeout=timeout, allow_redirects=False)
        async with asked as answer:
            answer.raise_for_status()
            return await answer.read()


async def set_out(
    connection: Connection, database: Database, tasks: TasksClient, *, identity: str, cursor: Mapping[UUID, int] | None
) -> None:
    """Tell the connection what it is a member of, and after which event of each workspace it goes on.

    Without a cursor that is the present. A workspace that a cursor does not name is one that the reader was no
    member of then, so it is read from the reader's first day in it. The user's own stream is read from the present on
    where a cursor does not name it, as that of a change. Of a workspace that the reader is out of since the cursor the
    end of the membership is left to be told.
    """
    admissions, places = await _admissions(database, connection)
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
    ended = await _ended(database, connection, {one: at for one, at in (cursor or {}).items() if one not in begun})
    positions = {stream: seen.get(stream, first) for stream, first in begun.items()}
    connection.begin(admissions, positions, ended)


async def _admissions(database: Database, connection: Connection) -> tuple[dict[UUID, Admission], dict[UUID, UUID]]:
    """Return what the reader is a member of, within the caller's restriction, and where the projects of that are."""
    async with database.reader.connect() as reader:
        rows = await repository.memberships(reader, [connection.user_id])
        places = await repository.places(reader, connection.projects)
    admissions = {
        row["workspace_id"]: Admission(row["joined_seq"], row["changed_seq"])
        for row in rows
        if connection.sees(row["workspace_id"], places)
    }
    return admissions, places


async def _ended(database: Database, connection: Connection, beyond: Mapping[UUID, int]) -> dict[UUID, int]:
    """Return with which change each membership ended that a cursor still knows of, within the caller's restriction."""
    if not beyond:
        return {}
    async with database.reader.connect() as reader:
        ended = await repository.ended_memberships(reader, beyond, user_id=connection.user_id)
        places = await repository.places(reader, connection.projects)
    return {workspace: seq for workspace, seq in ended.items() if connection.sees(workspace, places)}


async def _heads(database: Database, streams: Iterable[UUID]) -> dict[UUID, int]:
    async with database.reader.connect() as reader:
        return await repository.heads(reader, streams)


async def missed(
    database: Database, *, user_id: UUID, after: Mapping[UUID, int], until: Mapping[UUID, int], is_asked: bool
) -> AsyncIterator[StoredFrame]:
    """Yield what lies between two positions, in order within each workspace.

    What the user doesn't see now is hidden, and of what was deleted for good no more is told than that.
    `is_asked` says whether the tasks have to be known that events are about. Raises CursorExpired.
    """
    for workspace, end in until.items():
        last = after[workspace]
        while last < end:
            async with database.reader.connect() as reader:
                rows = await repository.events_between(reader, workspace, after=last, until=end, limit=REPLAY_AT_ONCE)
                told = await silenced(reader, rows, workspace)
                there = await forgotten(reader, await _framed(reader, told, is_asked=is_asked), workspace)
                frames = await seen_now(reader, there, user_id)
            if not frames:
                raise CursorExpired
            for frame in frames:
                if frame.seq != last + 1:
                    raise CursorExpired
                last = frame.seq
                yield frame


async def _framed(reader: AsyncConnection, rows: Sequence[Mapping[Any, Any]], *, is_asked: bool) -> list[StoredFrame]:
    if not is_asked:
        return [stored_frame(row) for row in rows]
    memory = TaskMemory()
    await memory.learn(reader, rows)
    return [stored_frame(row, memory.after(row), is_looked_up=True) for row in rows]


async def ensure_kept(database: Database, positions: Mapping[UUID, int]) -> None:
    """Raise CursorExpired when what follows a position is not kept any more."""
    async with database.reader.connect() as reader:
        if await repository.are_forgotten(reader, positions):
            raise CursorExpired


async def find_spot(
    database: Database, tasks: TasksClient, connection: Connection, *, scope: Scope, identity: str
) -> tuple[Spot, bool] | None:
    """Return where a project or task is that the reader sees, and whether that is known here.

    None of one that is hidden, as of one that is not. What has not come here yet the tasks service is asked for.
    """
    async with database.reader.connect() as reader:
        known = await _spot_known(reader, scope)
        is_seen = known is not None and await _sees(reader, connection, [known]) == {known}
    spot = known if is_seen else await tasks.place_of(identity, scope)
    return None if spot is None or not connection.reaches(spot.workspace_id, spot.project_id) else (spot, is_seen)


async def _spot_known(reader: AsyncConnection, scope: Scope) -> Spot | None:
    if scope.id is None:
        return None
    if scope.kind == "project":
        workspace = (await repository.places(reader, [scope.id])).get(scope.id)
        return None if workspace is None else Spot(workspace, scope.id)
    card = next(iter(await find_tasks(reader, [scope.id])), None)
    return None if card is None else Spot(card["workspace_id"], card["project_id"], scope.id)


async def _sees(reader: AsyncConnection, connection: Connection, spots: Collection[Spot]) -> set[Spot]:
    """Return which of some projects and tasks the reader sees now."""
    reached = [one for one in spots if connection.reaches(one.workspace_id, one.project_id)]
    return await spots_seen(reader, reached, user_id=connection.user_id)


async def is_member(
    database: Database, tasks: TasksClient, connection: Connection, *, scope: Scope, identity: str
) -> bool:
    """Tell whether the reader sees a workspace, which may have become so a moment ago."""
    workspace = scope.id
    if workspace is None or workspace == connection.user_id:
        return False
    if workspace in connection.positions and workspace not in connection.ended:
        return True
    known, _ = await _admissions(database, connection)
    return workspace in known or workspace in await tasks.memberships(identity)


async def lost(database: Database, connection: Connection, workspaces: Iterable[UUID]) -> list[Subscription]:
    """Return which of the projects and tasks that the reader wants, in some workspaces, it does not see any more."""
    wanted = [(one, one.spot) for workspace in workspaces for one in connection.wanted.in_workspace(workspace)]
    spots = {spot for _, spot in wanted if spot is not None}
    async with database.reader.connect() as reader:
        seen = await _sees(reader, connection, spots)
    return [one for one, spot in wanted if spot is not None and spot not in seen]
