"""Keeping what is searched, as far as triggers do not."""

from functools import partial
from uuid import UUID

from chassis.db.batches import go_through
from chassis.db.engine import Database
from sqlalchemy.ext.asyncio import AsyncSession

from tasks_service.search import repository
from tasks_service.search.errors import UnknownLanguage

BATCH = 250
"""Few enough that a slow machine makes them again within DATABASE_STATEMENT_SECONDS."""


async def keep_name(
    session: AsyncSession, *, attachment_id: UUID, task_id: UUID, name: str | None, version: int
) -> None:
    """Note what an attachment of a task is called, or with None that it is gone, unless something newer is known."""
    await repository.put_name(session, attachment_id=attachment_id, task_id=task_id, name=name, version=version)


async def change_language(database: Database, *, name: str, at_once: int = BATCH) -> int:
    """Take words by the stems of another language, and make all documents again; return how many batches there were.

    Both may be done again, should it be cut short. Until the end some words are found by their old stems alone. Raises
    UnknownLanguage.
    """
    async with database.writer.begin() as connection:
        if not await repository.has_language(connection, name):
            raise UnknownLanguage
        await repository.set_language(connection, name)
    return await go_through(database, partial(repository.make_again, limit=at_once))
