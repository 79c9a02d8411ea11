"""Connections that a caller manages, and where a new one leads."""

from typing import Annotated
from uuid import UUID

from chassis.db.row_security import reading_primary
from chassis.egress.rules import UrlNotAllowed
from chassis.web.database import bound_of
from chassis.web.routing import refuses
from fastapi import Depends, Path, Request
from sqlalchemy import RowMapping

from notifications_service.chat import repository
from notifications_service.chat.errors import ConnectionMissing
from notifications_service.chat.schemas import ConnectionCreate, ConnectionPatch
from notifications_service.preferences.access import WholeCaller
from notifications_service.scopes.access import await_scopes
from notifications_service.terms import Channels

ConnectionId = Annotated[UUID, Path(description="Id of the connection.")]


@refuses(UrlNotAllowed)
async def allowed_connection(
    request: Request, body: ConnectionCreate, caller: WholeCaller, channels: Channels
) -> ConnectionCreate:
    """Return a body whose URL requests may go to, and whose scope is known here if its caller sees it.

    Before the transaction, since DNS is asked. Raises UrlNotAllowed.
    """
    await channels.check(body.url, field="url", asks_dns=not channels.records)
    if body.scope.id is not None:
        await await_scopes(request, caller, [(body.scope.type, body.scope.id)])
    return body


@refuses(UrlNotAllowed)
async def allowed_patch(body: ConnectionPatch, _caller: WholeCaller, channels: Channels) -> ConnectionPatch:
    """Do the same for a change. Raises UrlNotAllowed."""
    if body.url is not None:
        await channels.check(body.url, field="url", asks_dns=not channels.records)
    return body


@refuses(ConnectionMissing)
async def managed_connection(request: Request, connection_id: ConnectionId, caller: WholeCaller) -> RowMapping:
    """Return a connection that the caller manages; none to the database is held after it. Raises ConnectionMissing."""
    async with reading_primary(request.app.state.database, bound_of(request)) as reader:
        row = await repository.find_managed(reader, user_id=caller.user_id, connection_id=connection_id)
    if row is None:
        raise ConnectionMissing
    return row


AllowedConnection = Annotated[ConnectionCreate, Depends(allowed_connection)]
AllowedPatch = Annotated[ConnectionPatch, Depends(allowed_patch)]
ManagedConnection = Annotated[RowMapping, Depends(managed_connection)]
