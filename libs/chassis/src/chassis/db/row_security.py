"""The second line of who sees what: requests run as a role that the policies of the tables bind (R36).

The role owns nothing and has no BYPASSRLS; whose request it is stands in a setting, which the policies read. Whatever
has no caller, such as a consumer or a job, stays the owner of the tables.

A transaction keeps what its caller was a member of when it began: its statements decide by what is now, and one that
is removed meanwhile must not find half of what it works on gone.
"""

import functools
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Concatenate, ParamSpec, TypeVar
from uuid import UUID

import structlog
from sqlalchemy import Connection, Select, Text, bindparam, cast, func, literal_column, select, text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncSession
from sqlalchemy.orm import Session

from chassis.db.binding import BOUND, NO_ROLE, NOBODY, Bound, wanted_binding
from chassis.db.engine import Database

log = structlog.get_logger()

LIFTED = "row_security_lifted"
ROLE_IN_TRANSACTION = text("SELECT set_config('role', :role, true)")


@dataclass(frozen=True, slots=True)
class RowSecurity:
    """The role that requests run as, and the setting that tells their caller. A service's `state.row_security`.

    `memberships` is SQL for the ids of what the caller is a member of, beside those in the setting `kept`.
    """

    role: str
    setting: str
    kept: str
    memberships: str

    def of(self, caller_id: UUID | None) -> Bound:
        """Return what binds a request; without a caller there are no rows."""
        caller = NOBODY if caller_id is None else str(caller_id)
        return Bound(self.role, self.setting, caller, self.kept, self.memberships)


@asynccontextmanager
async def reading(database: Database, bound: Bound | None) -> AsyncIterator[AsyncConnection]:
    """Give a connection that reads, bound for the block, also should it have to connect again; None is the owner."""
    token = wanted_binding.set(bound)
    try:
        async with database.reader_of_request.connect() as connection:
            yield connection
    finally:
        wanted_binding.reset(token)


@asynccontextmanager
async def reading_primary(database: Database, bound: Bound | None) -> AsyncIterator[AsyncConnection]:
    """Give a connection to the primary, bound for the block by a transaction: its pool is that of writes."""
    if bound is None:
        async with database.primary.connect() as connection:
            yield connection
        return
    async with database.writer.begin() as connection:
        await bind(connection, bound)
        yield connection


async def bind(transaction: AsyncSession | AsyncConnection, bound: Bound) -> None:
    """Bind a transaction from here to its end, to what the caller is a member of now.

    One that has not begun is bound as it begins, with its first statement, in the same round trip.
    """
    driver: Any = await transaction.run_sync(_driver_of)
    if driver.is_in_transaction():
        await transaction.execute(text(binding(bound)))
    else:
        driver.begins_with = binding(bound)
    if isinstance(transaction, AsyncSession):
        transaction.info[BOUND] = bound


def _driver_of(transaction: Session | Connection) -> Any:
    connection = transaction.connection() if isinstance(transaction, Session) else transaction
    return connection.connection.driver_connection


def binding(bound: Bound) -> str:
    """Return the statement that binds a transaction; its columns are computed from the left to the right."""
    setting, caller, kept, role = map(_quoted, (bound.setting, bound.caller, bound.kept, bound.role))
    return (
        f"SELECT set_config({setting}, {caller}, true), set_config({kept}, '', true),"
        f" set_config({kept}, CAST(({bound.memberships}) AS text), true), set_config('role', {role}, true)"
    )


def _quoted(value: str) -> str:
    return "'" + value.replace("'", "''") + "'"


@functools.cache
def _returning(memberships: str) -> Select[Any]:
    """Return the statement that binds again, also to what the caller has become a member of."""
    return select(
        func.set_config(bindparam("kept"), cast(literal_column(memberships), Text), True),
        func.set_config("role", bindparam("role"), True),
    )


@asynccontextmanager
async def beyond_memberships(session: AsyncSession, reason: str) -> AsyncIterator[None]:
    """Let the statements of the block reach what the caller is no member of, such as a workspace that it joins.

    What it has become a member of there stays within its reach. `reason` tells a reader of the code and of the log
    why. A transaction that nobody is the caller of reaches all anyway, and one inside another changes nothing.
    """
    bound: Bound | None = session.info.get(BOUND)
    if bound is None or session.info.get(LIFTED):
        yield
        return
    await session.execute(ROLE_IN_TRANSACTION, {"role": NO_ROLE})
    log.info("row_security.lifted", reason=reason)
    session.info[LIFTED] = True
    yield
    # An error ends the transaction, and with it what was set.
    await session.execute(_returning(bound.memberships), {"role": bound.role, "kept": bound.kept})
    session.info[LIFTED] = False


P = ParamSpec("P")
T = TypeVar("T")
UseCase = Callable[Concatenate[AsyncSession, P], Coroutine[Any, Any, T]]


def reaches_beyond_memberships(reason: str) -> Callable[[UseCase[P, T]], UseCase[P, T]]:
    """Mark a use case that reaches beyond its caller's memberships from its beginning to its end."""

    def decorate(use_case: UseCase[P, T]) -> UseCase[P, T]:
        @functools.wraps(use_case)
        async def reaching(session: AsyncSession, /, *args: P.args, **kwargs: P.kwargs) -> T:
            async with beyond_memberships(session, reason):
                return await use_case(session, *args, **kwargs)

        return reaching

    return decorate
