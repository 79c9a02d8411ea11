"""Reads that a lagging replica must not answer: passwords, keys and revocations count from their commit on."""

from collections.abc import AsyncIterator
from typing import Annotated

from chassis.db.engine import Database
from fastapi import Depends, Request
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine


def primary_of(database: Database) -> AsyncEngine:
    """Return an engine on the primary whose statements stand alone, without a transaction."""
    return database.writer.execution_options(isolation_level="AUTOCOMMIT")


async def primary_connection(request: Request) -> AsyncIterator[AsyncConnection]:
    """Give an endpoint a connection that reads from the primary."""
    async with primary_of(request.app.state.database).connect() as connection:
        yield connection


PrimaryConnection = Annotated[AsyncConnection, Depends(primary_connection, scope="function")]
