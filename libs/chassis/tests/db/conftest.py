"""A database with a table of every kind of constraint."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest
from chassis.db.engine import Database, open_database
from chassis.settings import DatabaseSettings
from pydantic import SecretStr
from sqlalchemy import text
from testkit.databases import create_database
from testkit.waiting import eventually

THINGS = """
CREATE TABLE thing (
    id int PRIMARY KEY,
    name varchar(10) NOT NULL UNIQUE DEFAULT gen_random_uuid()::varchar(10),
    size bigint CHECK (size >= 0),
    parent_id int REFERENCES thing DEFERRABLE INITIALLY DEFERRED,
    made_from int REFERENCES thing
)
"""


@pytest.fixture(scope="session")
def database_url(postgres_url: str, worker_id: str) -> str:
    return create_database(postgres_url, f"chassis_db_{worker_id}")


@pytest.fixture
def open_with(database_url: str) -> Callable[..., object]:
    """Opens the database with these settings; closes it and asserts that no connection was left checked out."""

    @asynccontextmanager
    async def open_with(url: str = database_url, **options: object) -> AsyncIterator[Database]:
        settings = DatabaseSettings(
            url=SecretStr(url),
            **{"pool_size": 2, "pool_wait_seconds": 5, "write_wait_seconds": 5, **options},
        )
        found = open_database(settings, application_name="chassis-tests")
        yield found
        assert (found.writer.pool.checkedout(), found.reader.pool.checkedout()) == (0, 0)
        await found.close()

    return open_with


@pytest.fixture
async def database(open_with: Callable[..., object]) -> AsyncIterator[Database]:
    async with open_with() as found:
        async with found.writer.begin() as connection:
            await connection.execute(text("DROP TABLE IF EXISTS thing"))
            await connection.execute(text(THINGS))
            await connection.execute(text("INSERT INTO thing (id, name) VALUES (1, 'first')"))
        yield found


@pytest.fixture
def count(database: Database) -> Callable[..., object]:
    """Counts the rows of the table."""

    async def count() -> int:
        async with database.reader.connect() as connection:
            return (await connection.execute(text("SELECT count(*) FROM thing"))).scalar_one()

    return count


@pytest.fixture
def working(database: Database) -> Callable[..., object]:
    """Waits until so many sessions sleep."""
    query = text("SELECT count(*) FROM pg_stat_activity WHERE state = 'active' AND wait_event = 'PgSleep'")

    async def working(sessions: int) -> None:
        async def look() -> bool:
            async with database.reader.connect() as connection:
                return (await connection.execute(query)).scalar_one() == sessions

        await eventually(look)

    return working
