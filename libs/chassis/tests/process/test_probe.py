"""The health check of containers, against a real admin port."""

import asyncio
import os
import socket
import sys
from collections.abc import AsyncIterator

import pytest
import uvicorn
from chassis.web.health import Health, admin_app
from testkit.servers import free_port
from testkit.waiting import eventually


@pytest.fixture
def health() -> Health:
    return Health()


@pytest.fixture
async def admin_port(health: Health) -> AsyncIterator[int]:
    port = free_port()
    server = uvicorn.Server(uvicorn.Config(admin_app(health), port=port, log_config=None))
    serving = asyncio.create_task(server.serve())

    async def started() -> bool:
        return server.started

    await eventually(started)
    yield port
    server.should_exit = True
    await serving


async def exit_code_of_probe(port: int) -> int:
    environment = {**os.environ, "ADMIN_PORT": str(port)}
    process = await asyncio.create_subprocess_exec(sys.executable, "-m", "chassis.probe", env=environment)
    return await process.wait()


async def test_probe_0_ready(admin_port: int):
    async def ready():
        return await exit_code_of_probe(admin_port) == 0

    await eventually(ready)


async def test_probe_1_stopping(admin_port: int, health: Health):
    health.stopping = True
    assert await exit_code_of_probe(admin_port) == 1


async def test_probe_1_nobody_listens():
    assert await exit_code_of_probe(free_port()) == 1


async def test_probe_1_no_answer_in_time():
    with socket.create_server(("127.0.0.1", 0)) as silent:
        assert await exit_code_of_probe(silent.getsockname()[1]) == 1
