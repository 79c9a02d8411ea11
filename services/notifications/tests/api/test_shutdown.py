"""The end of the process (R63)."""

import asyncio
import signal
import time

import pytest
from chassis.ids import uuid7


async def test_r63_sigterm_closes_sockets_with_1012(process, world, team, feed):
    """In time, also where one reader does not read."""
    ann, bob = team
    async with process(SHUTDOWN_SECONDS="2") as (running, service):
        slow = await service.open(ann)
        await slow.ready()
        slow.socket.transport.pause_reading()
        readers = [await service.open(user) for user in (bob, bob, uuid7())]
        for reader in readers:
            await reader.ready()
        await feed.put(*world.tasks(80, "x" * 60_000))
        for reader in readers[:2]:
            await reader.until_seq(82)
        began = time.monotonic()
        running.send_signal(signal.SIGTERM)
        assert [(await reader.closed(seconds=5))[0] for reader in readers] == [1012] * 3
        with pytest.raises(OSError, match="Connect call failed"):
            await service.open(uuid7())
        assert await asyncio.wait_for(running.wait(), 20) == 0
        assert time.monotonic() - began < 10
        slow.socket.transport.abort()
