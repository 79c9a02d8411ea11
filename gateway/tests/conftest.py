"""The real gateway on a real port; the services behind it are stand-ins that say what they received."""

import asyncio
import base64
import contextlib
import json
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
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from gateway.main import Gateway
from gateway.settings import AccessTokenSettings, EdgeSettings, GatewaySettings, Settings
from prometheus_client import REGISTRY
from pydantic import SecretStr
from starlette.types import Receive, Scope, Send
from testkit.identities import TestGateway
from testkit.servers import Server, free_port
from testkit.waiting import eventually

ENDLESS = 1_000_000
ENDING: list[asyncio.Task[None]] = []
"""Servers that were told to end, which takes each of them a third of a second; the session waits for them."""
Behaviour = Callable[[Scope, Receive, Send], Awaitable[None]]


@dataclass
class Received:
    """A request as a service saw it."""

    method: str
    target: str
    headers: list[tuple[str, str]]
    body: bytes

    def all(self, name: str) -> list[str]:
        return [value for given, value in self.headers if given == name]


async def answer(
    send: Send, status: int = 200, body: bytes = b"{}", headers: list[tuple[bytes, bytes]] | None = None
) -> None:
    fields = headers if headers is not None else [(b"content-type", b"application/json")]
    length = [] if status in (204, 304) else [(b"content-length", b"%d" % len(body))]
    await send({"type": "http.response.start", "status": status, "headers": [*length, *fields]})
    await send({"type": "http.response.body", "body": body})


async def whole_body(receive: Receive) -> bytes:
    body = b""
    while True:
        message = await receive()
        body += message.get("body", b"")
        if not message.get("more_body"):
            return body


class Service:
    """Records and answers `{}`, unless `behave` says something else. Sockets echo, unless `behave_socket` does."""

    def __init__(self) -> None:
        self.requests: list[Received] = []
        self.sockets: list[Scope] = []
        self.behave: Behaviour | None = None
        self.behave_socket: Behaviour | None = None
        self.document: Any = {"openapi": "3.1.0", "info": {"title": "x", "version": "1"}, "paths": {}}
        self.events: Any = {"events": [], "components": {"schemas": {}}}

    def reset(self) -> None:
        self.requests, self.sockets = [], []
        self.behave = self.behave_socket = None

    @property
    def last(self) -> Received:
        return self.requests[-1]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "websocket":
            self.sockets.append(scope)
            await (self.behave_socket or echo)(scope, receive, send)
        elif scope["type"] == "http":
            await self._serve(scope, receive, send)

    async def _serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["path"] == "/openapi.json":
            await answer(send, body=orjson.dumps(self.document))
        elif scope["path"] == "/internal/events":
            await answer(send, body=orjson.dumps(self.events))
        elif scope["path"] == "/readyz":
            await answer(send)
        else:
            headers = [(name.decode(), value.decode("latin-1")) for name, value in scope["headers"]]
            target = (scope["raw_path"] + (b"?" + scope["query_string"] if scope["query_string"] else b"")).decode()
            received = Received(scope["method"], target, headers, b"")
            self.requests.append(received)
            if self.behave is not None:
                await self.behave(scope, receive, send)
                return
            received.body = await whole_body(receive)
            await answer(send)


async def echo(_scope: Scope, receive: Receive, send: Send) -> None:
    await receive()
    await send({"type": "websocket.accept"})
    while (message := await receive())["type"] == "websocket.receive":
        text = message.get("text")
        if text is not None and text.startswith("close "):
            _, code, reason = text.split(" ", 2)
            await send({"type": "websocket.close", "code": int(code), "reason": reason})
            return
        await send({"type": "websocket.send", **{key: message[key] for key in ("text", "bytes") if key in message}})


def part(value: Any) -> str:
    """Encode a part of a token: bytes as they are, all else as JSON."""
    text = value if isinstance(value, bytes) else json.dumps(value).encode()
    return base64.urlsafe_b64encode(text).rstrip(b"=").decode()


class Issuer:
    """Makes access tokens as the auth service does."""

    def __init__(self, kid: str = "2026-a") -> None:
        self.kid = kid
        self.key = Ed25519PrivateKey.generate()

    @property
    def public_bytes(self) -> bytes:
        return self.key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)

    @property
    def jwk(self) -> dict[str, str]:
        x = base64.urlsafe_b64encode(self.public_bytes).rstrip(b"=").decode()
        return {"kty": "OKP", "crv": "Ed25519", "alg": "EdDSA", "use": "sig", "kid": self.kid, "x": x}

    def claims(self, **changes: Any) -> dict[str, Any]:
        now = int(time.time())
        claims: dict[str, Any] = {
            "iss": "taskloom",
            "aud": "taskloom-api",
            "sub": str(uuid7()),
            "sid": str(uuid7()),
            "jti": str(uuid7()),
            "iat": now,
            "nbf": now,
            "exp": now + 3600,
            "scope": "",
            "ver": 1,
            "roles": ["user"],
        }
        return {name: value for name, value in {**claims, **changes}.items() if value is not ...}

    def token(self, *, header: dict[str, Any] | None = None, **changes: Any) -> str:
        fields = {"alg": "EdDSA", "typ": "at+jwt", "kid": self.kid, **(header or {})}
        return self.sign({name: value for name, value in fields.items() if value is not ...}, self.claims(**changes))

    def sign(self, header: Any, claims: Any) -> str:
        """Sign exactly this, which no library would let through."""
        content = f"{part(header)}.{part(claims)}"
        return f"{content}.{part(self.key.sign(content.encode()))}"


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


@dataclass
class RawAnswer:
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def code(self) -> str:
        return str(orjson.loads(self.body)["errors"][0]["code"])


class RawConnection:
    """Bytes to and from a port."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    async def send(self, data: bytes) -> None:
        self.writer.write(data)
        await self.writer.drain()

    async def answer(self, *, head: bool = False, seconds: float = 10) -> RawAnswer:
        async with asyncio.timeout(seconds):
            lines = (await self.reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
            headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines[1:] if line)}
            status = int(lines[0].split()[1])
            length = 0 if head or status in (204, 304) else int(headers.get("content-length", 0))
            return RawAnswer(status, headers, await self.reader.readexactly(length))

    async def is_closed(self, *, seconds: float = 5) -> bool:
        try:
            async with asyncio.timeout(seconds):
                return await self.reader.read(1) == b""
        except ConnectionResetError:
            return True
        except TimeoutError:
            return False


@asynccontextmanager
async def raw_connection(port: int) -> AsyncIterator[RawConnection]:
    reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=2**22)
    try:
        yield RawConnection(reader, writer)
    finally:
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()


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
