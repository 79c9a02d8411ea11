"""R5: a process that dies between the commit of a refresh and its answer logs nobody out."""

import asyncio
import hashlib
import sys
from contextlib import asynccontextmanager

import httpx2
import pytest
from auth_service.settings import Settings
from testkit.environments import required_settings
from testkit.proxy import proxied
from testkit.servers import Server, free_port
from testkit.waiting import eventually

RING_KEY = "k1:MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY="
TOKENS = "SELECT count(*) FROM auth.refresh_token WHERE session_id = :id"
REPLACED_NOW = "UPDATE auth.refresh_token SET replaced_at = clock_timestamp() WHERE hash = :hash"
SUCCESSOR = "SELECT successor_hash FROM auth.refresh_token WHERE hash = :hash"


@pytest.fixture
def start(test_gateway, tmp_path):
    """Starts the API as production does, in a process of its own, on the database of this URL."""

    @asynccontextmanager
    async def start(url, **settings):
        port = free_port()
        environment = {
            **required_settings(Settings),
            "PORT": str(port),
            "ADMIN_PORT": str(free_port()),
            "ENVIRONMENT": "test",
            "DATABASE_URL": url,
            "BROKER_URL": "redis://127.0.0.1:1",
            "IDENTITY_VERIFY_KEY": test_gateway.verify_key,
            "AUTH_ENCRYPTION_KEYS": RING_KEY,
            "CURSOR_SECRET": "a secret of at least 32 characters",
            **settings,
        }
        command = [sys.executable, "-m", "auth_service", "api"]
        server = Server(command, f"http://127.0.0.1:{port}", port, tmp_path / f"{port}.log", environment=environment)
        # The proxy of the database is served by this loop, which must go on meanwhile.
        await asyncio.to_thread(server.start)
        try:
            yield server
        finally:
            await asyncio.to_thread(server.kill)

    return start


@pytest.fixture
async def refresh():
    async with httpx2.AsyncClient(timeout=120) as client:

        async def refresh(server, token):
            return await client.post(f"{server.url}/api/v1/auth/refresh", json={"refresh_token": token})

        yield refresh


def token_of(answer):
    assert answer.status_code == 200, answer.text
    return answer.json()["data"]["refresh_token"]


def codes(answer):
    return answer.status_code, [error["code"] for error in answer.json()["errors"]]


async def test_r5_kill_9_between_the_commit_and_the_answer_logs_nobody_out(
    start, refresh, database_settings, login, rows
):
    url, first = database_settings.url.get_secret_value(), login.tokens["refresh_token"]
    async with proxied(url) as (proxy, through), start(through) as server, start(url) as replica:
        proxy.hold_after = b"COMMIT"
        lost = asyncio.create_task(refresh(server, first))

        async def committed():
            return await rows(TOKENS, id=login.session_id) == [(2,)]

        await eventually(committed)
        ((promised,),) = await rows(SUCCESSOR, hash=hashlib.sha256(first.encode()).digest())
        assert not lost.done()
        await asyncio.to_thread(server.kill)
        with pytest.raises(httpx2.TransportError):
            await lost
        second = token_of(await refresh(replica, first))
        assert hashlib.sha256(second.encode()).digest() == promised
        await asyncio.to_thread(server.start)
        # A slow machine may need longer for the start than a retry is recognised for.
        await rows(REPLACED_NOW, hash=hashlib.sha256(first.encode()).digest())
        assert token_of(await refresh(server, first)) == second
        third = token_of(await refresh(server, second))
        assert third not in (first, second)
        assert await rows(TOKENS, id=login.session_id) == [(3,)]
        assert codes(await refresh(server, first)) == (401, ["REFRESH_REUSED"])
        assert codes(await refresh(replica, third)) == (401, ["INVALID_REFRESH_TOKEN"])


async def test_r5_kill_9_before_the_commit_spends_nothing(start, refresh, database_settings, login, rows):
    url, first = database_settings.url.get_secret_value(), login.tokens["refresh_token"]
    async with proxied(url) as (proxy, through), start(through) as server:
        proxy.hold_after = b"INSERT INTO auth.refresh_token"
        lost = asyncio.create_task(refresh(server, first))

        async def reached():
            return not proxy.hold_after

        await eventually(reached)
        await asyncio.to_thread(server.kill)
        with pytest.raises(httpx2.TransportError):
            await lost
        assert await rows(TOKENS, id=login.session_id) == [(1,)]
        await asyncio.to_thread(server.start)
        second = token_of(await refresh(server, first))
        assert token_of(await refresh(server, second)) not in (first, second)


async def test_r5_a_commit_of_which_nothing_is_heard_is_503_and_the_next_try_gets_the_successor(
    start, refresh, database_settings, login, rows
):
    url, first = database_settings.url.get_secret_value(), login.tokens["refresh_token"]
    async with proxied(url) as (proxy, through), start(through, DATABASE_COMMAND_SECONDS="1") as server:
        proxy.hold_after = b"COMMIT"
        assert codes(await refresh(server, first)) == (503, ["SERVICE_UNAVAILABLE"])
        ((promised,),) = await rows(SUCCESSOR, hash=hashlib.sha256(first.encode()).digest())
        second = token_of(await refresh(server, first))
        assert hashlib.sha256(second.encode()).digest() == promised
        assert (await refresh(server, second)).status_code == 200
