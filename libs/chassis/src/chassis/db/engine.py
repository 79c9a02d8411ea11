"""Engines: one that writes in transactions, one that reads in single AUTOCOMMIT statements (R37)."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import asyncpg
import orjson
from sqlalchemy import event, exc
from sqlalchemy.engine import ExceptionContext, make_url
from sqlalchemy.exc import InterfaceError
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, async_sessionmaker, create_async_engine
from sqlalchemy.pool import AsyncAdaptedQueuePool

from chassis.context import has_just_written
from chassis.db.beginning import BeginningConnection, forget_beginning
from chassis.db.binding import bind_when_taken
from chassis.db.failures import lost
from chassis.db.pooling import FairPool, ReadingPool
from chassis.db.replica import Replica
from chassis.db.telling import TELLER, Teller, TellingSession
from chassis.settings import DatabaseSettings

SERVER_SETTINGS = {
    "tcp_user_timeout": "10000",
    "jit": "off",
}
RECYCLE_SECONDS = 1800
CONNECT_SECONDS = 5
REPLICA_CONNECT_SECONDS = 2
"""Less than that: there is another server to ask."""
KEPT_STATEMENTS = 200
"""Compiled statements that reads keep: callers who filter give them ever new shapes, of some 100 kB each."""


@dataclass(frozen=True, slots=True)
class Database:
    """The engines of one process and the factory of its writing sessions.

    `primary` is the writer's server, for statements that stand alone: reads that a lagging replica must not answer.
    Where there is a `replica` that the `reader` may lead to, `primary_reader` reads the primary as that would.
    `teller` says what `sessions` have committed.
    """

    writer: AsyncEngine
    reader: AsyncEngine
    sessions: async_sessionmaker[AsyncSession]
    replica: Replica | None = None
    primary_reader: AsyncEngine | None = None
    teller: Teller | None = None
    primary: AsyncEngine = field(init=False)

    def __post_init__(self) -> None:
        # Made once: to make one takes longer than most of what it is asked.
        object.__setattr__(self, "primary", self.writer.execution_options(isolation_level="AUTOCOMMIT"))

    @property
    def reader_of_request(self) -> AsyncEngine:
        """The reader of the current request, which for a user who has written a moment ago is the primary's (R41)."""
        if self.primary_reader is not None and has_just_written():
            return self.primary_reader
        return self.reader

    @property
    def reported(self) -> Mapping[str, Callable[[], Awaitable[None]]]:
        """Health checks that are shown and decide nothing: whether reads go to the replica, where there is one."""
        return {} if self.replica is None else {"replica": self.replica.check}

    async def watch_replica(self, stop: asyncio.Event) -> None:
        """Let reads go to the replica while it is near enough to the primary: work of a process that has reads."""
        if self.replica is None:
            await stop.wait()
        else:
            await self.replica.watch(self.primary, stop)

    async def close(self) -> None:
        """Say what is still to be said, and close every pooled connection."""
        if self.teller is not None:
            await self.teller.close()
        await self.writer.dispose()
        await self.reader.dispose()
        if self.primary_reader is not None:
            await self.primary_reader.dispose()
        if self.replica is not None:
            await self.replica.close()


def open_database(settings: DatabaseSettings, *, application_name: str) -> Database:
    """Make the engines; nothing connects before the first use.

    Reads go to the primary until the process watches its replica, if it has one (`Database.watch_replica`).
    Reads run on AUTOCOMMIT connections without a reset on return: one statement is one round trip. Each is bound to its
    caller when it is taken (chassis.db.binding).
    """
    writer = _engine(
        settings.url.get_secret_value(), settings, application_name, pool_timeout=settings.write_wait_seconds
    )
    reader, replica = _reader(settings, application_name), _replica(settings, application_name)
    primary_reader = None
    if replica is not None:
        replica.serve(reader)
        primary_reader = _bound_when_taken(_reader(settings, application_name))
    teller = Teller(_teller_engine(settings, application_name))
    sessions = async_sessionmaker(
        writer, expire_on_commit=False, autoflush=False, sync_session_class=TellingSession, info={TELLER: teller}
    )
    return Database(writer, _bound_when_taken(reader), sessions, replica, primary_reader, teller)


def written_as_json(value: Any) -> str:
    """Return JSON as the driver takes it."""
    return orjson.dumps(value).decode()


def _teller_engine(settings: DatabaseSettings, application_name: str) -> AsyncEngine:
    """Make the engine of one connection more, which never waits for those of requests."""
    return _engine(
        settings.url.get_secret_value(),
        settings.model_copy(update={"pool_size": 1}),
        application_name,
        pool_timeout=settings.write_wait_seconds,
        isolation_level="AUTOCOMMIT",
        pool_reset_on_return=None,
    )


def _reader(settings: DatabaseSettings, application_name: str) -> AsyncEngine:
    return _engine(
        settings.url.get_secret_value(),
        settings,
        application_name,
        pool_timeout=settings.pool_wait_seconds,
        poolclass=ReadingPool,
        query_cache_size=KEPT_STATEMENTS,
        isolation_level="AUTOCOMMIT",
        pool_reset_on_return=None,
    )


def _bound_when_taken(reader: AsyncEngine) -> AsyncEngine:
    """Have each connection bound when it is taken: last of all that happens then, as it may be replaced before."""
    event.listen(reader.sync_engine, "checkout", bind_when_taken)
    return reader


def _replica(settings: DatabaseSettings, application_name: str) -> Replica | None:
    if settings.replica_url is None:
        return None
    looking = _engine(
        settings.replica_url.get_secret_value(),
        settings,
        application_name,
        pool_timeout=settings.pool_wait_seconds,
        isolation_level="AUTOCOMMIT",
    )
    _, parameters = looking.dialect.create_connect_args(looking.url)
    return Replica(
        looking,
        max_lag_seconds=settings.replica_max_lag_seconds,
        parameters={**parameters, "timeout": REPLICA_CONNECT_SECONDS},
    )


def _engine(
    url: str,
    settings: DatabaseSettings,
    application_name: str,
    *,
    poolclass: type[AsyncAdaptedQueuePool] = FairPool,
    **options: Any,
) -> AsyncEngine:
    engine = create_async_engine(
        make_url(url).set(drivername="postgresql+asyncpg"),
        poolclass=poolclass,
        pool_size=settings.pool_size,
        max_overflow=0,
        pool_recycle=RECYCLE_SECONDS,
        pool_use_lifo=True,
        # Errors go to the log, and the values of a statement do not belong there (R65).
        hide_parameters=True,
        json_serializer=written_as_json,
        json_deserializer=orjson.loads,
        connect_args={
            "connection_class": BeginningConnection,
            "timeout": CONNECT_SECONDS,
            "command_timeout": settings.command_seconds,
            "server_settings": {
                "application_name": application_name,
                "statement_timeout": str(round(settings.statement_seconds * 1000)),
                "lock_timeout": str(round(settings.lock_seconds * 1000)),
                "idle_in_transaction_session_timeout": str(round(settings.idle_seconds * 1000)),
                **SERVER_SETTINGS,
            },
        },
        **options,
    )
    event.listen(engine.sync_engine, "checkout", _refuse_closed_connection)
    event.listen(engine.sync_engine, "checkout", forget_beginning)
    event.listen(engine.sync_engine, "handle_error", _give_up_silent_connection)
    event.listen(engine.sync_engine, "handle_error", _give_up_lost_connection)
    return engine


def _give_up_lost_connection(context: ExceptionContext) -> InterfaceError | None:
    """Throw away a connection whose server has said that it ends, which the driver takes for a mistake of its own."""
    error, connection = context.original_exception, context.connection
    if not isinstance(error, asyncpg.InternalClientError):
        return None
    if connection is not None and not connection.invalidated:
        connection.invalidate()
    return lost(error)


def _give_up_silent_connection(context: ExceptionContext) -> None:
    """Throw away a connection whose server does not answer, and the idle ones with it.

    PostgreSQL ends a slow statement before our own timeout, so the machine or the way to it is gone. A rollback over
    such a connection would wait as long again.
    """
    connection = context.connection
    if isinstance(context.original_exception, TimeoutError) and connection is not None and not connection.invalidated:
        driver = connection.connection.driver_connection
        if driver is not None:
            driver.terminate()
        context.is_disconnect = True


def _refuse_closed_connection(dbapi_connection: Any, _record: Any, _proxy: Any) -> None:
    """Make the pool replace a connection that the server closed; unlike a ping this costs no round trip."""
    if dbapi_connection.driver_connection.is_closed():
        raise exc.DisconnectionError
