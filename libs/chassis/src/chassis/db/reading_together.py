"""Reads of a moment in one go, by statements that bind themselves to each of their callers (ADR 19)."""

from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Generic, TypeVar

from sqlalchemy.ext.asyncio import AsyncEngine

from chassis.db.binding import AS_IT_IS
from chassis.db.direct import DirectReader, reading_directly
from chassis.db.engine import Database
from chassis.together import Together

K = TypeVar("K")
T = TypeVar("T")


class ReadTogether(Generic[K, T]):
    """Asks `read` for what several requests want to know, which tells it in the order in which it was asked.

    Who has just written reads from the primary, as by themselves, together with others who have.
    """

    def __init__(self, database: Database, read: Callable[[DirectReader, Sequence[K]], Awaitable[Sequence[T]]]) -> None:
        self._database = database
        self._read = read
        engines = (database.reader, database.primary_reader)
        self._of_engine = {id(one): Together(partial(self._read_from, one)) for one in engines if one is not None}

    async def ask(self, asked: K) -> T:
        """Return the answer to what a request asks. Raises what `read` and reading_directly raise."""
        return await self._of_engine[id(self._database.reader_of_request)].ask(asked)

    async def _read_from(self, engine: AsyncEngine, asked: Sequence[K]) -> Sequence[T]:
        async with reading_directly(self._database, AS_IT_IS, engine) as reader:
            return await self._read(reader, asked)
