"""A database for each service under test."""

import asyncio
import time
from collections.abc import Callable
from typing import Any

import asyncpg
from chassis.settings import DatabaseSettings
from pydantic import SecretStr

START_SECONDS = 120.0
PATIENCE: dict[str, Any] = {
    "pool_wait_seconds": 60,
    "write_wait_seconds": 60,
    "statement_seconds": 60,
    "lock_seconds": 30,
    "command_seconds": 90,
    "idle_seconds": 120,
}
"""Limits that a busy machine which stands still for half a minute does not reach."""


def patience_in_environment() -> dict[str, str]:
    """Return the same limits as a process under test is told them."""
    names = {name: field.validation_alias for name, field in DatabaseSettings.model_fields.items()}
    return {str(names[name]): str(value) for name, value in PATIENCE.items()}


def create_database(server_url: str, name: str) -> str:
    """Make an empty database and return its URL."""

    async def create() -> None:
        connection = await _connected(f"{server_url}/postgres")
        await connection.execute(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')
        await connection.execute(f'CREATE DATABASE "{name}"')
        await connection.close()

    asyncio.run(create())
    return f"{server_url}/{name}"


async def _connected(url: str) -> asyncpg.Connection:
    """Connect, also to a server that takes connections and is still starting up."""
    deadline = time.monotonic() + START_SECONDS
    while True:
        try:
            return await asyncpg.connect(url)
        except asyncpg.CannotConnectNowError:
            if time.monotonic() > deadline:
                raise
            await asyncio.sleep(0.05)


def migrated_database(server_url: str, name: str, migrate: Callable[[str], None]) -> DatabaseSettings:
    """Make a database, bring it up to date by the service's own migrations, and return its settings."""
    url = create_database(server_url, name)
    migrate(url)
    return DatabaseSettings(url=SecretStr(url), pool_size=10, **PATIENCE)


def owned_database(
    server_url: str, name: str, migrate: Callable[[str], None], *, becomes: str | None = None
) -> DatabaseSettings:
    """Make a database as an installation does, for a role that owns it and is no superuser; see migrated_database.

    `becomes` is a role that it may become, as requests do.
    """
    role = f"{name}_owner"

    async def give() -> None:
        connection = await _connected(f"{server_url}/postgres")
        await connection.execute(f'DROP ROLE IF EXISTS "{role}"')
        await connection.execute(f"CREATE ROLE \"{role}\" LOGIN PASSWORD '{role}'")
        await connection.execute(f'ALTER DATABASE "{name}" OWNER TO "{role}"')
        if becomes is not None:
            if not await connection.fetchval("SELECT 1 FROM pg_roles WHERE rolname = $1", becomes):
                await connection.execute(f"CREATE ROLE {becomes} NOLOGIN")
            await connection.execute(f'GRANT {becomes} TO "{role}" WITH INHERIT FALSE, SET TRUE')
        await connection.close()

    create_database(server_url, name)
    asyncio.run(give())
    host = server_url.rpartition("@")[2]
    owned = f"postgresql://{role}:{role}@{host.removeprefix('postgresql://')}/{name}"
    migrate(owned)
    return DatabaseSettings(url=SecretStr(owned), pool_size=10, **PATIENCE)
