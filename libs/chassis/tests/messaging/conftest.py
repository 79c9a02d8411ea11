"""A database with an outbox, an inbox and a table of effects, and both transports."""

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from uuid import UUID

import pytest
from chassis.broker.port import EventTransport, RetryPolicy
from chassis.broker.rabbitmq import RabbitTransport
from chassis.broker.stream_members import StreamTiming
from chassis.broker.streams import StreamsTransport
from chassis.clock import utcnow
from chassis.db.engine import Database, open_database
from chassis.ids import uuid7
from chassis.outbox.envelope import EventEnvelope
from chassis.settings import DatabaseSettings
from pydantic import SecretStr
from sqlalchemy import text
from testkit.databases import PATIENCE, create_database
from testkit.sample import Base
from testkit.servers import Server

DELAYS = (0.1, 0.2)


@pytest.fixture(scope="session")
def sample_url(postgres_url: str, worker_id: str) -> str:
    return create_database(postgres_url, f"messaging_{worker_id}")


@pytest.fixture
async def database(sample_url: str) -> AsyncIterator[Database]:
    settings = DatabaseSettings(url=SecretStr(sample_url), **PATIENCE)
    found = open_database(settings, application_name="messaging-tests")
    async with found.writer.begin() as connection:
        await connection.execute(text("DROP SCHEMA IF EXISTS sample CASCADE"))
        await connection.execute(text("CREATE SCHEMA sample"))
        await connection.run_sync(Base.metadata.create_all)
    yield found
    await found.close()


@dataclass
class Broker:
    """One of the two transports, on a name space of its own; `open` gives further connections to it."""

    name: str
    url: str
    space: str
    opened: list[EventTransport] = field(default_factory=list)

    def open(self, url: str | None = None) -> EventTransport:
        url = url or self.url
        policy = RetryPolicy(DELAYS)
        transport: EventTransport
        if self.name == "streams":
            timing = StreamTiming(alive=0.6, look=0.05, lost=0.6)
            transport = StreamsTransport(url, prefix=self.space, policy=policy, timing=timing)
        else:
            transport = RabbitTransport(url, policy=policy, exchange=self.space)
        self.opened.append(transport)
        return transport

    @property
    def acknowledgement(self) -> bytes:
        """What the request that acknowledges a message contains."""
        return b"XACK" if self.name == "streams" else bytes((0, 60, 0, 80))

    def queue(self, subject: str) -> str:
        return f"{self.space}.{subject}"


@pytest.fixture(params=["streams", pytest.param("rabbitmq", marks=pytest.mark.rabbitmq)])
async def broker(request: pytest.FixtureRequest) -> AsyncIterator[Broker]:
    fixture = {"streams": "valkey_url", "rabbitmq": "rabbitmq_url"}[request.param]
    found = Broker(request.param, request.getfixturevalue(fixture), f"t{uuid7().hex}")
    yield found
    for transport in found.opened:
        await transport.close()


@pytest.fixture
async def own_streams(own_valkey: Server) -> AsyncIterator[StreamsTransport]:
    """A streams broker of one test. It is closed after what uses it in `tasks` has ended, where those come later."""
    transport = StreamsTransport(own_valkey.url)
    yield transport
    await transport.close()


@pytest.fixture
def make_event() -> Callable[..., EventEnvelope]:
    def make(stream_id: UUID | None = None, sequence: int = 1, event_type: str = "thing.made.v1") -> EventEnvelope:
        return EventEnvelope(
            event_id=uuid7(),
            type=event_type,
            source="/taskloom/sample",
            subject=uuid7(),
            occurred_at=utcnow(),
            stream_id=stream_id or uuid7(),
            sequence=sequence,
            data={"request_id": "request-1", "text": "grüße 漢字"},
        )

    return make


@pytest.fixture
async def tasks() -> AsyncIterator[Callable[..., asyncio.Task[None]]]:
    """Starts background work, and cancels what is left of it at the end."""
    started: list[asyncio.Task[None]] = []

    def start(work: object) -> asyncio.Task[None]:
        task = asyncio.ensure_future(work)
        started.append(task)
        return task

    yield start
    for task in started:
        task.cancel()
    await asyncio.gather(*started, return_exceptions=True)
