"""R3: the keys that sign access tokens change under load, and no request fails of it."""

import asyncio
import os
import secrets
import signal
import sys
from collections import Counter
from dataclasses import dataclass

import httpx2
import jwt
import pytest
from auth_service.db import ROOT
from auth_service.settings import Settings
from chassis.db.migrations import upgrade
from testkit.databases import migrated_database
from testkit.environments import required_settings
from testkit.servers import Server, free_port
from testkit.waiting import eventually

PASSWORD = "violet-harbor-77"
PATHS = ("/api/v1/users/me", "/api/v1/auth/sessions")
ENDLESS = "1000000"
SIGNERS_FOLLOW_SECONDS = 25
"""Ten, and what a busy machine adds."""


def kid_of(token):
    return jwt.get_unverified_header(token)["kid"]


class Load:
    """Requests without a pause, with every token that was ever given out; counts the answers."""

    def __init__(self, client):
        self.client = client
        self.tokens = []
        self.answers = Counter()
        self.stopped = False

    async def run(self):
        while not self.stopped:
            for token in list(self.tokens):
                for path in PATHS:
                    answer = await self.client.get(path, headers={"authorization": f"Bearer {token}"})
                    self.answers[kid_of(token), answer.status_code] += 1

    def served(self, kid):
        return self.answers[kid, 200]

    async def serves(self, kid, more=70):
        """Wait until so many more requests with tokens of this key have been served."""
        goal = self.served(kid) + more

        async def reached():
            return self.served(kid) >= goal or self.failures

        await eventually(reached, seconds=60)

    @property
    def failures(self):
        return {what: count for what, count in self.answers.items() if what[1] != 200}


@dataclass
class Pair:
    """An auth service and a gateway before it, each a process of its own."""

    auth: Server
    gateway: Server


@pytest.fixture(scope="module")
def pair(start_copy, postgres_url, valkey_url, test_gateway, worker_id, tmp_path_factory):
    logs = tmp_path_factory.mktemp("rotation")
    database = migrated_database(postgres_url, f"rotation_{worker_id}", lambda url: upgrade(ROOT, url=url))

    def server(module, **settings):
        port = free_port()
        told = {"PORT": str(port), "ADMIN_PORT": str(free_port()), "ENVIRONMENT": "test", **settings}
        command = [sys.executable, "-m", module, "api"]
        return Server(command, f"http://127.0.0.1:{port}", port, logs / f"{module}.log", environment=told)

    told = {
        **required_settings(Settings),
        "DATABASE_URL": database.url.get_secret_value(),
        "BROKER_URL": "redis://127.0.0.1:1",
        "IDENTITY_VERIFY_KEY": test_gateway.verify_key,
        "DATABASE_POOL_WAIT_SECONDS": "10",
        "DATABASE_WRITE_WAIT_SECONDS": "10",
    }
    auth = server("auth_service", **told)
    nobody = f"http://127.0.0.1:{free_port()}"
    gateway = server(
        "gateway",
        REDIS_URL=valkey_url,
        IDENTITY_SIGNING_KEY=test_gateway.private_key,
        GATEWAY_AUTH_URL=auth.url,
        **{f"GATEWAY_{name}_URL": nobody for name in ("TASKS", "NOTIFICATIONS", "ATTACHMENTS")},
        **{f"GATEWAY_{kind}_PER_MINUTE": ENDLESS for kind in ("RATE_LIMIT", "ANONYMOUS_LIMIT", "LOGIN_LIMIT")},
        GATEWAY_REDIS_PATIENCE_MS="2000",
    )
    try:
        auth.start()
        gateway.start()
        yield Pair(auth, gateway)
    finally:
        gateway.stop(signal.SIGTERM)
        auth.stop(signal.SIGTERM)


@pytest.fixture
async def client(pair):
    async with httpx2.AsyncClient(base_url=pair.gateway.url, timeout=60) as client:

        async def ready():
            return (await client.get("/readyz")).status_code == 200

        await eventually(ready)
        yield client


async def somebody(client):
    """Register an account, and return how to log in to it: for one use, since it keeps at most a hundred sessions."""
    credentials = {"email": f"{secrets.token_hex(8)}@example.com", "password": PASSWORD}
    registered = await client.post("/api/v1/auth/register", json={**credentials, "display_name": "Somebody"})
    assert registered.status_code == 201

    async def log_in():
        answer = await client.post("/api/v1/auth/login", json=credentials)
        assert answer.status_code == 200, answer.text
        return answer.json()["data"]["access_token"]

    return log_in


async def signed_by_another(client, known):
    """Log in until a token is signed by a key that is not known, and return that token."""
    log_in = await somebody(client)

    async def newly_signed():
        token = await log_in()
        return token if kid_of(token) not in known else None

    return await eventually(newly_signed, seconds=SIGNERS_FOLLOW_SECONDS)


async def rotate(pair):
    """Rotate as an operator does."""
    environment = {**os.environ, **pair.auth.environment}
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "auth_service", "rotate-keys"), env=environment, stderr=asyncio.subprocess.PIPE
    )
    _, complaints = await process.communicate()
    assert process.returncode == 0, complaints.decode()


async def published(client):
    return [key["kid"] for key in (await client.get("/.well-known/jwks.json")).json()["keys"]]


async def test_r3_two_rotations_under_load_fail_no_request(pair, client):
    load = Load(client)
    load.tokens.append(await (await somebody(client))())
    loaders = [asyncio.create_task(load.run()) for _ in range(2)]
    keys = [kid_of(load.tokens[0])]
    await load.serves(keys[0])
    for _ in range(2):
        await rotate(pair)
        load.tokens.append(await signed_by_another(client, keys))
        keys.append(kid_of(load.tokens[-1]))
        for kid in keys:
            await load.serves(kid)
    load.stopped = True
    await asyncio.gather(*loaders)
    assert load.failures == {}
    assert [load.served(kid) >= least for kid, least in zip(keys, (210, 140, 70), strict=True)] == [True] * 3
    assert set(keys) <= set(await published(client))
    assert len(set(keys)) == 3


async def test_r3_a_key_that_the_gateway_has_never_seen_serves_at_its_first_use(pair, client):
    """Two rotations in a row: what signs then was published a moment ago."""
    old = await (await somebody(client))()
    before = await published(client)
    for _ in range(2):
        await rotate(pair)
    new = await signed_by_another(client, before)
    some = asyncio.Semaphore(8)

    async def status_of(path, token):
        async with some:
            return (await client.get(path, headers={"authorization": f"Bearer {token}"})).status_code

    calls = [status_of(path, token) for token in (new, old) * 50 for path in PATHS]
    assert await asyncio.gather(*calls) == [200] * 200
