"""Keeping what is searched, as far as triggers do not."""

from functools import partial

from chassis.db.batches import go_through
from chassis.db.engine import Database
from sqlalchemy.ext.asyncio import AsyncSession

from tasks_service.search import repository
from tasks_service.search.errors import UnknownLanguage
from tasks_service.search.schemas import AttachmentResource

BATCH = 1000


async def keep_name(session: AsyncSession, *, attachment: AttachmentResource, version: int, is_there: bool) -> None:
    """Note what an attachment of a task is called, or that it is gone, unless something newer is known.

    An attachment of a task that is gone is none.
    """
    name = attachment.name if is_there else None
    await repository.put_name(
        session, attachment_id=attachment.id, task_id=attachment.task_id, name=name, version=version
    )


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
