"""Reads that are at least as new as the caller asks for (`X-Min-Cursor`, or `min_cursor=`)."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Annotated
from uuid import UUID

from chassis.context import has_just_written
from chassis.cursors import MAX_CURSOR_CHARACTERS, CursorSigner
from chassis.db.row_security import reading, reading_primary
from chassis.errors import InvalidCursor
from chassis.identity import Principal
from chassis.web.database import Write, bound_of
from chassis.web.identity import CurrentPrincipal
from chassis.web.replies import etag
from chassis.web.routing import refuses
from fastapi import Depends, Header, Query, Request
from sqlalchemy import RowMapping
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection

from tasks_service.changes import repository
from tasks_service.changes.errors import NotYetConsistent

POLL_SECONDS = 0.02
CURSOR = {"X-Cursor": "Position in the change log right after this write."}
"""How documents describe what cursor_header returns."""
POSITION_ASKED_FOR = "taskloom.position_asked_for"
"""Where the scope of a request says whether its answer is to be at least as new as a position."""
MEANING = "The X-Cursor of a change: the answer is at least as new as that."


@refuses(InvalidCursor, NotYetConsistent)
async def fresh_connection(
    request: Request,
    caller: CurrentPrincipal,
    x_min_cursor: Annotated[
        str | None, Header(alias="X-Min-Cursor", max_length=MAX_CURSOR_CHARACTERS, description=MEANING)
    ] = None,
    min_cursor: Annotated[str | None, Query(max_length=MAX_CURSOR_CHARACTERS, description=MEANING)] = None,
) -> AsyncIterator[AsyncConnection]:
    """Give a connection whose data includes the position asked for. Raises InvalidCursor, NotYetConsistent."""
    signer: CursorSigner = request.app.state.cursors
    field, cursor = ("min_cursor", min_cursor) if x_min_cursor is None else ("X-Min-Cursor", x_min_cursor)
    wanted = None if cursor is None else signer.read_position(cursor, field=field)
    request.scope[POSITION_ASKED_FOR] = wanted is not None
    async with connection_with(request, caller, wanted) as connection:
        yield connection


def asks_for_what_is_new(request: Request) -> bool:
    """Tell whether a read is to be as new as something: a position, or what its user has written a moment ago (R41).

    A position is told by fresh_connection, without which none is asked for.
    """
    return has_just_written() or request.scope.get(POSITION_ASKED_FOR, False)


@asynccontextmanager
async def connection_with(
    request: Request, caller: Principal, wanted: Mapping[UUID, int] | None
) -> AsyncIterator[AsyncConnection]:
    """Give a connection whose data includes a position, or with None any. Raises NotYetConsistent."""
    if wanted is None:
        async with reading(request.app.state.database, bound_of(request)) as connection:
            yield connection
        return
    # Positions of frames name what the caller alone is told, too, which is no log of ours.
    of_workspaces = {workspace: seq for workspace, seq in wanted.items() if workspace != caller.user_id}
    async with AsyncExitStack() as opened:
        found = await _reader_with(opened, request, caller, of_workspaces)
        yield await _primary_with(opened, request, caller, of_workspaces) if found is None else found


async def _reader_with(
    opened: AsyncExitStack, request: Request, caller: Principal, wanted: Mapping[UUID, int]
) -> AsyncConnection | None:
    """Wait until the reader has what is wanted; return the connection that shows it, since another may lead elsewhere.

    None where that takes too long, and where there is a membership that it does not have.
    """
    loop = asyncio.get_running_loop()
    deadline = loop.time() + request.app.state.min_cursor_wait_seconds
    while True:
        # A connection for each look: the pool is small, and many may wait at once.
        async with AsyncExitStack() as looking:
            connection = await looking.enter_async_context(reading(request.app.state.database, bound_of(request)))
            heads = await _heads_if_there(connection, caller)
            if all(heads.get(workspace, 0) >= seq for workspace, seq in wanted.items()):
                opened.push_async_exit(looking.pop_all())
                return connection
        if loop.time() >= deadline or not wanted.keys() <= heads.keys():
            return None
        await asyncio.sleep(POLL_SECONDS)


async def _heads_if_there(connection: AsyncConnection, caller: Principal) -> Mapping[UUID, int]:
    """Return the heads of what the caller sees; none of a server that has just gone away."""
    try:
        return await repository.heads_for(connection, caller)
    except DBAPIError:
        return {}


async def _primary_with(
    opened: AsyncExitStack, request: Request, caller: Principal, wanted: Mapping[UUID, int]
) -> AsyncConnection:
    """Return a connection to the primary. Raises NotYetConsistent where even that is older than what is wanted."""
    primary = reading_primary(request.app.state.database, bound_of(request))
    connection = await opened.enter_async_context(primary)
    heads = await repository.heads_for(connection, caller)
    # The primary knows every membership: a workspace that is not there is one that the caller has left, or that
    # its token does not reach.
    if any(heads[workspace] < seq for workspace, seq in wanted.items() if workspace in heads):
        raise NotYetConsistent(retry_after=1)
    return connection


async def cursor_after(request: Request, write: Write, caller: Principal) -> str:
    """Return the X-Cursor of a write: the caller's position in the change log right after it."""
    heads = await repository.heads_after(write.session, caller)
    signer: CursorSigner = request.app.state.cursors
    return signer.position(heads)


async def cursor_header(request: Request, write: Write, caller: Principal) -> dict[str, str]:
    """Return the header of an answer to a change that says the position right after it."""
    return {"x-cursor": await cursor_after(request, write, caller)}


async def written_headers(request: Request, write: Write, caller: Principal, row: RowMapping) -> dict[str, str]:
    """Return the headers of an answer to a change: the row's version, and the position right after the write."""
    return {"etag": etag(row["version"]), **await cursor_header(request, write, caller)}


FreshConnection = Annotated[AsyncConnection, Depends(fresh_connection, scope="function")]
