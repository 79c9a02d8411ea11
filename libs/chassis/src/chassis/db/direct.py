"""What is asked for most, run by the driver itself on connections of the pools.

Connections, their limits and whom they are bound to are those of all others (chassis.db.row_security). What is left
out is what SQLAlchemy does for each execution, which costs a read of one row more than the driver and the way to the
database together: a statement is compiled once, and rows are the driver's.
"""

from collections import OrderedDict
from collections.abc import AsyncIterator, Awaitable, Callable, Hashable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, TypeVar, cast

import asyncpg
from sqlalchemy import ARRAY, JSON, Boolean, CompoundSelect, Insert, RowMapping, Select
from sqlalchemy.dialects.postgresql.asyncpg import PGDialect_asyncpg
from sqlalchemy.exc import DBAPIError, InterfaceError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, AsyncSession
from sqlalchemy.types import TypeEngine

from chassis.db.binding import AsItIs, Bound, bind_handed_on, wanted_binding
from chassis.db.engine import KEPT_STATEMENTS, Database, written_as_json
from chassis.db.failures import DRIVER_TROUBLE
from chassis.db.pooling import Lent, ReadingPool, lent_by

BINDS_ITSELF = "binds_itself"
"""The execution option of statements that say themselves whose they are, the only ones on a connection AS_IT_IS."""
KEPT_TEXTS = 500
"""Of each kind of statement that callers give ever new shapes: some 10 kB each."""
DIALECT = PGDialect_asyncpg(json_serializer=written_as_json)  # type: ignore[no-untyped-call] # SQLAlchemy has no types there

T = TypeVar("T")
Statement = Select[Any] | CompoundSelect[Any] | Insert


@dataclass(frozen=True, slots=True)
class DirectRows:
    """What a statement has found, with the names that results of SQLAlchemy have for it; rows are the driver's."""

    rows: Sequence[Any]

    def __iter__(self) -> Iterator[Any]:
        return iter(self.rows)

    def mappings(self) -> "DirectRows":
        """Return the same: a row is a mapping already."""
        return self

    def all(self) -> Sequence[RowMapping]:
        """Return every row."""
        return cast("Sequence[RowMapping]", self.rows)

    def one(self) -> RowMapping:
        """Return the one row. Raises ValueError where there is another number of them."""
        [row] = self.rows
        return cast("RowMapping", row)

    def one_or_none(self) -> RowMapping | None:
        """Return the one row, or None where there is none. Raises ValueError where there are more."""
        return self.one() if self.rows else None


@dataclass(frozen=True, slots=True)
class Made:
    """A statement as the driver takes it, with the names of its parameters in their order."""

    sql: str
    names: Sequence[str]
    fixed: Mapping[str, Any]
    binds_itself: bool
    writing: Sequence[tuple[int, Callable[[Any], Any]]] = ()
    """What the driver takes as text, by its place: how it is written as JSON."""

    def in_order(self, values: Mapping[str, Any]) -> list[Any]:
        """Return the values of its parameters; those that it says itself need not be given. Raises KeyError."""
        found = [values[name] if name in values else self.fixed[name] for name in self.names]
        for place, write in self.writing:
            found[place] = write(found[place])
        return found


class Unbound(Exception):
    """A statement does not say whose it is, and neither does its connection."""


class NeedsSqlalchemy(Exception):
    """A statement is not one that the driver alone can run: a mistake of ours, told at its first use."""


class DirectReader:
    """A connection that runs statements that are made once: a statement that is made anew would be compiled anew.

    Of those that callers give ever new shapes are KeptStatements.

    Their values need no more processing than the driver's codecs do, but for JSON.
    """

    def __init__(self, driver: Any, *, is_bound: bool = True) -> None:
        self._driver = driver
        self._is_bound = is_bound

    async def execute(self, statement: Statement | Made, values: Mapping[str, Any]) -> DirectRows:
        """Return what a statement finds. Raises what SQLAlchemy would raise.

        Raises Unbound for a statement that would be run as whomever the connection was bound to last.
        """
        made = statement if isinstance(statement, Made) else as_driver_takes_it(statement)
        if not (self._is_bound or made.binds_itself):
            raise Unbound
        return DirectRows(await self.answer_to(self._driver.fetch(made.sql, *made.in_order(values))))

    async def answer_to(self, asked: Awaitable[T]) -> T:
        """Return what the driver answers. Raises what SQLAlchemy would raise."""
        try:
            return await asked
        except asyncpg.PostgresError as error:
            raise _told(DBAPIError, error, self._driver) from error
        except (asyncpg.InterfaceError, asyncpg.InternalClientError) as error:
            # The latter is what it says of a connection whose end it has heard of and not seen yet.
            self._driver.terminate()
            raise _told(InterfaceError, error, self._driver) from error
        except BaseException as error:
            self.leave(error)
            raise

    def leave(self, _error: BaseException) -> None:
        """End the connection: of a server that is silent, or a caller who is gone, nobody knows what is under way."""
        self._driver.terminate()


class KeptStatements:
    """Statements by what they are made of, as the driver takes them: of more than `most` the longest unused goes.

    What SQLAlchemy knows of a large one takes thirty times the memory of its text.
    """

    def __init__(self, most: int = KEPT_TEXTS) -> None:
        self._most = most
        self._kept: OrderedDict[Hashable, Made] = OrderedDict()

    def of(
        self,
        reader: AsyncConnection | AsyncSession | DirectReader,
        made_of: Hashable,
        make: Callable[[], Select[Any]],
    ) -> Any:
        """Return the statement that `make` makes, in the form in which a reader takes it."""
        if not isinstance(reader, DirectReader):
            return make()
        found = self._kept.pop(made_of, None) or _made(make())
        self._kept[made_of] = found
        if len(self._kept) > self._most:
            self._kept.popitem(last=False)
        return found


def _made(statement: Statement) -> Made:
    compiled = statement.compile(dialect=DIALECT)
    # Only statements that write have the latter two.
    added = [getattr(compiled, name, None) for name in ("post_compile_params", "insert_prefetch", "update_prefetch")]
    if any(added):
        raise NeedsSqlalchemy("values after IN, or defaults of columns, which it adds at each execution")
    binds_itself = bool(statement.get_execution_options().get(BINDS_ITSELF))
    names = tuple(compiled.positiontup or ())
    writing = [(place, _writing(compiled.binds[name].type)) for place, name in enumerate(names)]
    as_json = tuple((place, write) for place, write in writing if write is not None)
    fixed = {name: value for name, value in compiled.params.items() if not compiled.binds[name].required}
    return Made(str(compiled), names, fixed, binds_itself, as_json)


def _writing(kind: TypeEngine[Any]) -> Callable[[Any], Any] | None:
    """Return how values of a type are written as JSON; None for types that are not.

    Raises NeedsSqlalchemy for one whose values it makes what the driver takes.
    """
    write = kind.dialect_impl(DIALECT).bind_processor(DIALECT)
    if write is None or isinstance(kind, JSON):
        return write
    if isinstance(kind, Boolean) or (isinstance(kind, ARRAY) and _writing(kind.item_type) is None):
        # SQLAlchemy looks through them, and the driver takes them without that.
        return None
    raise NeedsSqlalchemy(f"values of {kind!r}")


as_driver_takes_it = lru_cache(maxsize=KEPT_STATEMENTS)(_made)
"""Return a statement that is made once in the form in which the driver takes it."""


def _told(kind: type[DBAPIError], error: Exception, driver: Any) -> DBAPIError:
    return kind(None, None, error, hide_parameters=True, connection_invalidated=driver.is_closed())


@asynccontextmanager
async def reading_directly(
    database: Database, bound: Bound | AsItIs | None, engine: AsyncEngine | None = None
) -> AsyncIterator[DirectReader]:
    """Give a connection that reads, bound for the block as chassis.db.row_security.reading binds it.

    It is of the `engine` that is the reader of the current request, if none is given.
    """
    token, reader = wanted_binding.set(bound), engine or database.reader_of_request
    try:
        lent = await _lent(database, reader)
    except reader.dialect.loaded_dbapi.Error as error:
        # A server that ends as it is connected to, which a connection of SQLAlchemy's tells so.
        raise DBAPIError(None, None, error, hide_parameters=True, connection_invalidated=True) from error
    finally:
        wanted_binding.reset(token)
    try:
        yield DirectReader(lent.driver, is_bound=not isinstance(bound, AsItIs))
    finally:
        cast("ReadingPool", reader.sync_engine.pool).take_back(lent)


async def _lent(database: Database, reader: AsyncEngine) -> Lent:
    """Lend a bound connection; where reads may go to a replica, only the pool knows which server is to be asked."""
    if database.replica is not None:
        return await lent_by(reader)
    pool = cast("ReadingPool", reader.sync_engine.pool)
    lent, is_handed_on = await pool.lend(reader)
    if not is_handed_on:
        return lent
    try:
        await bind_handed_on(lent.pooled)
    except DRIVER_TROUBLE:
        return await pool.replace(reader, lent)
    except BaseException:
        lent.pooled.close()
        raise
    return lent
