"""Hearing what other processes say of their transactions (NOTIFY); see chassis.db.telling."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress

import structlog
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection

from chassis.db.engine import Database
from chassis.db.failures import TROUBLE
from chassis.waiting import first_of

log = structlog.get_logger()

ASK_SECONDS = 5.0
PAUSE_SECONDS = 1.0


def _nothing() -> None:
    return


async def keep_listening(
    database: Database,
    channel: str,
    stop: asyncio.Event,
    *,
    heard: Callable[[str], None],
    began: Callable[[], None] = _nothing,
) -> None:
    """Call `heard` with each payload that comes through a channel, until `stop` is set. Trouble is waited out.

    `began` is called whenever nothing is missed any more; what was said before is lost. It holds one connection of the
    writer's pool.
    """
    while not stop.is_set():
        try:
            await listen(database, channel, heard=heard, began=began, stop=stop)
        except TROUBLE as error:
            log.warning("listening.trouble", channel=channel, reason=type(error).__name__)
            await first_of(stop, seconds=PAUSE_SECONDS)


async def listen(
    database: Database,
    channel: str,
    *,
    heard: Callable[[str], None],
    began: Callable[[], None] = _nothing,
    stop: asyncio.Event | None = None,
) -> None:
    """Do the same until the connection is lost, `stop` is set, or it is cancelled. Raises what TROUBLE names."""
    lost, over = asyncio.Event(), stop or asyncio.Event()
    async with database.primary.connect() as connection, listening(connection, channel, heard=heard, lost=lost.set):
        began()
        while True:
            await first_of(lost, over, seconds=ASK_SECONDS)
            if over.is_set():
                return
            # Whether the server is still there: a network that is gone closes no connection.
            await connection.execute(select(1))


@asynccontextmanager
async def listening(
    connection: AsyncConnection,
    channel: str,
    *,
    heard: Callable[[str], None],
    lost: Callable[[], None] = _nothing,
) -> AsyncIterator[None]:
    """Call `heard` with each payload that comes over a connection, and `lost` when it ends.

    It listens for as long as it lives, so it is closed afterwards rather than put back into the pool.
    """
    try:
        driver = (await connection.get_raw_connection()).driver_connection
        assert driver is not None  # noqa: S101 - for mypy: a connection that was just opened
        driver.add_termination_listener(lambda *_: lost())
        await driver.add_listener(channel, lambda _driver, _pid, _channel, payload: heard(payload))
        yield
    finally:
        with suppress(*TROUBLE):
            await asyncio.shield(connection.invalidate())
