"""The roles of a service beside its API: consumers, relay, periodic jobs; each alone or all in one process."""

import argparse
import asyncio
import sys
import zlib
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Protocol

import orjson
import structlog
from sqlalchemy import Table, func, select
from sqlalchemy.ext.asyncio import AsyncSession

from chassis.broker.consumer import Consumer, ConsumerRunner
from chassis.broker.opening import open_transport
from chassis.broker.port import EventTransport, Queue
from chassis.broker.relay import OutboxRelay, Source
from chassis.db.engine import Database, open_database
from chassis.db.migrations import upgrade
from chassis.db.transactions import transaction
from chassis.process import Work, run_process
from chassis.roles import Role
from chassis.settings import BrokerSettings, DatabaseSettings, ProcessSettings, load_settings
from chassis.waiting import first_of
from chassis.web.health import Check, Health

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Job:
    """Something to do every `seconds`, in a transaction of its own; of several replicas one does it at a time.

    A run that returns True has left something to do, and the next one follows at once.
    """

    name: str
    seconds: float
    run: Callable[[AsyncSession], Awaitable[bool | None]]


@dataclass(frozen=True)
class Background:
    """Everything that a service does beside answering requests.

    `work` is what the worker does beside consuming; of it several replicas run at once. `reported` checks are shown
    in /readyz and decide nothing.
    """

    service: str
    inbox: Table | None = None
    consumers: Sequence[Consumer] = ()
    sources: Sequence[Source] = ()
    jobs: Sequence[Job] = ()
    checks: Callable[[Database], Mapping[str, Check]] = field(default=lambda _: {})
    work: Callable[[Database], Sequence[Work]] = field(default=lambda _: ())
    reported: Mapping[str, Check] = field(default_factory=dict)


class BackgroundSettings(Protocol):
    """The groups of a service's settings that its background roles need."""

    @property
    def process(self) -> ProcessSettings: ...
    @property
    def database(self) -> DatabaseSettings: ...
    @property
    def broker(self) -> BrokerSettings: ...


Open = Callable[[], tuple[BackgroundSettings, Background]]

BROKER_SECONDS = 60.0
BROKER_PAUSE_SECONDS = 0.5
PARTS = ("worker", "relay", "scheduler")
CONNECTION_SECONDS = 15.0
"""How long work that nobody waits for stands in line for a connection: less than a message may take."""


@dataclass(frozen=True)
class MigrationSettings:
    """What bringing a schema and queues up to date needs."""

    database: DatabaseSettings
    broker: BrokerSettings


@dataclass(frozen=True)
class SchemaSettings:
    """The same for a service that takes in no events."""

    database: DatabaseSettings


def background_roles(
    open_service: Open, *, root: Path, queues: Sequence[Queue] = (), parts: Sequence[str] = PARTS
) -> dict[str, Role]:
    """Return the roles of a service by name.

    They are each of `parts` alone, `background`, which is all of them, `migrate` and `redrive`. `open_service`
    reads the settings and says what there is to do; it runs when a role starts. `root` is the service's folder, which
    has the migrations, and `queues` are those of its consumers.
    """
    alone = {part: _role(part, (part,), open_service) for part in parts}
    return {
        **alone,
        "background": _role("background", parts, open_service),
        "migrate": _migrate_role(root, queues),
        "redrive": _redrive_role(open_service),
    }


def _migrate_role(root: Path, queues: Sequence[Queue]) -> Role:
    """Return the command that brings the schema up to date, and then the queues.

    It runs before any process starts: a queue that is declared later has missed what was published before.
    """

    def run(_arguments: Sequence[str]) -> int:
        settings = load_settings(MigrationSettings) if queues else load_settings(SchemaSettings)
        upgrade(root, url=settings.database.url.get_secret_value())
        if isinstance(settings, MigrationSettings):
            asyncio.run(declare_queues(settings.broker, queues))
        return 0

    return run


async def declare_queues(settings: BrokerSettings, queues: Sequence[Queue]) -> None:
    """Declare the queues, waiting up to a minute for the broker. Raises what it answered last."""
    transport = open_transport(settings.url.get_secret_value())
    deadline = asyncio.get_running_loop().time() + BROKER_SECONDS
    try:
        for queue in queues:
            await _declare(transport, queue, deadline)
    finally:
        await transport.close()


async def _declare(transport: EventTransport, queue: Queue, deadline: float) -> None:
    while True:
        try:
            return await transport.declare(queue)
        except Exception as error:
            if asyncio.get_running_loop().time() > deadline:
                raise
            log.warning("broker.unavailable", queue=queue.name, reason=type(error).__name__)
            await asyncio.sleep(BROKER_PAUSE_SECONDS)


def _redrive_role(open_service: Open) -> Role:
    """Return the command that gives what was given up another chance, and prints how much that was."""

    def run(arguments: Sequence[str]) -> int:
        parser = argparse.ArgumentParser(prog="redrive", description="Tries again what was given up.")
        since = "an instant (RFC 3339): events that were sent after it are sent again, for a consumer that missed them"
        parser.add_argument("--sent-since", type=instant, metavar="INSTANT", help=since)
        wanted = parser.parse_args(arguments)
        settings, background = open_service()
        moved = asyncio.run(redrive(settings, background, sent_since=wanted.sent_since))
        sys.stdout.write(orjson.dumps(moved).decode() + "\n")
        return 0

    return run


def instant(text: str) -> datetime:
    """Return an instant of RFC 3339. Raises ValueError for anything else, a time without an offset included."""
    found = datetime.fromisoformat(text)
    if found.tzinfo is None:
        raise ValueError("an instant needs an offset, such as Z")
    return found


async def redrive(
    settings: "BackgroundSettings", background: Background, *, sent_since: datetime | None = None
) -> dict[str, int]:
    """Put the dead letters of every queue back into it, and parked events of the outbox back in line.

    So are events that were sent after `sent_since`: a consumer that has taken them in does not do so again. Return
    how many there were, by queue, and of the outbox under `outbox`.
    """
    database = open_database(settings.database, application_name=f"{background.service}-redrive")
    transport = open_transport(settings.broker.url.get_secret_value())
    try:
        moved = {one.queue.name: await transport.redrive(one.queue.name) for one in background.consumers}
        for source in background.sources:
            again = await OutboxRelay(database, source, transport).send_again(sent_since)
            moved["outbox"] = moved.get("outbox", 0) + again
        return moved
    finally:
        await transport.close()
        await database.close()


def patient(settings: DatabaseSettings) -> DatabaseSettings:
    """Return settings by which whoever finds all connections taken waits, where a request would be answered 503.

    In the background giving up saves nobody's time: the same work only comes again.
    """
    waits = ("pool_wait_seconds", "write_wait_seconds")
    return settings.model_copy(update={one: max(getattr(settings, one), CONNECTION_SECONDS) for one in waits})


def _role(name: str, parts: Sequence[str], open_service: Open) -> Role:
    def run(_arguments: Sequence[str]) -> int:
        settings, background = open_service()
        label = f"{background.service}-{name}"
        database = open_database(patient(settings.database), application_name=label)
        transport = open_transport(settings.broker.url.get_secret_value())
        return run_process(
            service=label,
            settings=settings.process,
            health=Health(
                required=background.checks(database), reported={"broker": transport.ping, **background.reported}
            ),
            work=[work for part in parts for work in _works(part, background, database, transport)],
            closing=[transport.close, database.close],
        )

    return run


def _works(part: str, background: Background, database: Database, transport: EventTransport) -> list[Work]:
    if part == "worker" and background.inbox is not None:
        inbox = background.inbox
        consumers = [ConsumerRunner(database, inbox, transport, one).run for one in background.consumers]
        return [*consumers, *background.work(database)]
    if part == "relay":
        return [OutboxRelay(database, source, transport).run for source in background.sources]
    if part == "scheduler":
        return [JobRunner(database, background.service, job).run for job in background.jobs]
    return []


class JobRunner:
    """Repeats a job until told to stop; a failing run is logged and the next one comes in its time."""

    def __init__(self, database: Database, service: str, job: Job) -> None:
        self._database = database
        self._job = job
        self._lock = zlib.crc32(f"job:{service}:{job.name}".encode())

    async def run(self, stop: asyncio.Event) -> None:
        while not stop.is_set():
            try:
                while await self._run_once() and not stop.is_set():
                    pass
            except Exception:
                log.exception("job.failed", job=self._job.name)
            await first_of(stop, seconds=self._job.seconds)

    async def _run_once(self) -> bool:
        async with transaction(self._database) as session:
            if await session.scalar(select(func.pg_try_advisory_xact_lock(self._lock))):
                return bool(await self._job.run(session))
        return False
