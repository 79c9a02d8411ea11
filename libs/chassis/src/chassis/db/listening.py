"""Hearing what transactions of other processes say at their commit (NOTIFY)."""

import asyncio
from collections.abc import Callable
from contextlib import suppress

from sqlalchemy import select
from sqlalchemy.exc import SQLAlchemyError

from chassis.db.engine import Database

ASK_SECONDS = 5.0


async def listen(
    database: Database, channel: str, *, heard: Callable[[str], None], began: Callable[[], None] = lambda: None
) -> None:
    """Call `heard` with each payload that comes through a channel, until cancelled or the connection is lost.

    `began` is called once nothing is missed any more; what was said before is lost. It holds one connection of the
    writer's pool, and asks the server every few seconds whether it is still there. Raises SQLAlchemyError, OSError.
    """
    lost = asyncio.Event()
    async with database.primary.connect() as connection:
        driver = (await connection.get_raw_connection()).driver_connection
        assert driver is not None  # noqa: S101 - for mypy: a connection that was just opened
        driver.add_termination_listener(lambda *_: lost.set())
        try:
            await driver.add_listener(channel, lambda _driver, _pid, _channel, payload: heard(payload))
            began()
            while True:
                with suppress(TimeoutError):
                    await asyncio.wait_for(lost.wait(), ASK_SECONDS)
                await connection.execute(select(1))
        finally:
            # It listens for as long as it lives, so it must not go back into the pool.
            with suppress(SQLAlchemyError, OSError):
                await asyncio.shield(connection.invalidate())
