"""The end of the process (R63)."""

import asyncio
import os
import signal
import sys
import time
from contextlib import asynccontextmanager

import httpx2
import pytest
from chassis.ids import uuid7
from testkit.servers import free_port
from testkit.waiting import eventually


@pytest.fixture
def process(database_settings, valkey_url, test_gateway, tasks_server, serving_at, secret):
    """Runs the API as a process of its own, with settings from the environment."""

    @asynccontextmanager
    async def process(**own):
        port, admin_port = free_port(), free_port()
        settings = {
            "PORT": str(port),
            "ADMIN_PORT": str(admin_port),
            "ENVIRONMENT": "test",
            "DATABASE_URL": database_settings.url.get_secret_value(),
            "REDIS_URL": valkey_url,
            "IDENTITY_VERIFY_KEY": test_gateway.verify_key,
            "CURSOR_SECRET": secret,
            "NOTIFICATIONS_TASKS_URL": tasks_server[1],
            **own,
        }
        running = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "notifications_service", "api", env={**os.environ, **settings}
        )
        try:
            await eventually(lambda: is_ready(admin_port), seconds=20)
            yield running, serving_at(port)
        finally:
            if running.returncode is None:
                running.kill()
            await running.wait()

    return process


async def is_ready(admin_port):
    async with httpx2.AsyncClient(trust_env=False) as client:
        try:
            return (await client.get(f"http://127.0.0.1:{admin_port}/readyz")).status_code == 200
        except httpx2.TransportError:
            return False


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
