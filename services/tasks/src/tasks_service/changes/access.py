"""Reads that are at least as new as the caller asks for (`X-Min-Cursor`)."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from typing import Annotated
from uuid import UUID

from chassis.cursors import CursorSigner
from chassis.web.database import ReadConnection
from chassis.web.identity import CurrentPrincipal
from fastapi import Depends, Header, Request
from sqlalchemy.ext.asyncio import AsyncConnection

from tasks_service.changes import repository
from tasks_service.changes.errors import NotYetConsistent

POLL_SECONDS = 0.02


async def fresh_connection(
    request: Request,
    caller: CurrentPrincipal,
    connection: ReadConnection,
    x_min_cursor: Annotated[
        str | None, Header(max_length=16_384, description="An X-Cursor: the answer is at least as new as it.")
    ] = None,
) -> AsyncIterator[AsyncConnection]:
    """Give a connection whose data includes the position of X-Min-Cursor. Raises InvalidCursor, NotYetConsistent."""
    if x_min_cursor is not None:
        signer: CursorSigner = request.app.state.cursors
        wanted = signer.read_position(x_min_cursor)
        await _wait_for(connection, caller.user_id, wanted, request.app.state.min_cursor_wait_seconds)
    yield connection


async def _wait_for(
    connection: AsyncConnection, caller_id: UUID, wanted: Mapping[UUID, int], wait_seconds: float
) -> None:
    deadline = asyncio.get_running_loop().time() + wait_seconds
    while not _covers(await repository.heads_for(connection, caller_id), wanted):
        if asyncio.get_running_loop().time() >= deadline:
            raise NotYetConsistent(retry_after=1)
        await asyncio.sleep(POLL_SECONDS)


def _covers(heads: Mapping[UUID, int], wanted: Mapping[UUID, int]) -> bool:
    """Tell whether the heads are as new as wanted; a workspace that the caller has left can't be waited for."""
    return all(heads[workspace] >= seq for workspace, seq in wanted.items() if workspace in heads)


FreshConnection = Annotated[AsyncConnection, Depends(fresh_connection, scope="function")]
