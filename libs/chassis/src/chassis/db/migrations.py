"""Running Alembic for one service: its own schema, its own version table, one migrator at a time (R42)."""

import asyncio
import zlib
from pathlib import Path

from alembic import command, context
from alembic.config import Config
from sqlalchemy import Connection, MetaData, text
from sqlalchemy.engine import make_url
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.pool import NullPool

LOCK_TIMEOUT = "2s"
STATEMENT_TIMEOUT = "60s"


def alembic_config(root: Path, *, url: str) -> Config:
    """Return Alembic's configuration for the service whose folder is `root` (the one with `migrations/`)."""
    config = Config()
    config.set_main_option("script_location", str(root / "migrations").replace("%", "%%"))
    config.set_main_option("sqlalchemy.url", url.replace("%", "%%"))
    return config


def upgrade(root: Path, *, url: str, revision: str = "head") -> None:
    """Bring the schema of the service in `root` to `revision`; safe to run from several places at once."""
    command.upgrade(alembic_config(root, url=url), revision)


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
