"""Between the replay store and the open sockets of this process.

A wake-up, and what is said after each commit, tell that a stream can be read further; the frames themselves are read
from the store, in order and without gaps. A lost wake-up therefore costs time and nothing else: the hub also looks by
itself, rarely while it is told and often while it is not.
"""

import asyncio
from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from uuid import UUID

import redis.asyncio as redis
import structlog
from chassis.db.engine import Database
from chassis.db.failures import TROUBLE
from chassis.db.listening import listen
from prometheus_client import Counter
from pydantic import ValidationError
from redis.exceptions import RedisError
from sqlalchemy import RowMapping
from sqlalchemy.ext.asyncio import AsyncConnection

from notifications_service.live import repository
from notifications_service.realtime.connection import Admission, Connection
from notifications_service.realtime.errors import TooManySockets
from notifications_service.realtime.knowledge import TaskMemory
from notifications_service.realtime.protocol import StoredFrame, is_personal, stored_frame
from notifications_service.sight.service import seen_now
from notifications_service.wake_ups import CHANNEL, WakeUp

log = structlog.get_logger()

OFFERED = Counter("taskloom_frames_offered_total", "Frames handed to connections.")

LOOK_SECONDS = 5.0
LOOK_SECONDS_ALONE = 0.25
LOOK_FOR_MEMBERS_SECONDS = 1.0
SILENCE_SECONDS = 1.0
READ_AT_ONCE = 500
HAND_OUT_AT_ONCE = 64 * 1024
OFFERS_AT_ONCE = 5_000
RETRY_AFTER_SECONDS = 5


class Silent(Exception):
    """Redis takes what we say and does not answer."""


@dataclass(eq=False, slots=True)
class Stream:
    """A workspace that somebody here reads: up to where it was handed out, and up to where it can be."""

    readers: set[Connection] = field(default_factory=set)
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    read_until: int | None = None
    readable: int = 0
    memory: TaskMemory = field(default_factory=TaskMemory)

    @property
    def is_behind(self) -> bool:
        return self.read_until is not None and self.read_until < self.readable


@dataclass(frozen=True, slots=True)
class Limits:
    """How many sockets one process and one user may have open here."""

    sockets: int
    sockets_per_user: int


class Hub:
    """All open sockets of this process, by what they may see."""

    def __init__(self, database: Database, server: redis.Redis, limits: Limits) -> None:
        self._database = database
        self._redis = server
        self._limits = limits
        self._streams: dict[UUID, Stream] = {}
        self._by_user: defaultdict[UUID, set[Connection]] = defaultdict(set)
        self._open = 0
        self._hurry = asyncio.Event()
        self._listening = False
        self._hears_commits = False
        self._heard: dict[UUID, int] = {}
        self._news = asyncio.Event()
        self._looked_for_members = 0.0

    async def run(self, stop: asyncio.Event) -> None:
        """Deliver until `stop` is set."""
        parts = (self._listen, self._hear_commits, self._read_what_was_heard, self._look_now_and_then)
        working = [asyncio.create_task(self._forever(one)) for one in parts]
        await stop.wait()
        for task in working:
            task.cancel()
        await asyncio.gather(*working, return_exceptions=True)

    def enter(self, connection: Connection) -> None:
        """Count a connection, which hears of its user's memberships from now on. Raises TooManySockets."""
        of_user = len(self._by_user.get(connection.user_id, ()))
        if of_user >= self._limits.sockets_per_user or self._open >= self._limits.sockets:
            raise TooManySockets(retry_after=RETRY_AFTER_SECONDS)
        self._by_user[connection.user_id].add(connection)
        self._open += 1

    def leave(self, connection: Connection) -> None:
        """Forget a connection."""
        self._by_user[connection.user_id].discard(connection)
        if not self._by_user[connection.user_id]:
            del self._by_user[connection.user_id]
        self._open -= 1
        self.unsubscribe(connection, list(connection.subscribed))

    async def subscribe(self, connection: Connection, workspaces: Iterable[UUID]) -> dict[UUID, int]:
        """Hand the workspaces' frames to the connection; return up to where it has to read each by itself."""
        streams = {workspace: self._streams.setdefault(workspace, Stream()) for workspace in workspaces}
        for workspace, stream in streams.items():
            # From here on the stream stays: only its last reader takes it away.
            stream.readers.add(connection)
            connection.subscribed.add(workspace)
        await self._find_heads([workspace for workspace, stream in streams.items() if stream.read_until is None])
        return {workspace: stream.read_until or 0 for workspace, stream in streams.items()}

    def unsubscribe(self, connection: Connection, workspaces: Iterable[UUID]) -> None:
        """Hand nothing of these workspaces to the connection any more."""
        for workspace in workspaces:
            connection.subscribed.discard(workspace)
            stream = self._streams.get(workspace)
            if stream is not None:
                stream.readers.discard(connection)
                if not stream.readers:
                    del self._streams[workspace]

    async def _find_heads(self, workspaces: list[UUID]) -> None:
        """Begin to read workspaces that nobody here has read until now, at their heads."""
        if not workspaces:
            return
        async with self._database.reader.connect() as reader:
            heads = await repository.heads(reader, workspaces)
        for workspace in workspaces:
            stream = self._streams[workspace]
            if stream.read_until is None:
                stream.read_until = heads.get(workspace, 0)
            if stream.is_behind:
                self._hurry.set()

    async def _forever(self, work: Callable[[], Awaitable[None]]) -> None:
        """Repeat what must not end, whatever happens to it: a hub that has stopped would be deaf without a sign."""
        while True:
            try:
                await work()
            except (RedisError, Silent, *TROUBLE) as error:
                log.warning("hub.trouble", reason=type(error).__name__)
                await asyncio.sleep(LOOK_SECONDS_ALONE)
            except Exception:
                log.exception("hub.failed")
                await asyncio.sleep(LOOK_SECONDS_ALONE)

    async def _listen(self) -> None:
        """Act on wake-ups, for as long as Redis answers."""
        try:
            async with self._redis.pubsub() as channel:
                await channel.subscribe(CHANNEL)
                await self._follow(channel)
        finally:
            self._listening = False
            self._hurry.set()

    async def _hear_commits(self) -> None:
        """Act on what is said after each commit that moves a head, for as long as the database answers."""
        try:
            await listen(self._database, repository.CHANNEL, heard=self._on_commit, began=self._on_hearing)
        finally:
            self._hears_commits = False
            self._hurry.set()

    def _on_hearing(self) -> None:
        # What was said before is lost.
        self._hears_commits = True
        self._hurry.set()

    def _on_commit(self, payload: str) -> None:
        stream, _, head = payload.partition(" ")
        try:
            stream_id, readable = UUID(stream), int(head)
        except ValueError:
            # Something has happened, and does not say where.
            self._hurry.set()
            return
        if stream_id in self._streams:
            self._heard[stream_id] = max(readable, self._heard.get(stream_id, 0))
            self._news.set()

    async def _read_what_was_heard(self) -> None:
        await self._news.wait()
        self._news.clear()
        heard, self._heard = self._heard, {}
        for stream_id, head in heard.items():
            if not await self._read(stream_id, head):
                self._hurry.set()

    async def _follow(self, channel: redis.client.PubSub) -> None:
        """Take what comes. A server that is silent is asked, and one that stays silent is taken for lost."""
        asked = False
        while True:
            message = await channel.get_message(timeout=SILENCE_SECONDS)
            if message is None:
                if asked:
                    raise Silent
                await channel.ping()
            elif message["type"] == "message":
                await self._on_wake_up(message["data"])
            elif message["type"] == "subscribe":
                # Wake-ups of the time before are lost.
                self._listening = True
                self._hurry.set()
            asked = message is None

    async def _on_wake_up(self, data: bytes) -> None:
        try:
            news = WakeUp.model_validate_json(data)
        except ValidationError:
            log.warning("hub.wake_up_not_understood")
            self._hurry.set()
            return
        # The frames first: among them may be the removal that comes before the admission.
        if not await self._read(news.workspace_id, news.head):
            self._hurry.set()
        here = [user for user in news.joined if user in self._by_user]
        if here:
            await self._admit(here)

    async def _look_now_and_then(self) -> None:
        """Look by itself: soon when there is a reason, and often while nobody wakes us or something is missing."""
        self._hurry.clear()
        await self._look()
        behind = any(stream.is_behind for stream in self._streams.values())
        is_told = self._listening and self._hears_commits
        pause = LOOK_SECONDS_ALONE if behind or not is_told else LOOK_SECONDS
        with suppress(TimeoutError):
            async with asyncio.timeout(pause):
                await self._hurry.wait()

    async def _look(self) -> None:
        """Compare with the store what this process has read, and who has joined what."""
        if self._streams:
            async with self._database.reader.connect() as reader:
                heads = await repository.heads(reader, list(self._streams))
            for workspace, head in heads.items():
                await self._read(workspace, head)
        now = asyncio.get_running_loop().time()
        if self._by_user and now - self._looked_for_members >= LOOK_FOR_MEMBERS_SECONDS:
            await self._admit(list(self._by_user))
            self._looked_for_members = now

    async def _admit(self, users: Iterable[UUID]) -> None:
        """Tell users' connections of what they are members of; they know what is new in it."""
        here = list(users)
        restricted = {project for user in here for one in self._by_user.get(user, ()) for project in one.projects}
        async with self._database.reader.connect() as reader:
            rows = await repository.memberships(reader, here)
            places = await repository.places(reader, restricted)
        for row in rows:
            admission = Admission(row["joined_seq"], row["changed_seq"])
            for connection in self._by_user.get(row["user_id"], ()):
                if connection.sees(row["workspace_id"], places):
                    connection.admit(row["workspace_id"], admission)

    async def _read(self, workspace: UUID, head: int) -> bool:
        """Read a workspace up to `head` and hand its frames out; False when not all of it is to be had yet."""
        stream = self._streams.get(workspace)
        if stream is None:
            return True
        stream.readable = max(stream.readable, head)
        async with stream.lock:
            while stream.is_behind and await self._read_on(workspace, stream):
                pass
        return not stream.is_behind

    async def _read_on(self, workspace: UUID, stream: Stream) -> bool:
        """Hand out the next frames; False when the store does not show the next one, as a replica that lags."""
        last = stream.read_until or 0
        async with self._database.reader.connect() as reader:
            rows = await repository.events_between(
                reader, workspace, after=last, until=stream.readable, limit=READ_AT_ONCE
            )
            # Up to where there is a gap: a number is then above its place.
            following = [row for place, row in enumerate(rows, last + 1) if row["seq"] == place]
            frames = await self._framed(reader, workspace, stream, following)
        handed_out, offers = 0, 0
        for frame in frames:
            self._hand_out(stream, frame)
            handed_out, offers = handed_out + len(frame.opening), offers + len(stream.readers)
            if handed_out >= HAND_OUT_AT_ONCE or offers >= OFFERS_AT_ONCE:
                # Readers that keep up must get the chance to: a large batch is not their fault.
                await asyncio.sleep(0)
                handed_out, offers = 0, 0
        return bool(rows) and len(following) == len(rows)

    async def _framed(
        self, reader: AsyncConnection, workspace: UUID, stream: Stream, rows: Sequence[RowMapping]
    ) -> Iterable[StoredFrame]:
        """Return frames, encoded one by one as they are taken; of a user's own stream as the user sees things now."""
        is_asked = any(one.wanted.needs_tasks for one in stream.readers)
        if is_asked:
            await stream.memory.learn(reader, rows)
        else:
            stream.memory.forget()
        frames = (
            stored_frame(row, stream.memory.after(row) if is_asked else None, is_looked_up=is_asked) for row in rows
        )
        # What tells a user of something may be on its way while they lose sight of that, and come after they have.
        return await seen_now(reader, [*frames], workspace) if any(map(is_personal, rows)) else frames

    def _hand_out(self, stream: Stream, frame: StoredFrame) -> None:
        for connection in stream.readers:
            connection.offer(frame)
        OFFERED.inc(len(stream.readers))
        stream.read_until = frame.seq
