"""From the outbox to the broker: in order within a stream, marked only after the confirm (R46)."""

import asyncio
import collections
import zlib
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, cast
from uuid import UUID

import structlog
from prometheus_client import Counter, Gauge
from sqlalchemy import Column, CursorResult, RowMapping, Table, any_, bindparam, func, select, text, update
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.ext.asyncio import AsyncConnection

from chassis.broker.batching import Pace
from chassis.broker.port import BrokerUnavailable, EventTransport, Message, PublishFailed
from chassis.clock import utcnow
from chassis.db.engine import Database
from chassis.db.failures import TROUBLE as STORE_TROUBLE
from chassis.db.listening import listening
from chassis.db.transactions import transaction
from chassis.outbox.envelope import EventEnvelope, EventTooLarge
from chassis.outbox.models import NEW, PARKED, SENT
from chassis.outbox.publishing import is_woken, relay_channel, wake_relay
from chassis.waiting import first_of, until

log = structlog.get_logger()

PUBLISHED = Counter("taskloom_outbox_published_total", "Events that the broker confirmed.", ["table"])
WAITING = Gauge("taskloom_outbox_waiting", "Events not yet sent.", ["table"])
OLDEST = Gauge("taskloom_outbox_oldest_seconds", "Age of the oldest event not yet sent, in seconds.", ["table"])
PARKED_ROWS = Counter("taskloom_outbox_parked_total", "Events given up, since no broker would take them.", ["table"])
STUCK = Gauge("taskloom_outbox_stuck", "Events refused 20 times or more, each holding its stream back.", ["table"])

BATCH = 200
STREAM_SHARE = 20
RENEWED = 1_000
POLL_SECONDS = 1.0
GATHER_SECONDS = 0.01
"""How long events may wait for others after those before them, on a machine that has time; see Pace."""
MEASURE_SECONDS = 5.0
STUCK_AFTER = 20
MAX_BACKOFF_SECONDS = 60.0
MAX_DOUBLINGS = 6
MAX_COUNTED = 32_000
TROUBLE = (*STORE_TROUBLE, BrokerUnavailable)


@dataclass(frozen=True)
class Source:
    """A table to relay: any with the columns of RelayedMixin. `stream` and `sequence` order its rows.

    Events of the `optional` types may go to nobody; any other is kept, with what follows it in its stream, and tried
    again until a queue is bound for it and has room. Only an event that no broker would take, since it is too large, is
    parked.
    """

    table: Table
    stream: Column[Any]
    sequence: Column[Any]
    envelope: Callable[[RowMapping], EventEnvelope]
    optional: frozenset[str] = frozenset()


def outbox_source(table: Table, *, service: str, optional: frozenset[str] = frozenset()) -> Source:
    """Describe a plain outbox table; `optional` as in Source."""

    def envelope(row: RowMapping) -> EventEnvelope:
        names = EventEnvelope.model_fields.keys() - {"source"}
        return EventEnvelope(source=f"/taskloom/{service}", **{name: row[name] for name in names})

    return Source(table, table.c.stream_id, table.c.sequence, envelope, optional)


class OutboxRelay:
    """Sends what a table holds. Of several relays of one table one works, the others stand by to take over."""

    def __init__(
        self, database: Database, source: Source, transport: EventTransport, *, poll_seconds: float = POLL_SECONDS
    ) -> None:
        self._database = database
        self._source = source
        self._transport = transport
        self._poll_seconds = poll_seconds
        self._woken = asyncio.Event()
        self._pace = Pace(GATHER_SECONDS)
        self._measured_at = float("-inf")
        self._name = f"{source.table.schema}.{source.table.name}"
        self._due = due_rows(source)
        self._sent = sent_rows(source)
        self._lock = zlib.crc32(f"relay:{self._name}".encode())

    async def run(self, stop: asyncio.Event) -> None:
        """Relay until `stop` is set. Trouble with database or broker is logged and tried again."""
        pause = POLL_SECONDS
        while not stop.is_set():
            try:
                async with self._leadership() as connection:
                    while connection is not None and not stop.is_set():
                        await self._round(connection, stop)
                        pause = POLL_SECONDS
            except TROUBLE as error:
                log.warning("relay.trouble", table=self._name, reason=type(error).__name__)
                pause = min(pause * 2, 5.0)
            await first_of(stop, seconds=pause)

    async def _round(self, connection: AsyncConnection, stop: asyncio.Event) -> None:
        """Send everything that is due, then sleep until woken or polled."""
        await until(self._pace.next_at, stop)
        self._woken.clear()
        while await self._send_batch(connection) and not stop.is_set():
            pass
        await self._measure(connection)
        await first_of(self._woken, stop, seconds=self._poll_seconds)

    @asynccontextmanager
    async def _leadership(self) -> AsyncIterator[AsyncConnection | None]:
        """Give the connection that holds the lock and listens, or None while another relay has it."""
        async with self._database.primary.connect() as connection:
            leads = (await connection.execute(select(func.pg_try_advisory_lock(self._lock)))).scalar_one()
            if not leads:
                yield None
                return
            # The lock lives and dies with the connection, as the listening does.
            async with listening(connection, relay_channel(self._source.table), heard=self._hear):
                yield connection

    def _hear(self, payload: str) -> None:
        if is_woken(self._source.table, payload):
            self._woken.set()

    async def _send_batch(self, connection: AsyncConnection) -> bool:
        """Send a batch; return whether there may be more that can be sent at once.

        There is not after rows that are all there were, without a failure: of what is committed meanwhile we are told.
        """
        self._pace.begin()
        rows = (await connection.execute(self._due)).mappings().all()
        if not rows:
            return False
        more = await self._send(connection, rows)
        self._pace.end(is_full=more)
        return more

    async def _send(self, connection: AsyncConnection, rows: Sequence[RowMapping]) -> bool:
        messages, too_large = self._messages(rows)
        outcomes = await self._transport.publish(messages) if messages else []
        failures = {**too_large, **_failures(messages, outcomes)}
        sent, failed = split_prefix(rows, failures, self._source.stream.name)
        await self._mark_sent(connection, sent)
        for row in failed:
            event_id = str(row["event_id"])
            if event_id in too_large:
                await self._park(connection, row, too_large[event_id])
            else:
                await self._postpone(connection, row, failures[event_id])
        return bool(sent or too_large) and (bool(failed) or self._may_leave_more(rows))

    def _may_leave_more(self, rows: Sequence[RowMapping]) -> bool:
        """Tell whether there may be rows beyond these: of all streams, or of one that has had its share."""
        of_each = collections.Counter(row[self._source.stream.name] for row in rows)
        return len(rows) >= BATCH or max(of_each.values()) >= STREAM_SHARE

    def _messages(self, rows: Sequence[RowMapping]) -> tuple[list[Message], dict[str, str]]:
        messages: list[Message] = []
        too_large: dict[str, str] = {}
        for row in rows:
            envelope = self._source.envelope(row)
            try:
                body = envelope.to_json()
            except EventTooLarge as error:
                too_large[str(envelope.event_id)] = str(error)
                continue
            mandatory = envelope.type not in self._source.optional
            messages.append(
                Message(str(envelope.event_id), envelope.type, str(envelope.stream_id), body, mandatory=mandatory)
            )
        return messages, too_large

    async def _mark_sent(self, connection: AsyncConnection, rows: Sequence[RowMapping]) -> None:
        if not rows:
            return
        await connection.execute(self._sent, {"event_ids": [row["event_id"] for row in rows], "now": utcnow()})
        PUBLISHED.labels(self._name).inc(len(rows))

    async def send_again(self, sent_since: datetime | None = None) -> int:
        """Make parked events new, and those that were sent since an instant; return how many there were.

        It goes through the table by its key, a thousand rows a transaction: each is short, however large the table is.
        """
        moved, last = 0, UUID(int=0)
        while ids := await self._ids_after(last):
            moved, last = moved + await self._renew(ids, sent_since), ids[-1]
        return moved

    async def _ids_after(self, last: UUID) -> Sequence[UUID]:
        key = self._source.table.c.event_id
        async with self._database.writer.connect() as connection:
            return (await connection.scalars(select(key).where(key > last).order_by(key).limit(RENEWED))).all()

    async def _renew(self, ids: Sequence[UUID], sent_since: datetime | None) -> int:
        table = self._source.table
        wanted = table.c.state == PARKED
        if sent_since is not None:
            wanted |= table.c.sent_at >= sent_since
        anew = {"state": NEW, "attempts": 0, "available_at": None, "sent_at": None}
        statement = update(table).where(table.c.event_id == func.any(ids), wanted).values(anew)
        async with transaction(self._database) as session:
            moved = cast("CursorResult[Any]", await session.execute(statement)).rowcount
            if moved:
                wake_relay(session, table)
        return moved

    async def _postpone(self, connection: AsyncConnection, row: RowMapping, reason: str) -> None:
        """Try a refused event again in 1 to 60 seconds, however often: what follows it must not overtake it."""
        attempts = min(row["attempts"] + 1, MAX_COUNTED)
        delay = min(2.0 ** min(attempts - 1, MAX_DOUBLINGS), MAX_BACKOFF_SECONDS)
        await self._update(connection, row, attempts=attempts, available_at=utcnow() + timedelta(seconds=delay))
        fields = {"table": self._name, "event_id": str(row["event_id"]), "type": row["type"], "reason": reason}
        if attempts >= STUCK_AFTER:
            log.error("outbox.stuck", attempts=attempts, **fields)
        else:
            log.warning("outbox.refused", attempts=attempts, **fields)

    async def _park(self, connection: AsyncConnection, row: RowMapping, reason: str) -> None:
        await self._update(connection, row, state=PARKED)
        PARKED_ROWS.labels(self._name).inc()
        log.error("outbox.parked", table=self._name, event_id=str(row["event_id"]), type=row["type"], reason=reason)

    async def _update(self, connection: AsyncConnection, row: RowMapping, **values: Any) -> None:
        table = self._source.table
        await connection.execute(update(table).where(table.c.event_id == row["event_id"]).values(**values))

    async def _measure(self, connection: AsyncConnection) -> None:
        """Tell the metrics how much waits; counting it costs more than sending it, so not after every batch."""
        now = asyncio.get_running_loop().time()
        if now - self._measured_at < MEASURE_SECONDS:
            return
        self._measured_at = now
        table = self._source.table
        age = func.extract("epoch", func.now() - func.min(table.c.occurred_at))
        stuck = func.count().filter(table.c.attempts >= STUCK_AFTER)
        query = select(func.count(), func.coalesce(age, 0), stuck).select_from(table).where(table.c.state == NEW)
        waiting, oldest, stuck_now = (await connection.execute(query)).one()
        WAITING.labels(self._name).set(waiting)
        STUCK.labels(self._name).set(stuck_now)
        OLDEST.labels(self._name).set(float(oldest))


def due_rows(source: Source) -> Any:
    """Select up to 200 unsent rows: of each stream its oldest, at most 20, all streams taking turns.

    A stream whose first row is being held back is left out. The walk goes from stream to stream over the index of
    unsent rows, so it costs as much as there are streams in the batch, however many rows wait in one of them. The
    state is a literal, since a plan for any state could not use that index.
    """
    table, stream, sequence = source.table.fullname, source.stream.name, source.sequence.name
    first = f"SELECT {stream} AS stream, available_at FROM {table} WHERE state = 'new'"  # noqa: S608 - all names are our own
    order = f"ORDER BY {stream}, {sequence} LIMIT 1"
    columns = ", ".join(f"row.{column.name}" for column in source.table.columns)
    statement = f"""
        WITH RECURSIVE streams AS (
            ({first} {order})
            UNION ALL
            SELECT next.* FROM streams CROSS JOIN LATERAL ({first} AND {stream} > streams.stream {order}) AS next
        ), due AS (
            SELECT stream FROM streams WHERE available_at IS NULL OR available_at <= now() LIMIT {BATCH}
        )
        SELECT {columns} FROM due CROSS JOIN LATERAL (
            SELECT *, row_number() OVER (ORDER BY {sequence}) AS turn FROM {table}
            WHERE state = 'new' AND {stream} = due.stream ORDER BY {sequence} LIMIT {STREAM_SHARE}
        ) AS row
        ORDER BY row.turn, row.{stream} LIMIT {BATCH}
    """  # noqa: S608 - same
    return text(statement).columns(*source.table.columns)


def sent_rows(source: Source) -> Any:
    """Mark the rows of `event_ids` as sent `now`; made once, since making it takes half a millisecond."""
    table = source.table
    marked = table.c.event_id == any_(bindparam("event_ids", type_=ARRAY(table.c.event_id.type)))
    return update(table).where(marked).values(state=SENT, sent_at=bindparam("now"))


def split_prefix(
    rows: Sequence[RowMapping], failures: dict[str, str], stream: str
) -> tuple[list[RowMapping], list[RowMapping]]:
    """Split rows, ordered within each stream, into those to mark and the first failed one of each stream.

    What follows a failure in its stream is in neither: it stays new and goes out again after it.
    """
    sent: list[RowMapping] = []
    failed: dict[Any, RowMapping] = {}
    for row in rows:
        if row[stream] in failed:
            continue
        if str(row["event_id"]) in failures:
            failed[row[stream]] = row
        else:
            sent.append(row)
    return sent, list(failed.values())


def _failures(messages: Sequence[Message], outcomes: Sequence[PublishFailed | None]) -> dict[str, str]:
    pairs = zip(messages, outcomes, strict=True)
    return {message.id: f"{type(outcome).__name__}: {outcome}" for message, outcome in pairs if outcome is not None}
