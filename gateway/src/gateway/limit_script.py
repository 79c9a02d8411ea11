"""One script, run again and again over one kept connection of a redis-py client.

What the client does around each command (its pool with three locks, retries, observers, encoders) is most of what a
command costs; a connection that is held pays for none of it. It does one thing at a time: whoever calls sees to that.

A script whose connection ends before its answer is run once more over a new one, and may then have counted twice, as
with the client's own retries. Connecting takes its own time: who loses patience meanwhile leaves it to the next one.
"""

import asyncio
from collections.abc import Sequence
from contextvars import Context
from typing import Any

import hiredis
import redis.asyncio as redis
from redis.asyncio.connection import AbstractConnection
from redis.exceptions import ConnectionError as NotConnected
from redis.exceptions import NoScriptError, RedisError

Argument = str | int


class HeldScript:
    """A script of a server, which may forget it."""

    def __init__(self, server: redis.Redis, script: str) -> None:
        self._pool = server.connection_pool
        self._script = script
        self._sha: str = server.register_script(script).sha
        self._connection: AbstractConnection | None = None
        self._connecting: asyncio.Task[AbstractConnection] | None = None

    async def run(self, keys: Sequence[str], arguments: Sequence[int]) -> list[Any]:
        """Return what the script answers. Raises RedisError, OSError; a call that is given up ends the connection."""
        was_held = self._connection is not None
        try:
            return await self._run(keys, arguments)
        except (NotConnected, OSError):
            # What is between us and the server may have forgotten a connection that was idle, and says so only now.
            if not was_held:
                raise
        return await self._run(keys, arguments)

    async def _run(self, keys: Sequence[str], arguments: Sequence[int]) -> list[Any]:
        connection = await self._connected()
        try:
            try:
                return await _ask(connection, "EVALSHA", self._sha, len(keys), *keys, *arguments)
            except NoScriptError:
                return await _ask(connection, "EVAL", self._script, len(keys), *keys, *arguments)
        except BaseException:
            # An answer that is under way would be read as that of the next call.
            await self._let_go(connection)
            raise

    async def _connected(self) -> AbstractConnection:
        held = self._connection
        if held is not None:
            if held.is_connected and not await held.can_read():
                return held
            # It has ended, or says something that nobody asked for.
            await self._let_go(held)
        if self._connecting is None or _has_failed(self._connecting):
            self._connecting = asyncio.create_task(self._connect(), context=Context())
        self._connection = await asyncio.shield(self._connecting)
        self._connecting = None
        return self._connection

    async def _connect(self) -> AbstractConnection:
        connection: AbstractConnection = await self._pool.get_connection()  # type: ignore[no-untyped-call] # no types there
        return connection

    async def _let_go(self, connection: AbstractConnection) -> None:
        self._connection = None
        await connection.disconnect(nowait=True)
        await self._pool.release(connection)


def _has_failed(connecting: asyncio.Task[AbstractConnection]) -> bool:
    return connecting.done() and (connecting.cancelled() or connecting.exception() is not None)


async def _ask(connection: AbstractConnection, *command: Argument) -> list[Any]:
    packed = hiredis.pack_command(command)  # type: ignore[arg-type] # it says of tuples that they have one member
    await connection.send_packed_command(packed, check_health=False)
    answer = await connection.read_response()
    if not isinstance(answer, list):
        raise RedisError("an answer of another form")
    return answer
