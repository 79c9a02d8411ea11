"""The service over real PostgreSQL and a real folder; the tasks service's internal API is a real server too."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx2
import pytest
import uvicorn
from attachments_service.db import ROOT, Outbox
from attachments_service.locations import repository as locations
from attachments_service.main import create_app, openapi_document
from attachments_service.models import METADATA
from attachments_service.settings import AttachmentsSettings, Settings, StorageSettings
from attachments_service.storage.store import ObstoreStorage
from chassis.db.base import table_of
from chassis.db.engine import Database, open_database
from chassis.db.migrations import upgrade
from chassis.db.transactions import transaction
from chassis.ids import uuid7
from chassis.settings import (
    BrokerSettings,
    DatabaseSettings,
    IdentityVerificationSettings,
    ProcessSettings,
)
from chassis.tokens import IdentityVerifier
from chassis.web.health import Health
from pydantic import SecretStr
from sqlalchemy import func, select, text
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from testkit.commands import Command, commands_of
from testkit.contract import Contract, contract_client
from testkit.databases import migrated_database
from testkit.identities import TestGateway
from testkit.servers import free_port
from testkit.waiting import eventually

MAX_BYTES = 3 * 1024 * 1024
MAX_PER_TASK = 5
IN_PROJECT = {"owner": "manager", "admin": "manager", "member": "editor", "guest": "viewer"}
"""What a role in the workspace is in the project of the world, which is open and has its guest as a viewer."""


@dataclass
class World:
    """A workspace with one task, and a person of every role; `stranger` is in none."""

    gateway: TestGateway
    workspace_id: UUID = field(default_factory=uuid7)
    project_id: UUID = field(default_factory=uuid7)
    task_id: UUID = field(default_factory=uuid7)
    people: dict[str, UUID] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.people = {role: uuid7() for role in ("owner", "admin", "member", "colleague", "guest", "stranger")}

    def role(self, person: str) -> str | None:
        return {"stranger": None, "colleague": "member"}.get(person, person)

    def project(self, **more: Any) -> dict[str, Any]:
        """Return the row of the project, which is open, with some of it otherwise."""
        state = {"is_private": False, "member_role": "editor", "is_archived": False, "deleted": False}
        place = {"project_id": self.project_id, "workspace_id": self.workspace_id, "changed_seq": 8}
        return {**place, **state, **more}

    def headers(self, person: str, **more: str) -> dict[str, str]:
        return {**self.gateway.headers(self.people[person]), **more}

    @property
    def path(self) -> str:
        return f"/api/v1/tasks/{self.task_id}/attachments"


class TasksApi:
    """The internal API of the tasks service, as its contract says, on a port of its own."""

    def __init__(self, gateway: TestGateway) -> None:
        self._verifier = IdentityVerifier(gateway.verify_key)
        self.worlds: dict[str, World] = {}
        self.calls: list[tuple[str, UUID]] = []
        self.hold: asyncio.Event | None = None
        self.broken = False
        self.app = Starlette(routes=[Route("/internal/tasks/{task_id}", self._locate)])

    async def _locate(self, request: Request) -> Response:
        caller = self._verifier.verify(request.headers["x-taskloom-identity"]).principal
        user_id = caller.user_id
        task_id = request.path_params["task_id"]
        self.calls.append((task_id, user_id))
        if self.hold is not None:
            await self.hold.wait()
        if self.broken:
            return JSONResponse({"unexpected": True})
        world = self.worlds.get(task_id)
        role = world and next((world.role(who) for who, known in world.people.items() if known == user_id), None)
        if world is None or role is None:
            return Response(status_code=404)
        if not (caller.reaches_workspace(world.workspace_id) and caller.reaches_project(world.project_id)):
            return Response(status_code=404)
        return JSONResponse(
            {
                "task_id": task_id,
                "workspace_id": str(world.workspace_id),
                "project_id": str(world.project_id),
                "can_edit": IN_PROJECT[role] != "viewer",
                "role": IN_PROJECT[role],
                "is_archived": False,
            }
        )


@asynccontextmanager
async def served(app: Any) -> AsyncIterator[str]:
    """Serve an app as production does, and yield its URL."""
    port = free_port()
    config = uvicorn.Config(
        app, host="127.0.0.1", port=port, http="httptools", log_config=None, access_log=False, proxy_headers=False
    )
    server = uvicorn.Server(config)
    # The signal handlers belong to pytest.
    server.capture_signals = suppress
    running = asyncio.create_task(server.serve())

    async def started() -> bool:
        return server.started

    await eventually(started)
    yield f"http://127.0.0.1:{port}"
    server.should_exit = True
    await running


@pytest.fixture(scope="session")
def serve() -> Callable[[Any], AbstractAsyncContextManager[str]]:
    return served


@pytest.fixture(scope="session")
def database_settings(postgres_url: str, worker_id: str) -> DatabaseSettings:
    return migrated_database(postgres_url, f"attachments_{worker_id}", lambda url: upgrade(ROOT, url=url))


@pytest.fixture(scope="session")
async def database(database_settings: DatabaseSettings) -> AsyncIterator[Database]:
    found = open_database(database_settings, application_name="attachments-tests")
    yield found
    await found.close()


@pytest.fixture(autouse=True)
async def clean(request: pytest.FixtureRequest) -> None:
    """Empty the tables before each test that has a database."""
    if "database" in request.fixturenames:
        database: Database = request.getfixturevalue("database")
        names = ", ".join(f'"{table.schema}"."{table.name}"' for table in METADATA.sorted_tables)
        async with database.writer.begin() as connection:
            await connection.execute(text(f"TRUNCATE {names}"))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "all files"


@pytest.fixture
def storage(folder: Path) -> ObstoreStorage:
    return ObstoreStorage(folder.as_uri())


@pytest.fixture
def objects(folder: Path) -> Callable[[], list[Path]]:
    """Everything in the storage, temporary files included."""
    return lambda: sorted(path for path in (folder / "objects").rglob("*") if path.is_file())


@pytest.fixture(scope="session")
async def tasks_server(test_gateway: TestGateway) -> AsyncIterator[tuple[TasksApi, str]]:
    api = TasksApi(test_gateway)
    async with served(api.app) as url:
        yield api, url


@pytest.fixture
def tasks_api(tasks_server: tuple[TasksApi, str]) -> TasksApi:
    api, _ = tasks_server
    api.calls.clear()
    api.hold, api.broken = None, False
    return api


@pytest.fixture(scope="session")
def contract() -> Contract:
    return Contract(openapi_document(), tests=Path(__file__).parent)


@pytest.fixture
def make_settings(
    database_settings: DatabaseSettings, test_gateway: TestGateway, folder: Path
) -> Callable[[str], Settings]:
    def make(tasks_url: str) -> Settings:
        return Settings(
            process=ProcessSettings(environment="test"),
            database=database_settings,
            broker=BrokerSettings(url=SecretStr("redis://127.0.0.1:1")),
            identity=IdentityVerificationSettings(verify_key=SecretStr(test_gateway.verify_key)),
            storage=StorageSettings(url=folder.as_uri()),
            attachments=AttachmentsSettings(tasks_url=tasks_url, max_bytes=MAX_BYTES, max_per_task=MAX_PER_TASK),
        )

    return make


@pytest.fixture
async def app(
    make_settings: Callable[[str], Settings],
    database: Database,
    storage: ObstoreStorage,
    tasks_server: tuple[TasksApi, str],
    tasks_api: TasksApi,
) -> AsyncIterator[Any]:
    found = create_app(make_settings(tasks_server[1]), database=database, storage=storage, health=Health())
    async with found.router.lifespan_context(found):
        yield found


@pytest.fixture
async def app_without_tasks(
    make_settings: Callable[[str], Settings], database: Database, storage: ObstoreStorage
) -> AsyncIterator[Any]:
    """The app while the tasks service is down: nobody listens on its port."""
    settings = make_settings(f"http://127.0.0.1:{free_port()}")
    found = create_app(settings, database=database, storage=storage, health=Health())
    async with found.router.lifespan_context(found):
        yield found


@pytest.fixture
async def api(app: Any, contract: Contract) -> AsyncIterator[httpx2.AsyncClient]:
    async with contract_client(contract, transport=httpx2.ASGITransport(app), base_url="http://attachments") as found:
        yield found


@pytest.fixture
async def lonely_api(app_without_tasks: Any, contract: Contract) -> AsyncIterator[httpx2.AsyncClient]:
    transport = httpx2.ASGITransport(app_without_tasks)
    async with contract_client(contract, transport=transport, base_url="http://attachments") as found:
        yield found


@pytest.fixture
def unknown_world(test_gateway: TestGateway, tasks_api: TasksApi) -> World:
    """A world that the tasks service knows, and whose events have not come yet."""
    found = World(test_gateway)
    tasks_api.worlds[str(found.task_id)] = found
    return found


@pytest.fixture
async def world(unknown_world: World, database: Database) -> World:
    """A world that the projection knows."""
    async with transaction(database) as session:
        for sequence, (person, user_id) in enumerate(unknown_world.people.items(), 1):
            role = unknown_world.role(person)
            if role is not None:
                member = {"workspace_id": unknown_world.workspace_id, "user_id": user_id, "role": role}
                await locations.put_membership(session, {**member, "changed_seq": sequence, "removed": False})
        place = {
            "task_id": unknown_world.task_id,
            "workspace_id": unknown_world.workspace_id,
            "project_id": unknown_world.project_id,
        }
        await locations.put_locations(session, [{**place, "changed_seq": 10, "deleted": False}])
        await locations.put_project(session, unknown_world.project())
        guest = {"project_id": unknown_world.project_id, "user_id": unknown_world.people["guest"], "role": "viewer"}
        await locations.put_project_member(session, {**guest, "changed_seq": 9, "removed": False})
    return unknown_world


Attach = Callable[..., Awaitable[dict[str, Any]]]


@pytest.fixture
def attach(api: httpx2.AsyncClient, world: World) -> Attach:
    """Attach a file and return it."""

    async def attach(content: bytes = b"hello", *, name: str = "a.txt", by: str = "member") -> dict[str, Any]:
        files = {"file": (name, content, "text/plain")}
        answer = await api.post(world.path, files=files, headers=world.headers(by))
        assert answer.status_code == 201, answer.text
        data: dict[str, Any] = answer.json()["data"]
        return data

    return attach


@pytest.fixture
def published(database: Database) -> Callable[[], Awaitable[list[Any]]]:
    """The outbox, the oldest first."""

    async def published() -> list[Any]:
        outbox = table_of(Outbox)
        async with database.reader.connect() as connection:
            return list((await connection.execute(select(outbox).order_by(outbox.c.event_id))).all())

    return published


@pytest.fixture
def row_count(database: Database) -> Callable[[], Awaitable[int]]:
    async def row_count() -> int:
        async with database.reader.connect() as connection:
            query = select(func.count()).select_from(METADATA.tables["attachments.attachment"])
            return (await connection.execute(query)).scalar_one()

    return row_count


@pytest.fixture
def command(database_settings: DatabaseSettings, test_gateway: TestGateway, folder: Path) -> Command:
    """Runs a command of the service as an operator does; returns its exit code, what it said and what it complained."""
    return commands_of(
        "attachments_service",
        Settings,
        DATABASE_URL=database_settings.url.get_secret_value(),
        IDENTITY_VERIFY_KEY=test_gateway.verify_key,
        STORAGE_URL=folder.as_uri(),
    )
