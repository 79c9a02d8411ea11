"""Thousands of clients of WebSockets in one process, which do as little as can be done: run by sockets.py.

Reads one line of JSON from its input: `targets` (host, port, path, token and how many sockets of it), and `at_once`.
Says `connected` when all have had their first frame; at the next line of input it writes all arrivals and ends.
"""

import asyncio
import base64
import json
import os
import re
import sys
import time
from collections import Counter
from collections.abc import Iterator
from functools import partial
from typing import Any, cast

import uvloop
from gateway.frames import head_at
from websockets.frames import Frame, Opcode

NUMBER = re.compile(rb'"title":"bench (\d+)"')
TRIES = 10
TRY_SECONDS = 10
END_OF_HEAD = b"\r\n\r\n"


class Readers:
    """What all sockets have seen."""

    def __init__(self) -> None:
        self.arrivals: list[tuple[int, float]] = []
        self.bytes = 0
        self.closed: Counter[str] = Counter()
        self.closed_at = 0.0
        self.refused: Counter[str] = Counter()


class ReaderSocket(asyncio.Protocol):
    """One client."""

    __slots__ = ("_came", "_in_head", "_readers", "ready", "transport")

    def __init__(self, readers: Readers, ready: "asyncio.Future[bool]") -> None:
        self._readers = readers
        self._came = b""
        self._in_head = True
        self.ready: asyncio.Future[bool] | None = ready
        self.transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - how it is called
        self._settle(good=False)

    def data_received(self, data: bytes) -> None:
        now, data = time.monotonic(), self._came + data
        at = 0
        if self._in_head:
            head, end, rest = data.partition(END_OF_HEAD)
            if not end:
                self._came = data
                return
            if not head.startswith(b"HTTP/1.1 101"):
                self._readers.refused[head[:12].decode()] += 1
                self.transport.close()
                return
            self._in_head, data = False, rest
        while (frame := head_at(data, at)) is not None and frame.end <= len(data):
            self._take(frame.opcode, data[frame.begin : frame.end], now)
            at = frame.end
        self._came = data[at:]

    def _take(self, opcode: int, payload: bytes, now: float) -> None:
        if opcode == Opcode.PING:
            self.transport.write(Frame(Opcode.PONG, payload).serialize(mask=True))
        elif opcode == Opcode.CLOSE:
            self._readers.closed[str(int.from_bytes(payload[:2]))] += 1
            self._readers.closed_at = now
            self.transport.write(Frame(Opcode.CLOSE, payload[:2]).serialize(mask=True))
        else:
            self._settle(good=True)
            found = NUMBER.search(payload)
            if found is not None:
                self._readers.arrivals.append((int(found.group(1)), now))
                self._readers.bytes += len(payload)

    def _settle(self, *, good: bool) -> None:
        if self.ready is not None and not self.ready.done():
            self.ready.set_result(good)
        self.ready = None


async def main() -> None:
    """Connect, tell, listen until told to stop, and write down what came."""
    order = json.loads(await asyncio.to_thread(sys.stdin.readline))
    readers, began = Readers(), time.monotonic()
    waiting = _each(order["targets"])
    failed = sum(await asyncio.gather(*(_connect_on(waiting, readers) for _ in range(order["at_once"]))))
    _say({"seconds": time.monotonic() - began, "failed": failed, "refused": readers.refused})
    while (await asyncio.to_thread(sys.stdin.readline)).strip() != "stop":
        _say({"closed": readers.closed, "closed_at": readers.closed_at})
    _say({"arrivals": readers.arrivals, "bytes": readers.bytes, "closed": readers.closed})
    os._exit(0)  # thousands of sockets would be closed in order


def _each(targets: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """Yield the targets in turns, so that no process gets all of its sockets at once."""
    for turn in range(max(one["count"] for one in targets)):
        yield from (one for one in targets if turn < one["count"])


async def _connect_on(waiting: Iterator[dict[str, Any]], readers: Readers) -> int:
    """Connect one after the other; return how many have failed. Who is refused comes again a second later."""
    failed = 0
    for target in waiting:
        for _ in range(TRIES):
            if await _connected(target, readers):
                break
            await asyncio.sleep(1)
        else:
            failed += 1
    return failed


async def _connected(target: dict[str, Any], readers: Readers) -> bool:
    loop = asyncio.get_running_loop()
    ready: asyncio.Future[bool] = loop.create_future()
    try:
        async with asyncio.timeout(TRY_SECONDS):
            make = partial(ReaderSocket, readers, ready)
            _, socket = await loop.create_connection(make, target["host"], target["port"])
            socket.transport.write(_handshake(target))
            return await ready
    except (OSError, TimeoutError) as error:
        readers.refused[type(error).__name__] += 1
        return False


def _handshake(target: dict[str, Any]) -> bytes:
    key = base64.b64encode(os.urandom(16)).decode()
    return (
        f"GET {target['path']} HTTP/1.1\r\nHost: {target['host']}:{target['port']}\r\nUpgrade: websocket\r\n"
        f"Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {key}\r\n"
        f"Authorization: Bearer {target['token']}\r\n\r\n"
    ).encode()


def _say(what: dict[str, Any]) -> None:
    print(json.dumps(what), flush=True)


if __name__ == "__main__":
    uvloop.run(main())
