"""Between the replay store and the open sockets of this process.

A wake-up says that a workspace can be read further; the frames themselves are read from the store, in order and
without gaps. A lost wake-up therefore costs time and nothing else: the hub also looks by itself, rarely while
Redis answers and often while it does not.
"""

import asyncio
from collections import defaultdict
from collections.abc import Iterable
from uuid import UUID

import orjson
import redis.asyncio as redis
import structlog
from chassis.db.engine import Database
from prometheus_client import Counter
from redis.exceptions import RedisError
from sqlalchemy.exc import SQLAlchemyError

from notifications_service.live import repository
from notifications_service.live.consumers import CHANNEL
from notifications_service.realtime.connection import Connection
from notifications_service.realtime.protocol import StoredFrame, stored_frame

log = structlog.get_logger()

OFFERED = Counter("taskloom_frames_offered_total", "Frames handed to connections.")

LOOK_SECONDS = 5.0
LOOK_SECONDS_ALONE = 0.25
READ_AT_ONCE = 500
STORE_TROUBLE = (SQLAlchemyError, OSError)


class Hub:
    """All open sockets of this process, by what they may see."""

    def __init__(self, database: Database, server: redis.Redis) -> None:
        self._database = database
        self._redis = server
        self._by_workspace: defaultdict[UUID, set[Connection]] = defaultdict(set)
        self._by_user: defaultdict[UUID, set[Connection]] = defaultdict(set)
        self._read_until: dict[UUID, int] = {}
        self._locks: defaultdict[UUID, asyncio.Lock] = defaultdict(asyncio.Lock)

    async def run(self, stop: asyncio.Event) -> None:
        """Deliver until `stop` is set."""
        listening = asyncio.create_task(self._listen(stop))
        await stop.wait()
        listening.cancel()
        await asyncio.gather(listening, return_exceptions=True)

    async def join(self, connection: Connection) -> dict[UUID, int]:
        """Subscribe a connection to its workspaces; return up to where it has to replay each by itself."""
        self._by_user[connection.user_id].add(connection)
        until: dict[UUID, int] = {}
        for workspace in list(connection.positions):
            async with self._locks[workspace]:
                until[workspace] = await self._subscribe(connection, workspace)
        return until

    def leave(self, connection: Connection) -> None:
        """Forget a connection."""
        self._by_user[connection.user_id].discard(connection)
        if not self._by_user[connection.user_id]:
            del self._by_user[connection.user_id]
        for workspace in [w for w, readers in self._by_workspace.items() if connection in readers]:
            self._by_workspace[workspace].discard(connection)
            if not self._by_workspace[workspace]:
                del self._by_workspace[workspace]
                self._read_until.pop(workspace, None)

    def sockets_of(self, user_id: UUID) -> int:
        return len(self._by_user.get(user_id, ()))

    async def _subscribe(self, connection: Connection, workspace: UUID) -> int:
        """Hand the workspace's frames to the connection from now on; return up to where it was read. Needs the lock."""
        if workspace not in self._read_until:
            async with self._database.reader.connect() as reader:
                self._read_until[workspace] = (await repository.heads(reader, [workspace])).get(workspace, 0)
        self._by_workspace[workspace].add(connection)
        return self._read_until[workspace]

    async def _listen(self, stop: asyncio.Event) -> None:
        while not stop.is_set():
            try:
                async with self._redis.pubsub() as channel:
                    await channel.subscribe(CHANNEL)
                    await self._follow(channel, stop)
            except (RedisError, OSError) as error:
                log.warning("hub.alone", reason=type(error).__name__)
                await self._look_safely()
                await asyncio.sleep(LOOK_SECONDS_ALONE)
            except STORE_TROUBLE as error:
                log.warning("hub.store_unavailable", reason=type(error).__name__)
                await asyncio.sleep(LOOK_SECONDS_ALONE)

    async def _follow(self, channel: redis.client.PubSub, stop: asyncio.Event) -> None:
        """Act on wake-ups; look once at the beginning, since some may have been missed before."""
        await self._look()
        looked_at = asyncio.get_running_loop().time()
        while not stop.is_set():
            message = await channel.get_message(ignore_subscribe_messages=True, timeout=1.0)
            if message is not None:
                await self._on_wake_up(message["data"])
            if asyncio.get_running_loop().time() - looked_at > LOOK_SECONDS:
                await self._look()
                looked_at = asyncio.get_running_loop().time()

    async def _on_wake_up(self, data: bytes) -> None:
        advance = orjson.loads(data)
        joined = [UUID(user) for user in advance["joined"]]
        here = [user for user in joined if user in self._by_user]
        if here:
            await self._admit(here)
        await self._read(UUID(advance["workspace_id"]), advance["head"])

    async def _look_safely(self) -> None:
        try:
            await self._look()
        except STORE_TROUBLE as error:
            log.warning("hub.store_unavailable", reason=type(error).__name__)

    async def _look(self) -> None:
        """Compare with the store what this process has read, and who has joined what."""
        if self._by_user:
            await self._admit(list(self._by_user))
        if not self._read_until:
            return
        async with self._database.reader.connect() as reader:
            heads = await repository.heads(reader, list(self._read_until))
        for workspace, head in heads.items():
            await self._read(workspace, head)

    async def _admit(self, users: Iterable[UUID]) -> None:
        """Subscribe users' connections to workspaces that they have become members of."""
        async with self._database.reader.connect() as reader:
            rows = await repository.memberships(reader, users)
        for row in rows:
            for connection in list(self._by_user.get(row["user_id"], ())):
                if row["workspace_id"] not in connection.positions:
                    await self._begin(connection, row["workspace_id"], after=row["joined_seq"] - 1)

    async def _begin(self, connection: Connection, workspace: UUID, *, after: int) -> None:
        """Subscribe a connection to a workspace, from a position in it on."""
        connection.positions[workspace] = after
        async with self._locks[workspace]:
            # Under the lock no later frame can be handed out before these.
            until = await self._subscribe(connection, workspace)
            async with self._database.reader.connect() as reader:
                rows = await repository.events_between(reader, workspace, after=after, until=until, limit=READ_AT_ONCE)
            for row in rows:
                connection.offer(stored_frame(row))

    async def _read(self, workspace: UUID, head: int) -> None:
        """Read a workspace up to `head` and hand its frames out."""
        if workspace not in self._by_workspace:
            return
        async with self._locks[workspace]:
            while (last := self._read_until.get(workspace, head)) < head:
                async with self._database.reader.connect() as reader:
                    rows = await repository.events_between(
                        reader, workspace, after=last, until=head, limit=READ_AT_ONCE
                    )
                if not rows:
                    return
                for row in rows:
                    self._hand_out(stored_frame(row))
                self._read_until[workspace] = rows[-1]["seq"]

    def _hand_out(self, frame: StoredFrame) -> None:
        for connection in self._by_workspace.get(frame.workspace_id, ()):
            connection.offer(frame)
            OFFERED.inc()
