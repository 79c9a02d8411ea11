"""How a reader of the feed says where it is: its position is what the data must be as new as."""

from collections.abc import AsyncIterator, Mapping
from typing import Annotated, NamedTuple
from uuid import UUID

from chassis.cursors import MAX_CURSOR_CHARACTERS, CursorSigner
from chassis.errors import InvalidCursor
from chassis.web.identity import CurrentPrincipal
from chassis.web.routing import refuses
from fastapi import Depends, Query, Request
from sqlalchemy.ext.asyncio import AsyncConnection

from tasks_service.changes.access import connection_with
from tasks_service.changes.errors import NotYetConsistent
from tasks_service.feed.rules import MAX_CHANGES, MAX_TYPES
from tasks_service.feed.schemas import Type

TYPES_SAY = "Only these types of events, such as `task.updated`, `task.*` or `*.deleted`"

Types = Annotated[
    list[Type] | None, Query(max_length=MAX_TYPES, description=f"{TYPES_SAY}, repeated or joined by commas.")
]
Limit = Annotated[int, Query(ge=1, le=MAX_CHANGES, description="How many changes at most.")]


class Standpoint(NamedTuple):
    """Where a reader is, by workspace, or None for the present; and what shows all that was there by then."""

    connection: AsyncConnection
    positions: Mapping[UUID, int] | None


@refuses(InvalidCursor, NotYetConsistent)
async def standpoint(
    request: Request,
    caller: CurrentPrincipal,
    cursor: Annotated[
        str | None,
        Query(
            max_length=MAX_CURSOR_CHARACTERS,
            description="Any position: `next_cursor`, the `X-Cursor` of a change, the `cursor` of an event.",
        ),
    ] = None,
) -> AsyncIterator[Standpoint]:
    """Give a connection whose data includes the position. Raises InvalidCursor, NotYetConsistent."""
    signer: CursorSigner = request.app.state.cursors
    positions = None if cursor is None else signer.read_position(cursor)
    async with connection_with(request, caller, positions) as connection:
        yield Standpoint(connection, positions)


StandpointQuery = Annotated[Standpoint, Depends(standpoint, scope="function")]
