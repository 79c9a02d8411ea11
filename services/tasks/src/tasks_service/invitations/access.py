"""How a mailed link is looked at."""

from collections.abc import AsyncIterator
from typing import Annotated

from chassis.db.row_security import reading_primary
from fastapi import Depends, Request
from sqlalchemy.ext.asyncio import AsyncConnection


async def unbound_connection(request: Request) -> AsyncIterator[AsyncConnection]:
    """Give a connection that is nobody's: who opens a mailed link need not have an account yet."""
    async with reading_primary(request.app.state.database, None) as connection:
        yield connection


UnboundConnection = Annotated[AsyncConnection, Depends(unbound_connection, scope="function")]
