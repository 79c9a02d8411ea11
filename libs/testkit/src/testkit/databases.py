"""A database for each service under test."""

import asyncio
from collections.abc import Callable

import asyncpg
from chassis.settings import DatabaseSettings
from pydantic import SecretStr


def create_database(server_url: str, name: str) -> str:
    """Make an empty database and return its URL."""

    async def create() -> None:
        connection = await asyncpg.connect(f"{server_url}/postgres")
        await connection.execute(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')
        await connection.execute(f'CREATE DATABASE "{name}"')
        await connection.close()

    asyncio.run(create())
    return f"{server_url}/{name}"


def migrated_database(server_url: str, name: str, migrate: Callable[[str], None]) -> DatabaseSettings:
    """Make a database, bring it up to date by the service's own migrations, and return its settings."""
    url = create_database(server_url, name)
    migrate(url)
    return DatabaseSettings(url=SecretStr(url), pool_size=10, pool_wait_seconds=5)
