"""The end of a gateway (R63), and its beginning: a process of its own, ended by signals."""

import asyncio
import os
import signal
import subprocess
import sys
import time

import httpx2
import pytest
import websockets
from testkit.servers import free_port
from testkit.waiting import eventually

SERVICES = ("AUTH", "TASKS", "NOTIFICATIONS", "ATTACHMENTS")


def ended(server):
    return server.process.poll() is not None


async def until_ended(server, *, seconds):
    async def over():
        return ended(server)

    began = time.monotonic()
    await eventually(over, seconds=seconds)
    return time.monotonic() - began


async def test_r63_sigterm_finishes_what_is_in_flight_and_closes_sockets_1012(start_process, services, user, reply):
    go = asyncio.Event()

    async def hold(_scope, _receive, send):
        await go.wait()
        await reply(send, 200, b'{"a":1}')

    services.tasks.behave = hold
    with start_process() as server:
        async with httpx2.AsyncClient(base_url=server.url, timeout=20) as api:

            async def recognises():
                return (await api.get("/api/v1/users/me", headers=user.headers)).status_code == 200

            await eventually(recognises)
            socket = await websockets.connect(
                server.url.replace("http", "ws") + "/api/v1/ws", additional_headers=user.headers
            )
            asking = asyncio.create_task(api.get("/api/v1/tasks", headers=user.headers))

            async def arrived():
                return services.tasks.requests

            await eventually(arrived)
            server.process.send_signal(signal.SIGTERM)
            await asyncio.wait_for(socket.wait_closed(), 5)
            assert socket.close_code == 1012
            assert not ended(server)
            go.set()
            answer = await asking
            assert (answer.status_code, answer.content) == (200, b'{"a":1}')
        assert await until_ended(server, seconds=5) < 4
        assert server.process.returncode == 0


async def test_r63_request_that_does_not_end_does_not_keep_the_process(start_process, services, user):
    services.tasks.behave = lambda *_: asyncio.sleep(30)
    with start_process(SHUTDOWN_SECONDS="1") as server:
        async with httpx2.AsyncClient(base_url=server.url, timeout=20) as api:

            async def recognises():
                return (await api.get("/api/v1/users/me", headers=user.headers)).status_code == 200

            await eventually(recognises)
            asking = asyncio.create_task(api.get("/api/v1/tasks", headers=user.headers))

            async def arrived():
                return services.tasks.requests

            await eventually(arrived)
            server.process.send_signal(signal.SIGTERM)
            await until_ended(server, seconds=5)
            with pytest.raises(httpx2.HTTPError):
                (await asking).raise_for_status()


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"IDENTITY_SIGNING_KEY": ""}, "IDENTITY_SIGNING_KEY"),
        ({"GATEWAY_TASKS_URL": "", "REDIS_URL": ""}, "GATEWAY_TASKS_URL REDIS_URL"),
        (
            {"IDENTITY_SIGNING_KEY": "-----BEGIN PRIVATE KEY-----\\nAAAA\\n-----END PRIVATE KEY-----"},
            "IDENTITY_SIGNING_KEY",
        ),
        ({"REDIS_URL": "127.0.0.1:6379"}, "REDIS_URL"),
        ({"REDIS_URL": "redis://:pass/word@127.0.0.1"}, "REDIS_URL"),
        ({"REDIS_URL": "http://127.0.0.1:6379"}, "REDIS_URL"),
        (
            {f"GATEWAY_{name}_URL": "tasks:8000" for name in SERVICES},
            " ".join(f"GATEWAY_{name}_URL" for name in SERVICES),
        ),
        ({"GATEWAY_AUTH_URL": "http://"}, "GATEWAY_AUTH_URL"),
        ({"GATEWAY_AUTH_URL": "http://auth:port"}, "GATEWAY_AUTH_URL"),
        ({"GATEWAY_AUTH_URL": "http://[::1"}, "GATEWAY_AUTH_URL"),
        ({"PUBLIC_BASE_URL": "api.example"}, "PUBLIC_BASE_URL"),
        ({"PUBLIC_BASE_URL": "ftp://api.example"}, "PUBLIC_BASE_URL"),
        ({"ALLOWED_HOSTS": "*"}, "ALLOWED_HOSTS"),
        ({"CORS_ALLOW_ORIGINS": "https://*.example"}, "CORS_ALLOW_ORIGINS"),
        ({"TRUSTED_PROXIES": "10.0.0.0/99"}, "TRUSTED_PROXIES"),
        ({"GATEWAY_RATE_LIMIT_PER_MINUT": "5"}, "GATEWAY_RATE_LIMIT_PER_MINUT"),
        ({"GATEWAY_RATE_LIMIT_PER_MINUTE": "0"}, "GATEWAY_RATE_LIMIT_PER_MINUTE"),
    ],
)
def test_r67_settings_that_are_none_end_the_start(test_gateway, changes, named):
    ended = run_with(test_gateway, **changes)
    assert ended.returncode == 2
    for name in named.split():
        assert f"\n{name}: " in ended.stderr
    assert "Traceback" not in ended.stderr
    assert "word" not in ended.stderr.replace("password", "")


def test_r67_gateway_that_can_not_start_ends_and_is_told(test_gateway):
    ended = run_with(test_gateway, REDIS_URL="redis://127.0.0.1:1?socket_timeout=soon")
    assert ended.returncode == 3
    assert "gateway.start_failed" in ended.stdout + ended.stderr


def test_help_names_the_command_as_it_is_called():
    asked = subprocess.run([sys.executable, "-m", "gateway", "--help"], capture_output=True, text=True, check=True)
    assert asked.stdout.startswith("usage: gateway [-h]")


def run_with(test_gateway, **changes):
    urls = {f"GATEWAY_{name}_URL": "http://127.0.0.1:1" for name in SERVICES}
    right = {"IDENTITY_SIGNING_KEY": test_gateway.private_key, "REDIS_URL": "redis://127.0.0.1:1"}
    ports = {"PORT": str(free_port()), "ADMIN_PORT": str(free_port())}
    command = [sys.executable, "-m", "gateway", "api"]
    environment = {**os.environ, **urls, **right, **ports, **changes}
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120, check=False)
