"""The few writes that are asked for most, run by the driver itself on a connection of the pool of writes.

What is left out is what SQLAlchemy does for a session, and for each of its statements: that costs a task that is made
as much as its rules, the driver and the way to the database together. Use cases are the same, and so are the bounds of
the transaction: whom it is bound to, what is said after its commit, and that it ends as a whole.
"""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Any

from sqlalchemy.exc import DBAPIError, InvalidRequestError

from chassis.db.binding import BOUND, Bound
from chassis.db.direct import DirectReader, DirectRows, Made, Statement
from chassis.db.engine import Database
from chassis.db.row_security import binding
from chassis.db.telling import TELLER, TO_SAY
from chassis.db.transactions import undisturbed

MADE_ONCE = {"made_once": True}
"""The execution options of statements that are made once, the only ones in a DirectTransaction."""


class NeedsSession(Exception):
    """A DirectTransaction is asked for what only a session of SQLAlchemy does."""


class FoundInTransaction(DirectRows):
    """What a statement has found; another way to look at it is a session's."""

    def __getattr__(self, name: str) -> Any:
        raise NeedsSession(name)


class DirectTransaction(DirectReader):
    """A transaction of statements that are made once, for use cases that need no more of a session than that.

    Whatever else they ask of it raises NeedsSession: then nothing has been done, and a session is to do it all.
    """

    def __init__(self, driver: Any, info: dict[Any, Any]) -> None:
        super().__init__(driver)
        self.info = info
        self._may_be_open = False

    def __getattr__(self, name: str) -> Any:
        raise NeedsSession(name)

    def in_nested_transaction(self) -> bool:
        """Tell whether there is a savepoint: never."""
        return False

    async def execute(
        self,
        statement: Statement | Made,
        values: Mapping[str, Any] | Sequence[Mapping[str, Any]] | None = None,
        **options: Any,
    ) -> DirectRows:
        """Return what a statement finds, in one round trip.

        Raises what SQLAlchemy would raise, and NeedsSession for a statement that is not MADE_ONCE.
        """
        if isinstance(statement, Made) or not MADE_ONCE.items() <= statement.get_execution_options().items():
            raise NeedsSession("a statement that is made now")
        if options or not isinstance(values, Mapping):
            raise NeedsSession("another way to execute")
        return FoundInTransaction((await super().execute(statement, values)).rows)

    def leave(self, error: BaseException) -> None:
        """End the connection, unless its caller is gone: that has it rolled back, so that nothing stays locked."""
        if not isinstance(error, asyncio.CancelledError):
            super().leave(error)

    async def begin(self, bound: Bound | None) -> None:
        """Begin, bound from here to the end, in one round trip."""
        # Not as the driver knows it, which has not heard of it while its caller goes away.
        self._may_be_open = True
        await self.answer_to(self._driver.execute("BEGIN" if bound is None else f"BEGIN; {binding(bound)}"))

    async def commit(self) -> None:
        """Commit, and say what is to be said then. Raises InvalidRequestError where a failure was passed over."""
        told = await self.answer_to(self._driver.execute("COMMIT"))
        self._may_be_open = False
        if told != "COMMIT":
            raise InvalidRequestError("PostgreSQL has rolled back, since a statement had failed")
        if sayings := self.info.pop(TO_SAY, None):
            self.info[TELLER].say(sayings)

    async def roll_back(self) -> None:
        """Leave nothing of what was done, if it is not committed; a connection that does not do so is ended."""
        if self._may_be_open and not self._driver.is_closed():
            with suppress(DBAPIError, OSError):
                await self.answer_to(self._driver.execute("ROLLBACK"))
                return
            self._driver.terminate()


@asynccontextmanager
async def writing_directly(database: Database, bound: Bound | None) -> AsyncIterator[DirectTransaction]:
    """Give a transaction whose block is bound to somebody, and which is committed at its end.

    Raises NeedsSession, DBAPIError, and what the pool of writes raises.
    """
    try:
        pooled = await database.writer.raw_connection()
    except database.writer.dialect.loaded_dbapi.Error as error:
        # What the server says has its own meaning; without a word of it, it is away.
        is_lost = not getattr(error, "sqlstate", None)
        raise DBAPIError(None, None, error, hide_parameters=True, connection_invalidated=is_lost) from error
    # What sessions of the database have noted with them, such as their teller.
    transaction = DirectTransaction(pooled.driver_connection, {**database.sessions.kw.get("info", {}), BOUND: bound})
    try:
        await transaction.begin(bound)
        yield transaction
        await undisturbed(transaction.commit())
    except BaseException:
        await undisturbed(transaction.roll_back())
        raise
    finally:
        pooled.close()
