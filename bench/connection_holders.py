"""Thousands of kept connections in one process, each of which asks now and then: run by connections.py.

Reads one line of JSON from its input: `host`, `port`, `path`, `count`, and how many seconds there are from one request
of a connection to the next. Says what came so far when all are open, and at each further line of input.
"""

import asyncio
import json
import os
import re
import sys
import time
from collections import Counter, deque
from functools import partial
from typing import Any, cast

import uvloop

END_OF_HEAD = b"\r\n\r\n"
LENGTH = re.compile(rb"\r\ncontent-length: (\d+)", re.IGNORECASE)
OPENED_AT_ONCE = 20


class Tally:
    """What has come of all connections."""

    def __init__(self) -> None:
        self.statuses: Counter[str] = Counter()
        self.closed = 0
        self.given_up = 0
        self.delays: list[float] = []


class Holder(asyncio.Protocol):
    """One connection, with one request under way at most."""

    __slots__ = (
        "_came",
        "_is_given_up",
        "_is_waiting",
        "_request",
        "_tally",
        "_transport",
        "answered",
        "asked_at",
        "is_open",
    )

    def __init__(self, tally: Tally, request: bytes) -> None:
        self._tally = tally
        self._request = request
        self._came = b""
        self._is_waiting = self._is_given_up = False
        self.answered = asyncio.get_running_loop().create_future()
        self.asked_at = 0.0
        self.is_open = True

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self.ask()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - how it is called
        self.is_open = False
        self._tally.closed += not self._is_given_up
        self._settle()

    def ask(self) -> None:
        """Send the request; a connection whose last one has no answer yet is given up."""
        if self._is_waiting:
            self._tally.given_up += 1
            self._is_given_up = True
            self._transport.abort()
            return
        self._is_waiting, self.asked_at = True, time.monotonic()
        self._transport.write(self._request)

    def data_received(self, data: bytes) -> None:
        self._came += data
        head, end, body = self._came.partition(END_OF_HEAD)
        length = LENGTH.search(head)
        if not end or length is None or len(body) < int(length.group(1)):
            return
        self._came, self._is_waiting = b"", False
        self._tally.statuses[head[9:12].decode()] += 1
        self._tally.delays.append(time.monotonic() - self.asked_at)
        self._settle()

    def _settle(self) -> None:
        if not self.answered.done():
            self.answered.set_result(None)


async def main() -> None:
    """Open, tell, and go on asking until told to stop."""
    order, tally = json.loads(await asyncio.to_thread(sys.stdin.readline)), Tally()
    holders: deque[Holder] = deque()
    request = f"GET {order['path']} HTTP/1.1\r\nHost: {order['host']}:{order['port']}\r\n\r\n".encode()
    asking = asyncio.create_task(_ask_in_turn(holders, order["every"]))
    left, began = iter(range(order["count"])), time.monotonic()
    make = partial(Holder, tally, request)

    async def open_some() -> None:
        for _ in left:
            _, holder = await asyncio.get_running_loop().create_connection(make, order["host"], order["port"])
            await holder.answered
            holders.append(holder)

    await asyncio.gather(*(open_some() for _ in range(OPENED_AT_ONCE)))
    _say(tally, holders, time.monotonic() - began)
    while (await asyncio.to_thread(sys.stdin.readline)).strip() != "stop":
        _say(tally, holders, time.monotonic() - began)
    asking.cancel()
    os._exit(0)  # thousands of connections would be closed in order


async def _ask_in_turn(holders: deque[Holder], every: float) -> None:
    """Let each ask once in so many seconds, at an even pace: how fast they were opened makes no waves."""
    due, then = 0.0, time.monotonic()
    while True:
        await asyncio.sleep(0.005)
        now = time.monotonic()
        due, then = due + (now - then) * len(holders) / every, now
        while due >= 1 and holders:
            due -= 1
            holder = holders.popleft()
            if holder.is_open:
                holder.ask()
                holders.append(holder)


def _say(tally: Tally, holders: deque[Holder], seconds: float) -> None:
    told: dict[str, Any] = {
        "open": sum(holder.is_open for holder in holders),
        "closed": tally.closed,
        "given_up": tally.given_up,
        "statuses": tally.statuses,
        "delays": sorted(tally.delays),
        "seconds": seconds,
    }
    print(json.dumps(told), flush=True)
    tally.delays = []


if __name__ == "__main__":
    uvloop.run(main())
