"""The real gateway on a real port; the services behind it are stand-ins that say what they received."""

import asyncio
import contextlib
import os
import signal
import socket
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx2
import orjson
import pytest
from chassis.ids import uuid7
from chassis.process import Protocols, make_server
from chassis.secret_tokens import API_TOKEN, token_digest
from chassis.settings import ProcessSettings, RedisSettings
from chassis.tokens import IdentityVerifier
from chassis.web.health import Health
from gateway.main import Gateway
from gateway.settings import AccessTokenSettings, EdgeSettings, GatewaySettings, Settings
from prometheus_client import REGISTRY
from pydantic import SecretStr
from starlette.types import Receive, Scope, Send
from testkit.access_tokens import Issuer
from testkit.identities import TestGateway
from testkit.raw_http import RawConnection, raw_connection
from testkit.receivers import Serve, listening
from testkit.servers import Server, free_port
from testkit.upstreams import Service, answer, whole_body
from testkit.waiting import eventually

ENDLESS = 1_000_000
ENDING: list[asyncio.Task[None]] = []
"""Servers that were told to end, which takes each of them a third of a second; the session waits for them."""


@dataclass
class User:
    """Somebody with an access token."""

    token: str
    id: UUID
    session: UUID

    @property
    def headers(self) -> dict[str, str]:
        return {"authorization": f"Bearer {self.token}"}


@dataclass
class ApiToken:
    """An API token, and what the auth service answers of it: changing that is changing the token."""

    secret: str
    found: dict[str, Any]

    @property
    def id(self) -> UUID:
        return UUID(self.found["token_id"])

    @property
    def user_id(self) -> UUID:
        return UUID(self.found["user_id"])

    @property
    def headers(self) -> dict[str, str]:
        return {"authorization": f"Bearer {self.secret}"}


class Auth(Service):
    """The auth service's key set and revocation marks, as its contract says."""

    def __init__(self, gateway: TestGateway) -> None:
        super().__init__()
        self._verifier = IdentityVerifier(gateway.verify_key)
        self.issuer = Issuer()
        self.keys: Any = {"keys": [self.issuer.jwk]}
        self.key_fetches = 0
        self.marks: list[tuple[str, dict[str, str]]] = []
        self.page = 5000
        self.broken: Any = None
        """Answered instead of keys and marks."""
        self.marks_broken = False
        self.asked = 0
        self.api_tokens: dict[str, dict[str, Any]] = {}
        """What is answered of API tokens, by the SHA-256 that the gateway sends."""
        self.questions: list[dict[str, Any]] = []
        self.before_answer: Callable[[], Awaitable[None]] | None = None

    def reset(self) -> None:
        super().reset()
        self.api_tokens, self.questions, self.before_answer = {}, [], None
        self.keys, self.page, self.broken = {"keys": [self.issuer.jwk]}, 5000, None
        self.marks_broken = False

    @property
    def is_well(self) -> bool:
        return self.broken is None and not self.marks_broken and self.keys == {"keys": [self.issuer.jwk]}

    def user(self, **changes: Any) -> User:
        claims = {"sub": str(uuid7()), "sid": str(uuid7()), **changes}
        return User(self.issuer.token(**claims), UUID(claims["sub"]), UUID(claims["sid"]))

    def api_token(self, **changes: Any) -> ApiToken:
        secret = API_TOKEN.new()
        found = {
            "active": True,
            "token_id": str(uuid7()),
            "user_id": str(uuid7()),
            "kind": "user",
            "roles": ["user"],
            "scopes": ["tasks:read"],
            "workspace_id": None,
            "project_ids": None,
            "ip_allowlist": None,
            "read_only": False,
            "expires_at": instant(time.time() + 86400),
            **changes,
        }
        self.api_tokens[token_digest(secret).hex()] = found
        return ApiToken(secret, found)

    def revoke_session(self, session: UUID) -> None:
        self.marks.append(("sessions", {"sid": str(session), "expires_at": instant(time.time() + 86400)}))

    def revoke_user(self, user: UUID, *, before: float) -> None:
        mark = {"user_id": str(user), "not_before": instant(before), "expires_at": instant(time.time() + 86400)}
        self.marks.append(("users", mark))

    async def _serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        path = scope["path"]
        if path == "/internal/api-tokens/resolve":
            await self._resolve(scope, receive, send)
        elif path not in ("/.well-known/jwks.json", "/internal/revocations"):
            await super()._serve(scope, receive, send)
        elif self.marks_broken and path == "/internal/revocations":
            await answer(send, 500)
        elif self.broken is not None:
            await answer(send, body=orjson.dumps(self.broken))
        elif path == "/internal/revocations":
            await self._revocations(scope, send)
        else:
            self.key_fetches += 1
            await answer(send, body=orjson.dumps(self.keys))

    async def _resolve(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = dict(scope["headers"])
        assert self._verifier.verify(headers[b"x-taskloom-identity"].decode()).principal.kind == "service"
        if headers.get(b"content-type") != b"application/json":
            await answer(send, 415)
            return
        question = orjson.loads(await whole_body(receive))
        self.questions.append(question)
        found = dict(self.api_tokens.get(question["digest"], {"active": False}))
        if self.before_answer is not None:
            await self.before_answer()
        if self.broken is not None or self.marks_broken:
            await answer(send, 500)
        else:
            await answer(send, body=orjson.dumps(found))

    async def _revocations(self, scope: Scope, send: Send) -> None:
        identity = dict(scope["headers"])[b"x-taskloom-identity"].decode()
        assert self._verifier.verify(identity).principal.kind == "service"
        since = int(scope["query_string"].removeprefix(b"since="))
        found = self.marks[since : since + self.page]
        marks: dict[str, Any] = {"cursor": since + len(found), "more": len(found) == self.page}
        for kind in ("sessions", "users"):
            marks[kind] = [mark for which, mark in found if which == kind]
        self.asked += 1
        await answer(send, body=orjson.dumps(marks))


def instant(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat().replace("+00:00", "Z")


@dataclass
class Services:
    """All four, and their addresses."""

    auth: Auth
    tasks: Service
    notifications: Service
    attachments: Service
    urls: dict[str, str] = field(default_factory=dict)

    def named(self) -> dict[str, Service]:
        names = ("auth", "tasks", "notifications", "attachments")
        return {name: getattr(self, name) for name in names}


@asynccontextmanager
async def serving(
    app: Any, *, port: int | None = None, protocols: Protocols | None = None, keep_alive: float = 15
) -> AsyncIterator[int]:
    """Serve an app with the options of every process, and yield its port."""
    chosen = port or free_port()
    settings = ProcessSettings(environment="test", shutdown_seconds=1)
    server = make_server(app, settings, chosen, protocols=protocols or Protocols())
    server.config.timeout_keep_alive = keep_alive
    running = asyncio.create_task(server.serve())

    async def started() -> bool:
        return server.started

    await eventually(started)
    try:
        yield chosen
    finally:
        server.should_exit = True
        ENDING.append(running)


@pytest.fixture(scope="session", autouse=True)
async def no_server_is_left() -> AsyncIterator[None]:
    yield
    await asyncio.gather(*ENDING)


@pytest.fixture(scope="session")
async def all_services(test_gateway: TestGateway) -> AsyncIterator[Services]:
    found = Services(Auth(test_gateway), Service(), Service(), Service())
    async with contextlib.AsyncExitStack() as stack:
        for name, service in found.named().items():
            port = await stack.enter_async_context(serving(service))
            found.urls[name] = f"http://127.0.0.1:{port}"
        yield found


@pytest.fixture
def services(all_services: Services) -> Services:
    for service in all_services.named().values():
        service.reset()
    return all_services


@pytest.fixture
def auth(services: Services) -> Auth:
    return services.auth


@pytest.fixture
async def auth_of_its_own(auth: Auth, test_gateway: TestGateway) -> AsyncIterator[tuple[Auth, str]]:
    """An auth service with the same keys that only the gateways of the test ask, and its URL."""
    own = Auth(test_gateway)
    own.issuer, own.keys = auth.issuer, auth.keys
    async with serving(own) as port:
        yield own, f"http://127.0.0.1:{port}"


@pytest.fixture
def tasks(services: Services) -> Service:
    return services.tasks


@pytest.fixture
def user(auth: Auth) -> User:
    return auth.user()


@dataclass
class Running:
    """A gateway that serves."""

    port: int

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def socket_url(self) -> str:
        return f"ws://127.0.0.1:{self.port}/api/v1/ws"

    def client(self, **options: Any) -> httpx2.AsyncClient:
        return httpx2.AsyncClient(base_url=self.url, timeout=20, **options)


Start = Callable[..., AbstractAsyncContextManager[Running]]


def gateway_settings(services: Services, redis_url: str, signing_key: str, **changes: Any) -> Settings:
    edge = {name: changes.pop(name) for name in list(changes) if name in EdgeSettings.model_fields}
    urls = {f"{name}_url": url for name, url in services.urls.items()}
    limits = {
        f"{kind}_per_minute": changes.pop(f"{kind}_per_minute", ENDLESS)
        for kind in ("rate_limit", "anonymous_limit", "login_limit")
    }
    # A machine that runs many tests at once is not a Redis that is slow.
    changes.setdefault("redis_patience_ms", 2000)
    return Settings(
        process=ProcessSettings(environment="test"),
        redis=RedisSettings(url=SecretStr(redis_url)),
        edge=EdgeSettings(**edge),
        tokens=AccessTokenSettings(signing_key=SecretStr(signing_key)),
        gateway=GatewaySettings(**{**urls, **limits, **changes}),
    )


@pytest.fixture(scope="session")
def start(all_services: Services, valkey_url: str, test_gateway: TestGateway) -> Start:
    """Start a gateway in this process; `changes` are settings."""

    @asynccontextmanager
    async def start(
        *, redis_url: str = valkey_url, port: int | None = None, keep_alive: float = 15, **changes: Any
    ) -> AsyncIterator[Running]:
        settings = gateway_settings(all_services, redis_url, test_gateway.private_key, **changes)
        app = Gateway(settings, Health())
        async with serving(app, port=port, protocols=app.protocols(), keep_alive=keep_alive) as chosen:
            running = Running(chosen)
            await knows_revocations(running, all_services.auth)
            yield running

    return start


async def knows_revocations(running: Running, auth: Auth) -> None:
    token = auth.user().headers
    async with running.client() as client:

        async def ready() -> bool:
            return (await client.get("/api/v1/users/nobody", headers=token)).status_code == 200

        if auth.is_well:
            await eventually(ready)
    auth.requests.clear()


@pytest.fixture(scope="session")
async def running_gateway(start: Start) -> AsyncIterator[Running]:
    async with start(cors_allow_origins=("https://app.example",)) as running:
        yield running


@pytest.fixture
async def gateway(running_gateway: Running, services: Services) -> Running:
    """A gateway without limits that matter, in this process, which stands still while no asynchronous test runs."""
    await knows_revocations(running_gateway, services.auth)
    return running_gateway


@pytest.fixture
async def api(gateway: Running) -> AsyncIterator[httpx2.AsyncClient]:
    async with gateway.client() as client:
        yield client


@pytest.fixture(scope="session")
def start_process(
    all_services: Services, valkey_url: str, test_gateway: TestGateway, tmp_path_factory: pytest.TempPathFactory
) -> Callable[..., contextlib.AbstractContextManager[Server]]:
    """Start a gateway as production does: a process of its own, on uvloop. Ended by SIGTERM."""

    @contextlib.contextmanager
    def start_process(**changes: str) -> Iterator[Server]:
        port, admin_port = free_port(), free_port()
        environment = {
            "PORT": str(port),
            "ADMIN_PORT": str(admin_port),
            "ENVIRONMENT": "test",
            "REDIS_URL": valkey_url,
            "IDENTITY_SIGNING_KEY": test_gateway.private_key,
            **{f"GATEWAY_{name.upper()}_URL": url for name, url in all_services.urls.items()},
            "GATEWAY_RATE_LIMIT_PER_MINUTE": str(ENDLESS),
            "GATEWAY_ANONYMOUS_LIMIT_PER_MINUTE": str(ENDLESS),
            "GATEWAY_REDIS_PATIENCE_MS": "2000",
            **changes,
        }
        log = tmp_path_factory.mktemp("gateway") / "log"
        command = [sys.executable, "-m", "gateway", "api"]
        server = Server(command, f"http://127.0.0.1:{port}", port, log, environment=environment)
        server.admin_url = f"http://127.0.0.1:{admin_port}"
        server.start()
        try:
            yield server
        finally:
            server.stop(signal.SIGTERM)

    return start_process


@pytest.fixture(scope="session")
def running_process(start_process: Any) -> Iterator[Server]:
    changes = {"GATEWAY_HEAD_SECONDS": "0.5", "GATEWAY_MAX_CONNECTIONS_PER_ADDRESS": "30"}
    with start_process(**changes) as server:
        yield server


@pytest.fixture
async def process(running_process: Server, services: Services) -> Server:
    """A gateway in a process of its own, with half a second for a head and 30 connections an address."""
    await knows_revocations(Running(running_process.port), services.auth)
    return running_process


@pytest.fixture
def metric() -> Callable[..., float]:
    def metric(name: str, **labels: str) -> float:
        return REGISTRY.get_sample_value(name, labels) or 0.0

    return metric


def refused(response: httpx2.Response, status: int, code: str) -> dict[str, Any]:
    """Assert that a response is this refusal in the envelope; return the body."""
    assert response.status_code == status, response.text
    body: dict[str, Any] = response.json()
    assert (body["success"], body["data"], body["errors"][0]["code"]) == (False, None, code)
    assert body["meta"]["request_id"] == response.headers["x-request-id"]
    assert response.headers["content-type"] == "application/json"
    return body


@pytest.fixture(scope="session")
def is_refused() -> Callable[[httpx2.Response, int, str], dict[str, Any]]:
    return refused


@pytest.fixture(scope="session")
def connect() -> Callable[[int], AbstractAsyncContextManager[RawConnection]]:
    return raw_connection


@pytest.fixture(scope="session")
def reply() -> Any:
    """How a stand-in answers: `await reply(send, status, body, headers)`."""
    return answer


@pytest.fixture
def closed_port() -> Iterator[int]:
    """A port on which nobody listens, and that nobody else gets."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield int(taken.getsockname()[1])


@pytest.fixture(scope="session")
def contracts_folder() -> Path:
    return Path(os.environ.get("CONTRACTS_FOLDER", Path(__file__).parents[2] / "contracts" / "http"))


@pytest.fixture
def other_service(start: Start) -> Callable[..., AbstractAsyncContextManager[httpx2.AsyncClient]]:
    """A gateway whose tasks service is a bare socket."""

    @asynccontextmanager
    async def other_service(serve: Serve) -> AsyncIterator[httpx2.AsyncClient]:
        async with (
            listening(serve) as port,
            start(tasks_url=f"http://127.0.0.1:{port}") as gateway,
            gateway.client() as api,
        ):
            api.gateway = gateway
            yield api

    return other_service


@pytest.fixture
def received(services: Services) -> list[str | bytes]:
    """What reaches the service, which echoes it."""
    found: list[str | bytes] = []

    async def echo(_scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        await send({"type": "websocket.accept"})
        while (message := await receive())["type"] == "websocket.receive":
            said = message.get("text") or message.get("bytes")
            found.append(said)
            await send({"type": "websocket.send", "text": said if isinstance(said, str) else "bytes"})

    services.notifications.behave_socket = echo
    return found
