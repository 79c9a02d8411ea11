"""Everything that one reader gets, in order, whatever carries it: a WebSocket or a stream of events."""

from collections.abc import Iterable, Mapping
from uuid import UUID

from chassis.db.engine import Database

from notifications_service.realtime.connection import Connection, Send
from notifications_service.realtime.hub import Hub
from notifications_service.realtime.protocol import ready
from notifications_service.realtime.service import lost, missed


class Delivery:
    """Sends what comes for a connection, the past first, until it is cancelled or something ends it."""

    def __init__(self, hub: Hub, database: Database, connection: Connection, send: Send) -> None:
        self._hub = hub
        self._database = database
        self._connection = connection
        self._send = send

    async def run(self) -> None:
        """Send for as long as there is somebody to send to.

        Raises CursorExpired, TooSlow, SQLAlchemyError, OSError, and what `send` raises.
        """
        connection = self._connection
        await self._send(ready(connection.cursor()))
        await self._tell_ended()
        await self._catch_up(list(connection.positions))
        while True:
            await connection.flush(self._send)
            self._hub.unsubscribe(connection, connection.subscribed - connection.positions.keys())
            if doubtful := connection.take_doubts():
                await connection.drop(await lost(self._database, connection, doubtful), self._send)
            if connection.takes_up_again():
                await self._catch_up(list(connection.positions))
            elif new := connection.take_admissions():
                await self._catch_up(new)
            else:
                await connection.news()

    async def _tell_ended(self) -> None:
        """Tell of the workspaces that the reader is out of since its cursor, which it hears nothing more of then."""
        connection = self._connection
        await self._send_missed(connection.ended)
        connection.ended = {}

    async def _catch_up(self, workspaces: Iterable[UUID]) -> None:
        """Subscribe first and read the past second, again where meanwhile more came than may wait."""
        connection = self._connection
        connection.start_catching_up()
        until = await self._hub.subscribe(connection, workspaces)
        while True:
            await self._send_missed(until)
            if connection.has_caught_up():
                return
            connection.start_catching_up()
            until = await self._hub.subscribe(connection, list(connection.positions))

    async def _send_missed(self, until: Mapping[UUID, int]) -> None:
        """Send what lies between where the reader is in some streams and other places. Raises CursorExpired."""
        connection = self._connection
        positions, is_asked = dict(connection.positions), connection.wanted.needs_tasks
        past = missed(self._database, user_id=connection.user_id, after=positions, until=until, is_asked=is_asked)
        async for frame in past:
            await connection.deliver(frame, self._send)
