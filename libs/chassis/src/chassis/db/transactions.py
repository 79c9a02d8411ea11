"""One request, one message, one job: one transaction."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from sqlalchemy.ext.asyncio import AsyncSession

from chassis.db.engine import Database
from chassis.errors import PersistedError


@asynccontextmanager
async def transaction(database: Database) -> AsyncIterator[AsyncSession]:
    """Open a session whose block is one transaction: committed at its end, and on PersistedError too."""
    session = database.sessions()
    try:
        yield session
        await asyncio.shield(session.commit())
    except PersistedError:
        await asyncio.shield(session.commit())
        raise
    finally:
        await asyncio.shield(session.close())
