"""Whom a pooled connection is bound to: the role that it runs as, and the caller that the tables' policies read."""

import functools
from collections.abc import Mapping
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

from sqlalchemy.exc import DisconnectionError
from sqlalchemy.pool import PoolProxiedConnection
from sqlalchemy.util import await_only

from chassis.db.failures import DRIVER_TROUBLE

BOUND = "bound"
NOBODY = ""
NO_ROLE = "none"
FREE = "SELECT set_config('role', $1, false), set_config($2, '', false), set_config($3, '', false)"


@dataclass(frozen=True, slots=True)
class Bound:
    """A role with a caller, and the setting that tells the caller; and how what it is a member of is kept."""

    role: str
    setting: str
    caller: str
    kept: str
    memberships: str


@dataclass(frozen=True, slots=True)
class AsItIs:
    """For statements that bind themselves: the connection stays bound to whom it is, or to nobody."""


AS_IT_IS = AsItIs()
wanted_binding: ContextVar[Bound | AsItIs | None] = ContextVar("wanted_binding", default=None)
"""What connections that are taken from the pool of reads are bound to; None is the role that logged in."""


def bind_when_taken(dbapi_connection: Any, record: Any, _proxy: Any) -> None:
    """Bind a connection of the pool of reads to whom it is taken for; a listener of `checkout`.

    Every connection is bound whenever it is taken, so nobody gets that of somebody else, nor what they were a member of
    before. It is a round trip, except where it was free and is to be, or is taken as it is. Raises DisconnectionError,
    so that the pool tries another one.
    """
    wanted = wanted_binding.get()
    told = _to_tell(wanted, record.info)
    if told is None:
        return
    try:
        # By the driver itself: a cursor of SQLAlchemy costs as much again as the round trip.
        await_only(dbapi_connection.driver_connection.fetchrow(*told))
    except DRIVER_TROUBLE as error:
        # A server that is gone would not answer to a good-bye either.
        dbapi_connection.driver_connection.terminate()
        raise DisconnectionError from error
    record.info[BOUND] = wanted


async def bind_handed_on(pooled: PoolProxiedConnection) -> None:
    """Bind a connection that was handed on, as bind_when_taken does. Raises what DRIVER_TROUBLE names.

    Unless that succeeds the connection is closed.
    """
    wanted = wanted_binding.get()
    told = _to_tell(wanted, pooled.info)
    if told is None:
        return
    driver: Any = pooled.driver_connection
    try:
        await driver.fetchrow(*told)
    except BaseException:
        driver.terminate()
        raise
    pooled.info[BOUND] = wanted


def _to_tell(wanted: Bound | AsItIs | None, info: Mapping[Any, Any]) -> tuple[str, ...] | None:
    """Return the statement with its parameters that binds a connection; None where there is nothing to be told."""
    if isinstance(wanted, AsItIs):
        return None
    bound: Bound | None = wanted or info.get(BOUND)
    if bound is None:
        return None
    return _told(bound) if wanted else (FREE, NO_ROLE, bound.setting, bound.kept)


def _told(wanted: Bound) -> tuple[str, ...]:
    """Return the statement that binds, with its parameters."""
    return _binding(wanted.memberships), wanted.role, wanted.setting, wanted.caller, wanted.kept


@functools.cache
def _binding(memberships: str) -> str:
    """Return the statement that binds; its columns are computed from the left to the right.

    What the caller is a member of is kept, since policies would ask for it table by table: a third of what a read cost
    PostgreSQL.
    """
    return (
        "SELECT set_config($2, $3, false), set_config($4, '', false),"
        f" set_config($4, ({memberships})::text, false), set_config('role', $1, false)"
    )
