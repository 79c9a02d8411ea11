"""Running Alembic for one service: its own schema, its own version table, one migrator at a time (R42)."""

import asyncio
import time
import zlib
from collections.abc import Awaitable, Callable
from pathlib import Path

import structlog
from alembic import command, context
from alembic.config import Config
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, MetaData, text
from sqlalchemy.engine import make_url
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.pool import NullPool

from chassis.db.engine import Database
from chassis.db.failures import sqlstate

log = structlog.get_logger()

LOCK_TIMEOUT = "2s"
LOCK_RETRIES = 5
LOCK_RETRY_SECONDS = 1.0
LOCK_STATES = frozenset({"55P03", "40P01"})
"""A lock that was not to be had in time, and a deadlock."""
STATEMENT_TIMEOUT = "60s"


def alembic_config(root: Path, *, url: str) -> Config:
    """Return Alembic's configuration for the service whose folder is `root` (the one with `migrations/`)."""
    config = Config()
    config.set_main_option("script_location", str(root / "migrations").replace("%", "%%"))
    config.set_main_option("sqlalchemy.url", url.replace("%", "%%"))
    return config


def upgrade(root: Path, *, url: str, revision: str = "head") -> None:
    """Bring the schema of the service in `root` to `revision`; safe to run from several places at once.

    What waits for a lock makes all others wait behind it. So it gives up soon, and tries again where it was.
    """
    for attempt in range(1 + LOCK_RETRIES):
        try:
            return command.upgrade(alembic_config(root, url=url), revision)
        except DBAPIError as error:
            if sqlstate(error) not in LOCK_STATES or attempt == LOCK_RETRIES:
                raise
            log.warning("migration.lock_not_available", attempt=attempt + 1)
            time.sleep(LOCK_RETRY_SECONDS * (attempt + 1))
    return None


def run_migrations(*, schema: str, metadata: MetaData) -> None:
    """Do what `migrations/env.py` of every service does; called by Alembic."""
    url = context.config.get_main_option("sqlalchemy.url")
    if url is None:
        raise RuntimeError("sqlalchemy.url is not set: migrations run through the service's `migrate` command")
    asyncio.run(_run(url, schema, metadata))


async def _run(url: str, schema: str, metadata: MetaData) -> None:
    engine = create_async_engine(make_url(url).set(drivername="postgresql+asyncpg"), poolclass=NullPool)
    try:
        async with engine.connect() as connection:
            await connection.run_sync(_migrate, schema, metadata)
    finally:
        await engine.dispose()


def _migrate(connection: Connection, schema: str, metadata: MetaData) -> None:
    lock = {"key": zlib.crc32(f"migrate:{schema}".encode())}
    connection.execute(text("SELECT pg_advisory_lock(:key)"), lock)
    connection.execute(text(f"SET lock_timeout = '{LOCK_TIMEOUT}'"))
    connection.execute(text(f"SET statement_timeout = '{STATEMENT_TIMEOUT}'"))
    connection.execute(text(f'CREATE SCHEMA IF NOT EXISTS "{schema}"'))
    connection.commit()
    context.configure(
        connection=connection,
        target_metadata=metadata,
        version_table="schema_version",
        version_table_schema=schema,
        include_schemas=True,
        transaction_per_migration=True,
    )
    with context.begin_transaction():
        context.run_migrations()
    connection.execute(text("SELECT pg_advisory_unlock(:key)"), lock)
    connection.commit()


def current_schema_check(database: Database, *, schema: str, root: Path) -> Callable[[], Awaitable[None]]:
    """Return a health check that passes when the database answers and its schema is at this code's revision or later.

    A later revision is one that this code does not know: the next release migrates before its processes start. The
    primary is asked: a replica is read from only when it has all that the primary had when the process started.
    """
    scripts = ScriptDirectory(str(root / "migrations"))
    known_older = {script.revision for script in scripts.walk_revisions()} - {scripts.get_current_head()}
    query = text(f'SELECT version_num FROM "{schema}".schema_version')  # noqa: S608 - the schema is a constant

    async def check() -> None:
        async with database.primary.connect() as connection:
            revision = (await connection.execute(query)).scalar_one()
        if revision in known_older:
            raise RuntimeError(f"schema {schema} is at {revision}")

    return check
