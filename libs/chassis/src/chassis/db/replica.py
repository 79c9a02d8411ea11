"""The replica that reads go to while it is near enough to the primary (R41), and the primary while it is not.

Whether it is, one task of each process looks at every second; no request pays for that. How far behind it is, is told
by where the primary was at which time: clocks of two machines need not agree, and a primary where nothing happens
makes nobody late.
"""

import asyncio
from collections import deque
from collections.abc import Mapping
from typing import Any, Protocol

import structlog
from prometheus_client import Gauge
from sqlalchemy import event, text
from sqlalchemy.exc import DisconnectionError
from sqlalchemy.ext.asyncio import AsyncEngine

from chassis.db.failures import TROUBLE
from chassis.waiting import first_of

log = structlog.get_logger()

LAG = Gauge("taskloom_database_replica_lag_seconds", "How far the replica is behind the primary, as last seen.")
USED = Gauge("taskloom_database_replica_used", "1 while reads go to the replica, 0 while they go to the primary.")

LOOK_SECONDS = 1.0
ANSWER_SECONDS = 2.0
RETURNS_BELOW = 0.5
"""Which part of what it may lag a replica has to come below to be read from again, so that it does not come and go."""
KEPT_MARKS = 3600

ON_REPLICA = "on_replica"
IS_NEW = "is_new"

PRIMARY_IS_AT = text("SELECT (pg_current_wal_flush_lsn() - '0/0'::pg_lsn)::bigint")
# A server that is no replica is one that reads may go to only where it is the primary itself.
REPLICA_IS_AT = text("""
    SELECT (pg_last_wal_replay_lsn() - '0/0'::pg_lsn)::bigint AS position,
           pg_is_in_recovery() AS is_replica, pg_postmaster_start_time() AS started_at
""")
STARTED_AT = text("SELECT pg_postmaster_start_time()")


class ReplicaNotUsed(Exception):
    """Reads go to the primary at the moment."""


class Trail:
    """Where the primary was at which time, as far as the replica has not come to it yet."""

    def __init__(self) -> None:
        self._marks: deque[tuple[float, int]] = deque(maxlen=KEPT_MARKS)
        self._has_met = False

    def note(self, at: float, position: int) -> None:
        """Note where the primary is; one that is behind where it was has been restored, and nothing is known of it."""
        if self._marks and position < self._marks[-1][1]:
            self._marks.clear()
            self._has_met = False
        if not self._marks or position != self._marks[-1][1]:
            self._marks.append((at, position))

    def lag(self, at: float, position: int) -> float | None:
        """Return by how many seconds a position is behind; None while nothing that was noted has come there yet."""
        while len(self._marks) > 1 and self._marks[0][1] <= position:
            self._marks.popleft()
            self._has_met = True
        if not self._marks:
            return None
        noted_at, wanted = self._marks[0]
        if wanted <= position:
            self._has_met = True
            return 0.0
        return max(0.0, at - noted_at) if self._has_met else None


class Connecting(Protocol):
    """What of SQLAlchemy's dialect is used here."""

    loaded_dbapi: Any

    def connect(self, *cargs: Any, **cparams: Any) -> Any: ...


class Replica:
    """Decides where the connections of reads lead; at first to the primary."""

    def __init__(self, engine: AsyncEngine, *, max_lag_seconds: float, parameters: Mapping[str, Any]) -> None:
        """Take an engine for looking at the replica, and the parameters that a connection to it has for itself."""
        self._engine = engine
        self._max_lag = max_lag_seconds
        self._parameters = parameters
        self._trail = Trail()
        self.is_used = False

    def serve(self, reader: AsyncEngine) -> None:
        """Lead the connections of an engine, which is one of the primary, to the replica while that is used."""
        event.listen(reader.sync_engine, "do_connect", self._connect)
        event.listen(reader.sync_engine, "checkout", self._leave_the_other_server)

    def _connect(self, dialect: Connecting, record: Any, cargs: list[Any], cparams: dict[str, Any]) -> Any:
        record.info[IS_NEW] = True
        if self.is_used:
            try:
                found = dialect.connect(*cargs, **{**cparams, **self._parameters})
            except (*TROUBLE, dialect.loaded_dbapi.Error) as error:
                # Not the next look, but this request finds it gone: it need not fail for that.
                self._decide(is_used=False, reason=type(error).__name__)
            else:
                record.info[ON_REPLICA] = True
                return found
        return dialect.connect(*cargs, **cparams)

    def _leave_the_other_server(self, dbapi_connection: Any, record: Any, _proxy: Any) -> None:
        """Have a connection to the server that reads do not go to any more replaced, when it is taken next.

        One that was made for this very taking is taken: the pool tries only twice.
        """
        if record.info.pop(IS_NEW, False):
            return
        is_on_replica = record.info.get(ON_REPLICA, False)
        if is_on_replica == self.is_used:
            return
        if is_on_replica:
            # A server that is silent would not answer to a good-bye either.
            dbapi_connection.driver_connection.terminate()
        raise DisconnectionError

    async def watch(self, primary: AsyncEngine, stop: asyncio.Event) -> None:
        """Look at both servers until `stop` is set."""
        while not stop.is_set():
            await self.look(primary)
            await first_of(stop, seconds=LOOK_SECONDS)

    async def look(self, primary: AsyncEngine) -> None:
        """Look at both servers once, and decide."""
        now = asyncio.get_running_loop().time
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                await self._note_primary(primary, now())
        except TROUBLE as error:
            # Without it nothing is written that the replica could lack.
            log.warning("replica.primary_silent", reason=type(error).__name__)
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                lag = await self._lag(primary, now())
        except TROUBLE as error:
            self._decide(is_used=False, reason=type(error).__name__)
            return
        if lag is None:
            self._decide(is_used=False, reason="unknown")
            return
        LAG.set(lag)
        limit = self._max_lag if self.is_used else self._max_lag * RETURNS_BELOW
        self._decide(is_used=lag <= limit, reason="lag")

    async def _note_primary(self, primary: AsyncEngine, at: float) -> None:
        async with primary.connect() as connection:
            self._trail.note(at, (await connection.execute(PRIMARY_IS_AT)).scalar_one())

    async def _lag(self, primary: AsyncEngine, at: float) -> float | None:
        async with self._engine.connect() as connection:
            found = (await connection.execute(REPLICA_IS_AT)).one()
        if found.is_replica:
            return self._trail.lag(at, found.position)
        async with primary.connect() as connection:
            is_primary = (await connection.execute(STARTED_AT)).scalar_one() == found.started_at
        return 0.0 if is_primary else None

    def _decide(self, *, is_used: bool, reason: str) -> None:
        if is_used != self.is_used:
            self.is_used = is_used
            (log.info if is_used else log.warning)("replica.used" if is_used else "replica.left_out", reason=reason)
        USED.set(is_used)

    async def close(self) -> None:
        """Close what it looks with."""
        await self._engine.dispose()

    async def check(self) -> None:
        """Raise ReplicaNotUsed while reads go to the primary; a health check that is reported."""
        if not self.is_used:
            raise ReplicaNotUsed
