"""Whom a pooled connection is bound to: the role that it runs as, and the caller that the tables' policies read."""

from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

import asyncpg
from sqlalchemy.exc import DisconnectionError
from sqlalchemy.util import await_only

BOUND = "bound"
NOBODY = ""
NO_ROLE = "none"
BIND = "SELECT set_config('role', $1, false), set_config($2, $3, false)"


@dataclass(frozen=True, slots=True)
class Bound:
    """A role with a caller, and the setting that tells the caller; and how a transaction keeps its memberships."""

    role: str
    setting: str
    caller: str
    kept: str
    memberships: str


wanted_binding: ContextVar[Bound | None] = ContextVar("wanted_binding", default=None)
"""What connections that are taken from the pool of reads are bound to; None is the role that logged in."""


def bind_when_taken(dbapi_connection: Any, record: Any, _proxy: Any) -> None:
    """Bind a connection of the pool of reads to whom it is taken for; a listener of `checkout`.

    Every connection is looked at whenever it is taken, so nobody gets that of somebody else. It is a round trip, except
    where the same caller had it last. Raises DisconnectionError, so that the pool tries another one.
    """
    wanted = wanted_binding.get()
    had: Bound | None = record.info.get(BOUND)
    if had == wanted:
        return
    role, setting, caller = _told(wanted, had)
    try:
        # By the driver itself: a cursor of SQLAlchemy costs as much again as the round trip.
        await_only(dbapi_connection.driver_connection.fetchrow(BIND, role, setting, caller))
    except (asyncpg.PostgresError, asyncpg.InterfaceError, OSError) as error:
        raise DisconnectionError from error
    record.info[BOUND] = wanted


def _told(wanted: Bound | None, had: Bound | None) -> tuple[str, str, str]:
    if wanted is not None:
        return wanted.role, wanted.setting, wanted.caller
    return NO_ROLE, had.setting if had else "", NOBODY
