"""Telling other processes, after its commit, what a transaction has changed (NOTIFY).

A transaction that says so itself holds a lock of the whole server while its commit goes to disk, so that all who say
something wait for each other, and wakes every connection that listens, to whatever. So it is said by a connection of
its own, and what comes within some milliseconds at once.

What is to be said ends with its process, and with its connection: whoever listens looks by themselves now and then.
"""

import asyncio
from collections.abc import Iterable
from contextvars import Context
from typing import Any

import structlog
from sqlalchemy import event
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession
from sqlalchemy.orm import Session

from chassis.db.failures import TROUBLE

log = structlog.get_logger()

GATHER_SECONDS = 0.02
"""How long it takes at least from one statement to the next."""
CLOSE_SECONDS = 1.0
"""How long the end of a process waits for a server that may be silent."""
TELLER, TO_SAY = "taskloom_teller", "taskloom_to_say"
"""Where a session has its teller, and what is to be said after its commit."""
SAY = "SELECT pg_notify(told.channel, told.payload) FROM unnest($1::text[], $2::text[]) AS told(channel, payload)"

Saying = tuple[str, str]
"""A channel and what is said there."""


class Teller:
    """Says on channels of PostgreSQL what has been committed, one statement at a time and each thing once in it."""

    def __init__(self, engine: AsyncEngine, *, gather_seconds: float = GATHER_SECONDS) -> None:
        self._engine = engine
        self._gather_seconds = gather_seconds
        self._waiting: dict[Saying, None] = {}
        self._work: asyncio.Task[None] | None = None

    def say(self, sayings: Iterable[Saying]) -> None:
        """Say something soon, after a rest at once; trouble is logged and not tried again."""
        self._waiting.update(dict.fromkeys(sayings))
        if self._work is None or self._work.done():
            # In a context of its own: it goes on for others than whom it began for.
            self._work = asyncio.get_running_loop().create_task(self._say_all(), context=Context())

    async def close(self) -> None:
        """Say what is still to be said, within a second, and close the connection."""
        if self._work is not None:
            await asyncio.wait([self._work], timeout=CLOSE_SECONDS)
            self._work.cancel()
            await asyncio.wait([self._work])
        await self._engine.dispose()

    async def _say_all(self) -> None:
        while self._waiting:
            sayings, self._waiting = list(self._waiting), {}
            try:
                await self._send(sayings)
            except (*TROUBLE, self._engine.dialect.loaded_dbapi.Error) as error:
                log.warning("telling.trouble", reason=type(error).__name__)
            await asyncio.sleep(self._gather_seconds)

    async def _send(self, sayings: Iterable[Saying]) -> None:
        channels, payloads = zip(*sayings, strict=True)
        pooled = await self._engine.raw_connection()
        driver: Any = pooled.driver_connection
        try:
            await driver.fetch(SAY, channels, payloads)
        except BaseException:
            driver.terminate()
            raise
        finally:
            pooled.close()


class TellingSession(Session):
    """A session that knows its teller."""


def say_after_commit(session: AsyncSession, channel: str, payload: str = "") -> None:
    """Have something said on a channel once the session has committed, or never if it does not.

    What is noted within a savepoint is said also where that is rolled back: for what only wakes somebody. A payload is
    shorter than 8,000 bytes, as PostgreSQL wants it. Raises KeyError for a session that is not of a Database.
    """
    if TELLER not in session.info:
        raise KeyError(TELLER)
    session.info.setdefault(TO_SAY, {})[channel, payload] = None


def _say(session: Session) -> None:
    # The end of a savepoint is no commit.
    if not session.in_nested_transaction() and (sayings := session.info.pop(TO_SAY, None)):
        session.info[TELLER].say(sayings)


def _forget(session: Session) -> None:
    if not session.in_nested_transaction():
        session.info.pop(TO_SAY, None)


event.listen(TellingSession, "after_commit", _say)
event.listen(TellingSession, "after_rollback", _forget)
