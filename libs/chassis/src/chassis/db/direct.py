"""The few reads that are asked for most, run by the driver itself on a connection of the pool of reads.

Connections, their limits and whom they are bound to are those of all reads (chassis.db.row_security.reading). What is
left out is what SQLAlchemy does for each execution, which costs a read of one row more than the driver and the way to
the database together: the statement is compiled once, and the row is the driver's.
"""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import asyncpg
from sqlalchemy import Select
from sqlalchemy.dialects.postgresql.asyncpg import PGDialect_asyncpg
from sqlalchemy.exc import DBAPIError, InterfaceError

from chassis.db.binding import Bound, wanted_binding
from chassis.db.engine import Database

DIALECT = PGDialect_asyncpg()  # type: ignore[no-untyped-call] # SQLAlchemy has no types there


class DirectRead:
    """A statement that is compiled once, whose values need no more processing than the driver's codecs do."""

    def __init__(self, statement: Select[Any]) -> None:
        compiled = statement.compile(dialect=DIALECT)
        self._sql = str(compiled)
        self._names = tuple(compiled.positiontup or ())
        self._fixed = dict(compiled.params)

    async def first(self, database: Database, bound: Bound | None, values: Mapping[str, Any]) -> dict[str, Any] | None:
        """Return the first row. Raises what SQLAlchemy would raise."""
        parameters = {**self._fixed, **values}
        async with _connection(database, bound) as driver:
            try:
                row = await driver.fetchrow(self._sql, *[parameters[name] for name in self._names])
            except asyncpg.PostgresError as error:
                raise _told(DBAPIError, error, driver) from error
            except (asyncpg.InterfaceError, asyncpg.InternalClientError) as error:
                # The latter is what it says of a connection whose end it has heard of and not seen yet.
                driver.terminate()
                raise _told(InterfaceError, error, driver) from error
        return None if row is None else dict(row)


def _told(kind: type[DBAPIError], error: Exception, driver: Any) -> DBAPIError:
    return kind(None, None, error, hide_parameters=True, connection_invalidated=driver.is_closed())


@asynccontextmanager
async def _connection(database: Database, bound: Bound | None) -> AsyncIterator[Any]:
    token = wanted_binding.set(bound)
    try:
        pooled = await database.reader.raw_connection()
    except database.reader.dialect.loaded_dbapi.Error as error:
        # A server that ends as it is connected to, which a connection of SQLAlchemy's tells so.
        raise DBAPIError(None, None, error, hide_parameters=True, connection_invalidated=True) from error
    finally:
        wanted_binding.reset(token)
    driver: Any = pooled.driver_connection
    try:
        yield driver
    except DBAPIError:
        raise
    except BaseException:
        # Nobody knows what is under way on it: a server that is silent, or a caller who is gone.
        driver.terminate()
        raise
    finally:
        pooled.close()
