"""One request, one message, one job: one transaction."""

import asyncio
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from typing import Any

from sqlalchemy.ext.asyncio import AsyncSession

from chassis.db.engine import Database
from chassis.errors import PersistedError


@asynccontextmanager
async def transaction(database: Database) -> AsyncIterator[AsyncSession]:
    """Open a session whose block is one transaction: committed at its end, and on PersistedError too."""
    session = database.sessions()
    try:
        yield session
    except PersistedError:
        await undisturbed(_commit(session))
        raise
    except BaseException:
        await undisturbed(session.close())
        raise
    await undisturbed(_commit(session))


async def _commit(session: AsyncSession) -> None:
    """Commit and close, in one go: each that nobody may disturb is a task of its own."""
    try:
        await session.commit()
    finally:
        await session.close()


async def undisturbed(work: Coroutine[Any, Any, None]) -> None:
    """Do the work to its end, however often the caller is cancelled meanwhile; then pass the cancellation on (R38).

    A session that is closed while its commit is still under way would lose its connection.
    """
    task = asyncio.ensure_future(work)
    cancelled = False
    while not task.done():
        try:
            await asyncio.wait([task])
        except asyncio.CancelledError:
            cancelled = True
    if cancelled:
        task.exception()
        raise asyncio.CancelledError
    task.result()
