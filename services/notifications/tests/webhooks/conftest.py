"""A team, a receiver that does as it is told, and the worker's part of webhooks, by hand or running."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

import httpx2
import orjson
import pytest
from chassis.db.engine import Database
from chassis.egress.client import Egress
from chassis.egress.settings import EgressSettings
from chassis.ids import uuid7
from notifications_service.following.runner import FollowerRunner
from notifications_service.webhook_sending.sender import WebhookSender
from notifications_service.worker import WEBHOOKS
from sqlalchemy import text
from testkit.contract import contract_client
from testkit.receivers import listening, read_request
from testkit.waiting import eventually

PATH = "/api/v1/webhooks"
LOOPBACK_ALLOWED = EgressSettings(
    allowed_networks=("127.0.0.0/8",), allowed_ports=("443", "1024-65535"), allow_http=True
)


@dataclass
class Request:
    """What came to a receiver."""

    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return orjson.loads(self.body)

    @property
    def event(self) -> Any:
        return self.json["data"]


Answering = Callable[[Request], Awaitable[bytes]]


async def taken(_request: Request) -> bytes:
    return b"HTTP/1.1 204 No Content\r\n\r\n"


@dataclass
class Receiver:
    """Somebody's server: what came, and how it answers."""

    port: int = 0
    requests: list[Request] = field(default_factory=list)
    answer: Answering = taken
    under_way: int = 0
    most: int = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/hook"

    @property
    def ids(self) -> list[str]:
        return [one.headers["webhook-id"] for one in self.requests]

    def says(self, status: int, text: str = "", **headers: str) -> None:
        """Answer so from now on."""
        head = "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in headers.items())
        whole = f"HTTP/1.1 {status} Said\r\n{head}content-length: {len(text)}\r\n\r\n{text}".encode()

        async def answer(_request: Request) -> bytes:
            return whole

        self.answer = answer

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        first, headers, body = await read_request(reader)
        request = Request(first.decode().split(" ")[1], headers, body)
        self.requests.append(request)
        self.under_way += 1
        self.most = max(self.most, self.under_way)
        try:
            writer.write(await self.answer(request))
        finally:
            self.under_way -= 1


Receiving = Callable[[], AbstractAsyncContextManager[Receiver]]


@pytest.fixture(scope="session")
def receiving() -> Receiving:
    @asynccontextmanager
    async def receive() -> AsyncIterator[Receiver]:
        found = Receiver()
        async with listening(found.serve) as port:
            found.port = port
            yield found

    return receive


@pytest.fixture
async def receiver(receiving: Receiving) -> AsyncIterator[Receiver]:
    async with receiving() as found:
        yield found


@pytest.fixture(scope="session")
async def api(service, contract) -> AsyncIterator[httpx2.AsyncClient]:
    """Speaks to the service as the gateway does; every answer is held against the contract."""
    async with contract_client(contract, base_url=f"http://127.0.0.1:{service.port}") as found:
        yield found


@pytest.fixture(autouse=True)
async def _none_of_other_tests(rows) -> None:
    await rows("TRUNCATE notifications.webhook_attempt, notifications.webhook_delivery, notifications.webhook")


@pytest.fixture
async def following(database) -> AsyncIterator[Callable[..., Awaitable[None]]]:
    """Runs the follower of webhooks; the fixture waits until it has come to the end of a world."""
    stop = asyncio.Event()
    running = asyncio.create_task(FollowerRunner(database, (WEBHOOKS,)).run(stop))
    yield lambda world: _followed(database, world)
    stop.set()
    await running


async def _followed(database: Database, world: Any) -> None:
    query = text("SELECT seq FROM notifications.follower_position WHERE follower = 'webhooks' AND stream_id = :w")

    async def done() -> bool:
        async with database.writer.connect() as connection:
            found = (await connection.execute(query, {"w": world.id})).scalar_one_or_none()
        return found is not None and found >= world.seq

    await eventually(done)


@dataclass
class Place:
    """A workspace with a project, and who is what there."""

    workspace: UUID
    project: UUID
    private: UUID
    people: dict[str, UUID]


@pytest.fixture
async def place(world, feed, following) -> Place:
    people = {name: uuid7() for name in ("owner", "admin", "member", "guest", "manager", "stranger")}
    project, private = uuid7(), uuid7()
    joined = [world.joins(people[name], role=name) for name in ("owner", "admin", "member", "guest")]
    await feed.keep(
        *joined,
        world.joins(people["manager"]),
        world.project(project),
        world.project(private, visibility="private"),
        world.role_in(project, people["manager"], role="manager"),
        world.role_in(private, people["manager"], role="manager"),
    )
    await following(world)
    return Place(world.id, project, private, people)


@dataclass
class Caller:
    """Somebody who speaks to the API."""

    api: httpx2.AsyncClient
    headers: dict[str, str]

    async def create(self, receiver: Receiver | None = None, **body: Any) -> dict[str, Any]:
        answer = await self.post("", **{"url": receiver.url if receiver else "https://hooks.example.com/", **body})
        assert answer.status_code == 201, answer.text
        found: dict[str, Any] = answer.json()["data"]
        return found

    async def post(self, path: str = "", *, more: dict[str, str] | None = None, **body: Any) -> httpx2.Response:
        return await self.api.post(f"{PATH}{path}", json=body, headers={**self.headers, **(more or {})})

    async def patch(self, path: str, *, more: dict[str, str] | None = None, **body: Any) -> httpx2.Response:
        return await self.api.patch(f"{PATH}{path}", json=body, headers={**self.headers, **(more or {})})

    async def get(self, path: str = "", **params: Any) -> httpx2.Response:
        return await self.api.get(f"{PATH}{path}", params=params, headers=self.headers)

    async def delete(self, path: str, **headers: str) -> httpx2.Response:
        return await self.api.delete(f"{PATH}{path}", headers={**self.headers, **headers})

    async def deliveries(self, webhook: dict[str, Any], **params: Any) -> list[dict[str, Any]]:
        answer = await self.get(f"/{webhook['id']}/deliveries", **{"per_page": 100, **params})
        assert answer.status_code == 200, answer.text
        found: list[dict[str, Any]] = answer.json()["data"]
        return found

    async def delivery(self, webhook: dict[str, Any], delivery: dict[str, Any]) -> dict[str, Any]:
        answer = await self.get(f"/{webhook['id']}/deliveries/{delivery['id']}")
        assert answer.status_code == 200, answer.text
        found: dict[str, Any] = answer.json()["data"]
        return found


@pytest.fixture
def acting(api, test_gateway, place) -> Callable[..., Caller]:
    """Return a caller by what it is in the place, with a token where something of one is said."""

    def act(name: str, **token: Any) -> Caller:
        user = place.people[name]
        scoped = {"scopes": ["webhooks:manage"], **token}
        scopes = scoped.pop("scopes")
        headers = test_gateway.token_headers(user, *scopes, **scoped) if token else test_gateway.headers(user)
        return Caller(api, headers)

    return act


@pytest.fixture
def owner(acting) -> Caller:
    return acting("owner")


@pytest.fixture
def keep(feed, following, world) -> Callable[..., Awaitable[None]]:
    """Takes events in, and waits until webhooks have their deliveries."""

    async def keep(*events: Any) -> None:
        await feed.keep(*events)
        await following(world)

    return keep


MakeSender = Callable[..., WebhookSender]


@pytest.fixture
def sender_of(database, signer, service) -> MakeSender:
    """Makes a sender, as the worker has it, with a clock of its own."""

    def make(clock: Callable[[], datetime] | None = None, **egress: Any) -> WebhookSender:
        rules = LOOPBACK_ALLOWED.rules(production=False)
        ring = service.app.state.channels.ring
        return WebhookSender(database, Egress(rules, **egress), ring=ring, signer=signer, clock=clock)

    return make


@pytest.fixture
def send(sender_of) -> Callable[..., Awaitable[int]]:
    """Sends what is due at an instant, or now, and waits for the answers; returns how much there was."""

    async def send(at: datetime | None = None, **egress: Any) -> int:
        return await sender_of(None if at is None else lambda: at, **egress).send_due()

    return send
