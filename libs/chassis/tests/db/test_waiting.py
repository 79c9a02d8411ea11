"""R37: who waits for a connection, and for how long."""

import asyncio

from chassis.background import CONNECTION_SECONDS, patient
from chassis.db.engine import open_database
from chassis.settings import DatabaseSettings
from pydantic import SecretStr
from sqlalchemy import text


def hurried(url, **more):
    return DatabaseSettings(url=SecretStr(url), pool_size=1, pool_wait_seconds=0.05, write_wait_seconds=0.05, **more)


async def test_r37_work_in_the_background_stands_in_line_for_a_connection(database_url):
    database = open_database(patient(hurried(database_url)), application_name="chassis-tests")

    async def ask():
        async with database.sessions() as session:
            return await session.scalar(text("SELECT 1"))

    async with database.writer.connect():
        asking = asyncio.create_task(ask())
        # Longer than a request would wait.
        assert (await asyncio.wait([asking], timeout=0.5))[0] == set()
    assert await asking == 1
    await database.close()


def test_r37_who_is_set_to_wait_longer_does(database_url):
    settings = patient(hurried(database_url).model_copy(update={"write_wait_seconds": 40.0}))
    assert (settings.pool_wait_seconds, settings.write_wait_seconds) == (CONNECTION_SECONDS, 40.0)
