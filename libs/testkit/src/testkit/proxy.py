"""A TCP proxy between a client and a real server, for tests of networks that fail."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from urllib.parse import urlsplit, urlunsplit

from testkit.servers import HOST

CHUNK = 65536


@dataclass
class Proxy:
    """Passes bytes both ways until told otherwise.

    A connection is cut, once, before the first bytes that contain `cut_request` reach the server, or those that
    contain `cut_reply` the client. The first bytes that contain `hold_after` reach the server, and whatever it says on
    that connection from then on never reaches the client, as when a machine dies between the two. While `silent` is
    set all bytes vanish and connections stay open, as when a machine loses its power or a cable is pulled.
    """

    url: str
    cut_request: bytes = b""
    cut_reply: bytes = b""
    hold_after: bytes = b""
    silent: bool = False
    cuts: int = 0
    _held: set[asyncio.StreamWriter] = field(default_factory=set)
    """The clients that hear nothing more."""
    _servers: list[asyncio.StreamWriter] = field(default_factory=list)
    _passing: set[asyncio.Task[None]] = field(default_factory=set)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        target = urlsplit(self.url)
        server_reader, server_writer = await asyncio.open_connection(target.hostname, target.port)
        writers = (writer, server_writer)
        self._servers.append(server_writer)
        for task in (
            asyncio.create_task(self._pass(reader, server_writer, writers, "cut_request")),
            asyncio.create_task(self._pass(server_reader, writer, writers, "cut_reply")),
        ):
            self._passing.add(task)
            task.add_done_callback(self._passing.discard)

    def inject(self, request: bytes) -> None:
        """Send bytes to the server on the latest connection, as if the client had."""
        self._servers[-1].write(request)

    async def close(self) -> None:
        """End every connection."""
        for task in set(self._passing):
            task.cancel()
        await asyncio.gather(*self._passing, return_exceptions=True)

    async def _pass(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        writers: tuple[asyncio.StreamWriter, ...],
        cutting: str,
    ) -> None:
        with suppress(OSError):
            try:
                while data := await reader.read(CHUNK):
                    if self.silent or (cutting == "cut_reply" and writer in self._held):
                        continue
                    if self._cuts(data, cutting):
                        return
                    if cutting == "cut_request" and self.hold_after and self.hold_after in data:
                        self.hold_after = b""
                        self._held.add(writers[0])
                    writer.write(data)
                    await writer.drain()
            finally:
                for one in writers:
                    one.close()

    def _cuts(self, data: bytes, cutting: str) -> bool:
        marker = getattr(self, cutting)
        if not marker or marker not in data:
            return False
        setattr(self, cutting, b"")
        self.cuts += 1
        return True


def through(server: asyncio.Server, url: str) -> str:
    """Return a URL that leads to the same through a server of ours."""
    parts = urlsplit(url)
    login, at, _ = parts.netloc.rpartition("@")
    return urlunsplit(parts._replace(netloc=f"{login}{at}{HOST}:{server.sockets[0].getsockname()[1]}"))


@asynccontextmanager
async def proxied(url: str) -> AsyncIterator[tuple[Proxy, str]]:
    """Start a proxy before the server of `url`; give it, and the URL that leads through it."""
    proxy = Proxy(url)
    server = await asyncio.start_server(proxy.serve, HOST, 0)
    try:
        yield proxy, through(server, url)
    finally:
        server.close()
        await proxy.close()
