"""Reads that are at least as new as the caller asks for (`X-Min-Cursor`, or `min_cursor=`)."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from typing import Annotated
from uuid import UUID

from chassis.cursors import MAX_CURSOR_CHARACTERS, CursorSigner
from chassis.db.engine import Database
from chassis.identity import Principal
from chassis.web.database import Write
from chassis.web.identity import CurrentPrincipal
from chassis.web.replies import etag
from fastapi import Depends, Header, Query, Request
from sqlalchemy import RowMapping
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from tasks_service.changes import repository
from tasks_service.changes.errors import NotYetConsistent

POLL_SECONDS = 0.02
MEANING = "An X-Cursor: the answer is at least as new as it."


async def fresh_connection(
    request: Request,
    caller: CurrentPrincipal,
    x_min_cursor: Annotated[str | None, Header(max_length=MAX_CURSOR_CHARACTERS, description=MEANING)] = None,
    min_cursor: Annotated[str | None, Query(max_length=MAX_CURSOR_CHARACTERS, description=MEANING)] = None,
) -> AsyncIterator[AsyncConnection]:
    """Give a connection whose data includes the position asked for. Raises InvalidCursor, NotYetConsistent."""
    database: Database = request.app.state.database
    cursor = x_min_cursor if x_min_cursor is not None else min_cursor
    engine = database.reader
    if cursor is not None:
        signer: CursorSigner = request.app.state.cursors
        wait_seconds = request.app.state.min_cursor_wait_seconds
        engine = await _engine_with(database, caller, signer.read_position(cursor), wait_seconds)
    async with engine.connect() as connection:
        yield connection


async def _engine_with(
    database: Database, caller: Principal, wanted: Mapping[UUID, int], wait_seconds: float
) -> AsyncEngine:
    """Return the reader once it is new enough, and the writer when that takes too long. Raises NotYetConsistent."""
    if await _catches_up(database.reader, caller, wanted, wait_seconds):
        return database.reader
    async with database.primary.connect() as connection:
        heads = await repository.heads_for(connection, caller)
    # The primary knows every membership: a workspace that is not there is one that the caller has left, or that
    # its token does not reach.
    if any(heads[workspace] < seq for workspace, seq in wanted.items() if workspace in heads):
        raise NotYetConsistent(retry_after=1)
    return database.primary


async def _catches_up(reader: AsyncEngine, caller: Principal, wanted: Mapping[UUID, int], wait_seconds: float) -> bool:
    """Wait until the reader has what is wanted; a membership that it does not have is not worth waiting for."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + wait_seconds
    while True:
        # A connection for each look: the pool is small, and many may wait at once.
        async with reader.connect() as connection:
            heads = await repository.heads_for(connection, caller)
        if all(heads.get(workspace, 0) >= seq for workspace, seq in wanted.items()):
            return True
        if loop.time() >= deadline or not wanted.keys() <= heads.keys():
            return False
        await asyncio.sleep(POLL_SECONDS)


async def cursor_after(request: Request, write: Write, caller: Principal) -> str:
    """Return the X-Cursor of a write: the caller's position in the change log right after it."""
    heads = await repository.heads_for(write.session, caller)
    signer: CursorSigner = request.app.state.cursors
    return signer.position(heads)


async def written_headers(request: Request, write: Write, caller: Principal, row: RowMapping) -> dict[str, str]:
    """Return the headers of an answer to a change: the row's version, and the position right after the write."""
    return {"etag": etag(row["version"]), "x-cursor": await cursor_after(request, write, caller)}


FreshConnection = Annotated[AsyncConnection, Depends(fresh_connection, scope="function")]
