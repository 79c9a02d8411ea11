"""What goes over the wire to PostgreSQL: statements and round trips, whoever sends them and by whatever library."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from urllib.parse import urlsplit

from testkit.proxy import through
from testkit.servers import HOST

CHUNK = 65536
SSL_REQUEST_BYTES = 8
EXECUTE, SYNC, QUERY = b"E", b"S", b"Q"


@dataclass
class Wire:
    """Counts what clients send: executions of prepared statements, and what the server answers in one go.

    What begins and ends a transaction is a round trip, and no statement.
    """

    statements: int = 0
    round_trips: int = 0

    def take(self) -> tuple[int, int]:
        """Return statements and round trips since the last time."""
        found = self.statements, self.round_trips
        self.statements = self.round_trips = 0
        return found

    def note(self, kind: bytes) -> None:
        """Count a message of a client."""
        self.statements += kind == EXECUTE
        self.round_trips += kind in (SYNC, QUERY)


@asynccontextmanager
async def counted(url: str) -> AsyncIterator[tuple[Wire, str]]:
    """Start a proxy before the PostgreSQL of `url`; give what it counts, and the URL that leads through it."""
    wire, parts, passing = Wire(), urlsplit(url), set[asyncio.Task[None]]()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        server_reader, server_writer = await asyncio.open_connection(parts.hostname, parts.port)
        passing.add(asyncio.create_task(_pass_messages(wire, reader, server_writer)))
        passing.add(asyncio.create_task(_pass_bytes(server_reader, writer)))

    server = await asyncio.start_server(serve, HOST, 0)
    try:
        yield wire, through(server, url)
    finally:
        server.close()
        for task in passing:
            task.cancel()
        await asyncio.gather(*passing, return_exceptions=True)


async def _pass_messages(wire: Wire, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(OSError, asyncio.IncompleteReadError):
        try:
            # A question for TLS, or at once the start, have no type.
            while len(await _pass_message(reader, writer, b"")) == SSL_REQUEST_BYTES:
                pass
            while True:
                kind = await reader.readexactly(1)
                wire.note(kind)
                await _pass_message(reader, writer, kind)
        finally:
            writer.close()


async def _pass_message(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, kind: bytes) -> bytes:
    length = await reader.readexactly(4)
    message = length + await reader.readexactly(int.from_bytes(length) - 4)
    writer.write(kind + message)
    await writer.drain()
    return message


async def _pass_bytes(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(OSError):
        try:
            while data := await reader.read(CHUNK):
                writer.write(data)
                await writer.drain()
        finally:
            writer.close()
