"""The service on real ports, its worker on a real transport, and a stand-in for the tasks service's internal API."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlencode
from uuid import UUID

import pytest
import structlog
import websockets
from chassis.background import patient
from chassis.broker.consumer import ConsumerRunner
from chassis.broker.port import EventTransport, Message
from chassis.broker.streams import StreamsTransport
from chassis.clock import utcnow
from chassis.cursors import CursorSigner
from chassis.db.base import table_of
from chassis.db.engine import Database, open_database
from chassis.db.migrations import upgrade
from chassis.db.transactions import transaction
from chassis.egress.settings import EgressSettings
from chassis.ids import uuid7
from chassis.outbox.envelope import EventEnvelope
from chassis.process import make_server
from chassis.settings import (
    CursorSettings,
    DatabaseSettings,
    IdentityVerificationSettings,
    ProcessSettings,
    RedisSettings,
)
from chassis.tokens import IdentityVerifier
from chassis.web.health import Health
from notifications_service.db import ROOT, Inbox
from notifications_service.live.consumers import live_consumer
from notifications_service.live.schemas import PersonalEvent
from notifications_service.live.service import tell_user
from notifications_service.main import create_app, openapi_document
from notifications_service.models import METADATA
from notifications_service.sealed import SEALED
from notifications_service.settings import ApiSettings, ChannelSettings, NotificationsSettings, SealingSettings
from notifications_service.wake_ups import open_redis
from pydantic import SecretStr
from sqlalchemy import text
from sqlalchemy.engine import make_url
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from testkit.contract import Contract
from testkit.databases import PATIENCE, migrated_database
from testkit.identities import TestGateway
from testkit.servers import free_port
from testkit.waiting import eventually

CURSOR_SECRET = "a secret of the tests, long enough"
SEALING_KEYS = "k1:MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY="
CHANNELS = ChannelSettings(vapid_key=SecretStr("MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY"))
LOOPBACK_ALLOWED = EgressSettings(
    allowed_networks=("127.0.0.0/8",), allowed_ports=("443", "1024-65535"), allow_http=True
)
FRAME_SECONDS = 10.0
ENDING: list[asyncio.Task[None]] = []
"""Servers that were told to end; the session waits for them, so that no test has to."""


@dataclass
class World:
    """A workspace as the tasks service sees it: its members, and the number of its last change."""

    id: UUID = field(default_factory=uuid7)
    members: list[UUID] = field(default_factory=list)
    seq: int = 0

    def event(
        self,
        event_type: str,
        *,
        entity_type: str,
        resource: dict[str, Any],
        audience: list[UUID] | None = None,
        **data: Any,
    ) -> EventEnvelope:
        """Return the workspace's next change, which all members see."""
        self.seq += 1
        seen_by = self.members if audience is None else audience
        return EventEnvelope(
            event_id=uuid7(),
            type=event_type,
            source="/taskloom/tasks",
            subject=UUID(resource["id"]),
            occurred_at=utcnow(),
            stream_id=self.id,
            sequence=self.seq,
            data={
                "entity_type": entity_type,
                "entity_id": resource["id"],
                "workspace_id": str(self.id),
                "project_id": None,
                "task_id": None,
                "version": 1,
                "actor": {"type": "user", "id": str(uuid7()), "via": "session"},
                "changes": [],
                "audience": [str(user) for user in seen_by],
                "request_id": f"request-{self.seq}",
                "resource": resource,
                **data,
            },
        )

    def task(self, title: str = "Buy milk", event_type: str = "task.created.v1", **data: Any) -> EventEnvelope:
        resource = {"id": str(uuid7()), "title": title}
        return self.event(event_type, entity_type="task", resource=resource, **{"task_id": resource["id"], **data})

    def relation(self, near: UUID, far: UUID, *, tasks: tuple[str, str] | None = None, **data: Any) -> EventEnvelope:
        """Return that a task of a project blocks one of another project, made at the former."""
        one, other = tasks or (str(uuid7()), str(uuid7()))
        resource = {"id": str(uuid7()), "type": "blocks", "from_task_id": one, "to_task_id": other}
        resource |= {"from_project_id": str(near), "to_project_id": str(far)}
        place = {"project_id": str(near), "task_id": one}
        return self.event("relation.created.v1", entity_type="relation", resource=resource, **place, **data)

    def tasks(self, count: int, title: str = "Buy milk") -> list[EventEnvelope]:
        return [self.task(title) for _ in range(count)]

    def project(self, project: UUID, *, visibility: str = "workspace", **data: Any) -> EventEnvelope:
        resource = {"id": str(project), "visibility": visibility}
        return self.event(
            "project.updated.v1", entity_type="project", resource=resource, project_id=str(project), **data
        )

    def role_in(
        self, project: UUID, user: UUID, verb: str = "added", *, role: str = "member", **data: Any
    ) -> EventEnvelope:
        resource = {"id": str(uuid7()), "project_id": str(project), "user_id": str(user), "role": role}
        where = {"entity_type": "project_member", "project_id": str(project)}
        return self.event(f"project_member.{verb}.v1", resource=resource, **{**where, **data})

    def share(self, task: str, user: UUID, verb: str = "added", **data: Any) -> EventEnvelope:
        resource = {"id": str(uuid7()), "task_id": task, "user_id": str(user)}
        return self.event(f"task_share.{verb}.v1", entity_type="task_share", resource=resource, task_id=task, **data)

    def joins(self, user: UUID, *, joined_seq: int | None = None, role: str = "member") -> EventEnvelope:
        self.members.append(user)
        return self._member("member.added.v1", user, joined_seq or self.seq + 1, role=role)

    def becomes(self, user: UUID, role: str) -> EventEnvelope:
        return self._member("member.updated.v1", user, 1, role=role)

    def leaves(self, user: UUID, *, is_told: bool = False) -> EventEnvelope:
        """Return the removal; a member that `is_told` is in its audience."""
        audience = list(self.members) if is_told else [one for one in self.members if one != user]
        self.members.remove(user)
        return self._member("member.removed.v1", user, 1, audience=audience)

    def _member(
        self,
        event_type: str,
        user: UUID,
        joined_seq: int,
        audience: list[UUID] | None = None,
        role: str = "member",
    ) -> EventEnvelope:
        resource = {
            "id": str(uuid7()),
            "workspace_id": str(self.id),
            "user_id": str(user),
            "role": role,
            "joined_seq": joined_seq,
        }
        return self.event(event_type, entity_type="member", resource=resource, audience=audience)


class TasksApi:
    """The internal API of the tasks service, as its contract says, on a port of its own."""

    def __init__(self, gateway: TestGateway) -> None:
        self._verifier = IdentityVerifier(gateway.verify_key)
        self.joined: dict[UUID, dict[UUID, int]] = {}
        self.calls: list[UUID] = []
        self.identities: list[str] = []
        self.hold: asyncio.Event | None = None
        self.answer: Response | None = None
        self.seen_by: dict[UUID, dict[str, dict[str, str]]] = {}
        self.app = Starlette(
            routes=[
                Route("/internal/memberships", self._list),
                Route("/elsewhere", self._list),
                Route("/internal/tasks/{name}", self._locate),
                Route("/internal/projects/{name}", self._locate),
            ]
        )

    def reset(self) -> None:
        self.joined, self.calls, self.identities = {}, [], []
        self.seen_by = {}
        self.hold = self.answer = None

    def shows(self, user: UUID, name: UUID | str, *, workspace_id: UUID, project_id: UUID) -> None:
        """Let a user see a task, or a project, that nobody has told notifications of."""
        place = {"workspace_id": str(workspace_id), "project_id": str(project_id)}
        self.seen_by.setdefault(user, {})[str(name)] = place

    def _caller(self, request: Request) -> UUID:
        """Return who asks, and note it."""
        identity = request.headers["x-taskloom-identity"]
        user_id = self._verifier.verify(identity).principal.user_id
        self.identities.append(identity)
        self.calls.append(user_id)
        return user_id

    def _seen(self, request: Request) -> dict[str, str] | None:
        user_id = self._caller(request)
        return self.seen_by.get(user_id, {}).get(request.path_params["name"])

    async def _locate(self, request: Request) -> Response:
        found = self._seen(request)
        return JSONResponse({}, 404) if found is None else JSONResponse(found)

    async def _list(self, request: Request) -> Response:
        user_id = self._caller(request)
        if self.hold is not None:
            await self.hold.wait()
        if self.answer is not None and request.url.path != "/elsewhere":
            return self.answer
        rows = [
            {"workspace_id": str(workspace), "role": "member", "joined_seq": first}
            for workspace, first in self.joined.get(user_id, {}).items()
        ]
        return JSONResponse({"memberships": rows})


class Reader:
    """A client's end of a socket."""

    def __init__(self, socket: websockets.ClientConnection) -> None:
        self.socket = socket

    async def frame(self, *, seconds: float = FRAME_SECONDS) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(await asyncio.wait_for(self.socket.recv(), seconds))
        return found

    async def frames(self, count: int, *, seconds: float = FRAME_SECONDS) -> list[dict[str, Any]]:
        return [await self.frame(seconds=seconds) for _ in range(count)]

    async def ready(self) -> str:
        """Take the first frame; return its cursor."""
        first = await self.frame()
        assert set(first) == {"type", "cursor"}
        assert first["type"] == "ready"
        return str(first["cursor"])

    async def until_seq(self, last: int) -> list[dict[str, Any]]:
        """Take frames up to the one with this number."""
        taken = [await self.frame()]
        while taken[-1].get("seq") != last:
            taken.append(await self.frame())
        return taken

    async def is_idle(self) -> bool:
        """Tell whether nothing but the answer to a ping comes."""
        await self.socket.send('{"type":"ping"}')
        return await self.frame() == {"type": "pong"}

    async def ask(self, message: dict[str, Any]) -> dict[str, Any]:
        """Send a message and take the next frame."""
        await self.socket.send(json.dumps(message))
        return await self.frame()

    async def closed(self, *, seconds: float = FRAME_SECONDS) -> tuple[int | None, str | None]:
        await asyncio.wait_for(self.socket.wait_closed(), seconds)
        return self.socket.close_code, self.socket.close_reason


class Lane:
    """A port that leads to another one, until it is cut."""

    def __init__(self, target: int) -> None:
        self.port = free_port()
        self._target = target
        self._server: asyncio.Server | None = None
        self._open: set[asyncio.StreamWriter] = set()

    async def restore(self) -> None:
        self._server = await asyncio.start_server(self._join, "127.0.0.1", self.port)

    async def cut(self) -> None:
        """Refuse connections, and end those that are open."""
        if self._server is not None:
            self._server.close()
            self._server = None
        for writer in list(self._open):
            writer.transport.abort()

    async def _join(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        far_reader, far_writer = await asyncio.open_connection("127.0.0.1", self._target)
        ends = {writer, far_writer}
        self._open |= ends
        await asyncio.gather(self._pass(reader, far_writer), self._pass(far_reader, writer))
        self._open -= ends

    async def _pass(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            while data := await reader.read(65536):
                writer.write(data)
                await writer.drain()
        writer.close()


@dataclass
class Service:
    """The API on a port of its own."""

    port: int
    gateway: TestGateway
    app: Any = None

    @property
    def url(self) -> str:
        return f"ws://127.0.0.1:{self.port}/api/v1/ws"

    async def open(
        self, user: UUID, cursor: str | None = None, *, headers: dict[str, str] | None = None, **options: Any
    ) -> Reader:
        """Open a socket of the user, or of the API token whose `headers` these are."""
        query = options.pop("query", {}) | ({} if cursor is None else {"cursor": cursor})
        url = f"{self.url}?{urlencode(query)}" if query else self.url
        headers = headers or self.gateway.headers(user)
        return Reader(await websockets.connect(url, additional_headers=headers, **options))

    @asynccontextmanager
    async def reading(self, user: UUID, cursor: str | None = None, **options: Any) -> AsyncIterator[Reader]:
        """Open a socket of the user and take its first frame."""
        reader = await self.open(user, cursor, **options)
        await reader.ready()
        yield reader
        await reader.socket.close()


@asynccontextmanager
async def served(app: Any) -> AsyncIterator[int]:
    """Serve an app as every process of ours is served; yield its port."""
    port = free_port()
    server = make_server(app, ProcessSettings(environment="test", shutdown_seconds=2), port)
    running = asyncio.create_task(server.serve())

    async def started() -> bool:
        return server.started

    await eventually(started)
    yield port
    server.should_exit = True
    ENDING.append(running)


@pytest.fixture(scope="session", autouse=True)
async def _servers_end() -> AsyncIterator[None]:
    yield
    await asyncio.gather(*ENDING)


@pytest.fixture(scope="session")
def database_settings(postgres_url: str, worker_id: str) -> DatabaseSettings:
    return migrated_database(postgres_url, f"notifications_{worker_id}", lambda url: upgrade(ROOT, url=url))


@pytest.fixture(scope="session")
async def database(database_settings: DatabaseSettings) -> AsyncIterator[Database]:
    # The worker's own work runs on it, too.
    found = open_database(patient(database_settings), application_name="notifications-tests")
    yield found
    await asyncio.gather(*ENDING)
    await found.close()


@pytest.fixture
async def clean(database: Database) -> None:
    """Empty the tables; other tests use workspaces and users of their own instead."""
    names = ", ".join(f'"{table.schema}"."{table.name}"' for table in METADATA.sorted_tables)
    async with database.writer.begin() as connection:
        await connection.execute(text(f"TRUNCATE {names}"))


@pytest.fixture(scope="session")
def rows(database: Database) -> Callable[..., Awaitable[list[tuple[Any, ...]]]]:
    """Runs SQL beside the service, and returns the rows."""

    async def run(statement: str, **parameters: object) -> list[tuple[Any, ...]]:
        async with database.writer.begin() as connection:
            result = await connection.execute(text(statement), parameters)
            return [tuple(row) for row in result] if result.returns_rows else []

    return run


HELD = "SELECT 1 FROM notifications.follower_position WHERE follower = :f AND stream_id = :s FOR UPDATE"


@pytest.fixture(scope="session")
def held_back(database: Database) -> Callable[[str, UUID], AbstractAsyncContextManager[None]]:
    """Lets a follower come no further in a stream for a while."""

    @asynccontextmanager
    async def held_back(follower: str, stream_id: UUID) -> AsyncIterator[None]:
        async with database.writer.begin() as connection:
            held = await connection.execute(text(HELD), {"f": follower, "s": stream_id})
            assert held.scalar_one()
            yield

    return held_back


@pytest.fixture
async def nothing_sealed(rows: Callable[..., Awaitable[list[tuple[Any, ...]]]]) -> AsyncIterator[None]:
    """Lets nothing be left that is sealed with keys that processes of other tests have not."""
    yield
    tables = sorted({str(one.column.table) for one in SEALED})
    await rows(f"TRUNCATE {', '.join(tables)} CASCADE")


@pytest.fixture(scope="session")
def contract() -> Contract:
    return Contract(openapi_document(), tests=Path(__file__).parent)


@pytest.fixture(scope="session")
def signer() -> CursorSigner:
    return CursorSigner(CURSOR_SECRET)


@pytest.fixture(scope="session")
async def tasks_server(test_gateway: TestGateway) -> AsyncIterator[tuple[TasksApi, str]]:
    api = TasksApi(test_gateway)
    async with served(api.app) as port:
        yield api, f"http://127.0.0.1:{port}"


@pytest.fixture
def tasks_api(tasks_server: tuple[TasksApi, str]) -> TasksApi:
    api, _ = tasks_server
    api.reset()
    return api


Start = Callable[..., AbstractAsyncContextManager[Service]]


@pytest.fixture(scope="session")
def start(
    database_settings: DatabaseSettings,
    database: Database,
    test_gateway: TestGateway,
    tasks_server: tuple[TasksApi, str],
    valkey_url: str,
) -> Start:
    """Starts an API with settings of its own."""

    @asynccontextmanager
    async def start(
        *,
        redis_url: str = valkey_url,
        through: Database = database,
        channels: ChannelSettings = CHANNELS,
        **own: Any,
    ) -> AsyncIterator[Service]:
        settings = ApiSettings(
            process=ProcessSettings(environment="test"),
            database=database_settings,
            redis=RedisSettings(url=SecretStr(redis_url)),
            identity=IdentityVerificationSettings(verify_key=SecretStr(test_gateway.verify_key)),
            cursors=CursorSettings(secret=SecretStr(CURSOR_SECRET)),
            egress=LOOPBACK_ALLOWED,
            sealing=SealingSettings(keys=SecretStr(SEALING_KEYS)),
            channels=channels,
            notifications=NotificationsSettings(**{"tasks_url": tasks_server[1], **own}),
        )
        app = create_app(settings, database=through, health=Health())
        async with served(app) as port:
            yield Service(port, test_gateway, app)

    return start


@pytest.fixture(scope="session")
def serving_at(test_gateway: TestGateway) -> Callable[[int], Service]:
    """What a process of its own serves on a port."""
    return lambda port: Service(port, test_gateway)


@pytest.fixture(scope="session")
def secret() -> str:
    return CURSOR_SECRET


@pytest.fixture(scope="session")
async def service(start: Start) -> AsyncIterator[Service]:
    """The API that most tests share."""
    async with start() as found:
        yield found


@pytest.fixture
async def lane(database_settings: DatabaseSettings) -> AsyncIterator[Lane]:
    """A way to the database that can be cut."""
    port = make_url(database_settings.url.get_secret_value()).port
    found = Lane(port or 5432)
    await found.restore()
    yield found
    await found.cut()


@pytest.fixture
async def distant_database(lane: Lane, database_settings: DatabaseSettings) -> AsyncIterator[Database]:
    """The same database at the end of the lane."""
    url = make_url(database_settings.url.get_secret_value()).set(port=lane.port).render_as_string(hide_password=False)
    settings = DatabaseSettings(url=SecretStr(url), pool_size=10, **PATIENCE)
    found = open_database(settings, application_name="notifications-distant")
    yield found
    await asyncio.gather(*ENDING)
    await found.close()


@dataclass
class Feed:
    """The way of an event from the broker into the replay store."""

    transport: EventTransport
    database: Database

    async def put(self, *events: EventEnvelope) -> None:
        """Hand events to the broker."""
        messages = [Message(str(one.event_id), one.type, str(one.stream_id), one.to_json()) for one in events]
        assert await self.transport.publish(messages) == [None] * len(messages)

    async def keep(self, *events: EventEnvelope) -> None:
        """Hand events to the broker, and wait until they are in the store."""
        await self.put(*events)
        ids = [one.event_id for one in events]
        query = text("SELECT count(*) FROM notifications.inbox WHERE event_id = ANY(:ids)").bindparams(ids=ids)

        async def kept() -> bool:
            async with self.database.reader.connect() as reader:
                return bool((await reader.execute(query)).scalar_one() == len(set(ids)))

        await eventually(kept)


@asynccontextmanager
async def consumed(database: Database, transport: EventTransport, announce_to: str) -> AsyncIterator[Feed]:
    """Run the service's consumer; it announces through its own connection to `announce_to`."""
    server = open_redis(announce_to)
    one = live_consumer(server)
    stop = asyncio.Event()
    await transport.declare(one.queue)
    running = asyncio.create_task(ConsumerRunner(database, table_of(Inbox), transport, one).run(stop))
    yield Feed(transport, database)
    stop.set()
    await running
    await server.aclose()


@pytest.fixture(scope="session")
def serve_app() -> Callable[..., AbstractAsyncContextManager[int]]:
    """Serves an app on a port of its own."""
    return served


@pytest.fixture(scope="session")
def consuming() -> Callable[..., AbstractAsyncContextManager[Feed]]:
    return consumed


@pytest.fixture(scope="session")
async def feed(database: Database, valkey_url: str) -> AsyncIterator[Feed]:
    """The worker that most tests share."""
    transport = StreamsTransport(valkey_url, prefix=f"t{uuid7().hex}")
    async with consumed(database, transport, valkey_url) as found:
        yield found
    await transport.close()


Tell = Callable[..., Awaitable[int]]


@pytest.fixture(scope="session")
def tell(database: Database) -> Tell:
    """Tells a user, in a transaction, of notifications by their texts; returns the number of the last one."""

    async def tell(user: UUID, *texts: str, event_type: str = "notification.created.v1", **about: Any) -> int:
        drafts = [
            PersonalEvent(type=event_type, entity_type="notification", subject=uuid7(), resource={"text": one}, **about)
            for one in texts
        ]
        async with transaction(database) as session:
            return await tell_user(session, user_id=user, drafts=drafts)

    return tell


@pytest.fixture
def world() -> World:
    return World()


@pytest.fixture
async def team(world: World, feed: Feed) -> tuple[UUID, UUID]:
    """Two members of the world, whom the projection knows."""
    ann, bob = uuid7(), uuid7()
    await feed.keep(world.joins(ann), world.joins(bob))
    return ann, bob


LARGE_EVENTS = """
    INSERT INTO notifications.stream_event
    SELECT :w, n, 'task.created.v1', CAST(:members AS uuid[]),
           jsonb_build_object('seq', n, 'type', 'task.created', 'data', repeat('x', 40000)), now()
    FROM generate_series(CAST(:first AS bigint), CAST(:last AS bigint)) AS n
"""
HEAD = "UPDATE notifications.stream_head SET contiguous_seq = :last WHERE workspace_id = :w"


@pytest.fixture
def long_past(
    world: World, team: tuple[UUID, UUID], rows: Callable[..., Awaitable[list[tuple[Any, ...]]]]
) -> Callable[[int], Awaitable[None]]:
    """Gives the world events up to a number, each of 40 kB, as if they had come long ago."""

    async def make(last: int) -> None:
        await rows(LARGE_EVENTS, w=world.id, members=list(team), first=world.seq + 1, last=last)
        await rows(HEAD, w=world.id, last=last)
        world.seq = last

    return make


@pytest.fixture
def lines() -> Callable[[], AbstractAsyncContextManager[list[dict[str, Any]]]]:
    """Catches log lines with everything that is bound to them."""

    @asynccontextmanager
    async def catch() -> AsyncIterator[list[dict[str, Any]]]:
        with structlog.testing.capture_logs(processors=[structlog.contextvars.merge_contextvars]) as caught:
            yield caught

    return catch
