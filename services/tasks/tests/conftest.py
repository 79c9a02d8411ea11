"""The tasks service through ASGI, on a real database that its own migrations made."""

import asyncio
import base64
import runpy
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx2
import pytest
from chassis.db.engine import Database, open_database
from chassis.db.migrations import upgrade
from chassis.ids import uuid7
from chassis.settings import (
    BrokerSettings,
    CursorSettings,
    DatabaseSettings,
    IdentityVerificationSettings,
    MailSealingSettings,
    ProcessSettings,
)
from chassis.web.health import Health
from pydantic import SecretStr
from sqlalchemy import text
from tasks_service.db import ROOT, ROW_SECURITY
from tasks_service.jobs.jobs import JobWorker, WorkTerms
from tasks_service.jobs.schemas import JobKind
from tasks_service.main import create_app, openapi_document
from tasks_service.settings import Settings, TasksSettings
from tasks_service.worker import job_kinds
from testkit.by_hand import MARKS
from testkit.contract import Contract, contract_client
from testkit.databases import migrated_database
from testkit.identities import TestGateway
from testkit.waiting import eventually

LOG_GUARD = Path(__file__).parent / "model" / "log.py"
TELLING = runpy.run_path(str(Path(__file__).parent / "model" / "telling.py"))


@pytest.fixture(scope="session")
def database_settings(postgres_url: str, worker_id: str, contract: Contract) -> Iterator[DatabaseSettings]:
    """The database of a run. When all tests are over it is looked whether all was told, and as the registry says."""
    found = migrated_database(postgres_url, f"tasks_{worker_id}", lambda url: upgrade(ROOT, url=url))
    TELLING["begin"](found)
    yield found
    TELLING["hold"](found)
    runpy.run_path(str(LOG_GUARD))["hold_against_registry"](found, contract)


@pytest.fixture(scope="session")
async def database(database_settings: DatabaseSettings) -> AsyncIterator[Database]:
    found = open_database(database_settings, application_name="tasks-tests")
    yield found
    await found.close()


@pytest.fixture(scope="session")
def contract() -> Contract:
    recorded = runpy.run_path(str(LOG_GUARD))["RECORDED"]
    return Contract(openapi_document(), tests=Path(__file__).parent, also=recorded)


@pytest.fixture(scope="session")
def settings(database_settings: DatabaseSettings, test_gateway: TestGateway) -> Settings:
    return Settings(
        process=ProcessSettings(environment="test"),
        database=database_settings,
        broker=BrokerSettings(url=SecretStr("redis://127.0.0.1:1")),
        identity=IdentityVerificationSettings(verify_key=SecretStr(test_gateway.verify_key)),
        cursors=CursorSettings(secret=SecretStr("a secret of the tests, long enough")),
        mail_sealing=MailSealingSettings(keys=SecretStr(f"k1:{base64.b64encode(b'm' * 32).decode()}")),
        tasks=TasksSettings(min_cursor_wait_ms=200),
    )


@pytest.fixture(scope="session")
async def api(settings: Settings, database: Database, contract: Contract) -> AsyncIterator[httpx2.AsyncClient]:
    """The app that most tests share: what it has made of its routes at its first request is the costly part."""
    app = create_app(settings, database=database, health=Health())
    transport = httpx2.ASGITransport(app=app)
    async with contract_client(contract, transport=transport, base_url="http://tasks") as client:
        yield client


@pytest.fixture
async def patient_api(
    settings: Settings, database_settings: DatabaseSettings, contract: Contract
) -> AsyncIterator[httpx2.AsyncClient]:
    """Lets requests wait for a connection and for each other, for races of many: what they come to is looked at."""
    waiting = database_settings.model_copy(update={"pool_size": 5})
    database = open_database(waiting, application_name="tasks-patient-tests")
    transport = httpx2.ASGITransport(app=create_app(settings, database=database, health=Health()))
    async with contract_client(contract, transport=transport, base_url="http://tasks") as client:
        yield client
    await database.close()


class JobWork:
    """Workers, and waiting for what they do."""

    def __init__(self, database: Database, settings: Settings) -> None:
        self._database = database
        self.kinds = job_kinds(settings)

    @asynccontextmanager
    async def working(self, kinds: Mapping[str, JobKind] | None = None, **terms: Any) -> AsyncIterator[asyncio.Event]:
        """Have a worker for the block; what is yielded stops it before."""
        stop = asyncio.Event()
        worker = JobWorker(self._database, ROW_SECURITY, kinds or self.kinds, WorkTerms(poll_seconds=0.05, **terms))
        running = asyncio.create_task(worker.run(stop))
        try:
            yield stop
        finally:
            stop.set()
            await asyncio.wait_for(running, 30)

    async def ended(self, team: Any, job_id: str, who: str = "owner") -> Any:
        """Wait for the end of a job, and return it as its maker sees it."""

        async def look() -> Any:
            job = await team.ok(who, "GET", f"/jobs/{job_id}")
            return job if job["finished_at"] else None

        return await eventually(look, seconds=60)


@pytest.fixture
async def job_work(
    database: Database, settings: Settings, rows: Callable[..., Awaitable[list[tuple[object, ...]]]]
) -> JobWork:
    # What other tests have left is not to be done here.
    await rows("UPDATE tasks.job SET status = 'cancelled', finished_at = now() WHERE finished_at IS NULL")
    return JobWork(database, settings)


@pytest.fixture
def user(test_gateway: TestGateway) -> Callable[[], dict[str, str]]:
    """Makes callers: each call gives another user's headers, with the id under `id`."""

    def make() -> dict[str, str]:
        return test_gateway.headers(uuid7())

    return make


@pytest.fixture
def rows(database: Database) -> Callable[..., Awaitable[list[tuple[object, ...]]]]:
    """Runs SQL beside the service, and returns the rows."""

    async def run(statement: str, **parameters: object) -> list[tuple[object, ...]]:
        async with database.writer.begin() as connection:
            await connection.execute(text(f"SELECT {MARKS}"))
            result = await connection.execute(text(statement), parameters)
            return [tuple(row) for row in result] if result.returns_rows else []

    return run


@dataclass(frozen=True)
class Team:
    """A workspace with a project and members of each role, who are named by it; `editor` to `viewer` are guests."""

    api: httpx2.AsyncClient
    rows: Callable[..., Awaitable[list[tuple[object, ...]]]]
    gateway: TestGateway
    workspace_id: UUID
    project_id: UUID
    ids: dict[str, UUID]

    async def ask(self, who: str, method: str, path: str, body: object = None, **headers: str) -> httpx2.Response:
        """Send a request of a member; what is below /api/v1 is the path."""
        own = {**self.gateway.headers(self.ids[who]), **headers}
        return await self.api.request(method, f"/api/v1{path}", json=body, headers=own)

    async def ok(self, who: str, method: str, path: str, body: object = None, **headers: str) -> Any:
        """Send a request that has to succeed, and return the data."""
        answer = await self.ask(who, method, path, body, **headers)
        assert answer.status_code < 300, answer.text
        return answer.json()["data"] if answer.content else None

    async def task(self, **fields: object) -> dict[str, Any]:
        """Make a task, by the owner."""
        body = {"title": "a", "project_id": str(self.project_id), **fields}
        made: dict[str, Any] = await self.ok("owner", "POST", "/tasks", body)
        return made

    def id(self, who: str) -> str:
        """Return a member's id as it is in JSON."""
        return str(self.ids[who])

    def several(self, *who: str) -> list[str]:
        """Return the ids of members."""
        return [self.id(one) for one in who]

    async def join(self, user_id: UUID, role: str = "member") -> None:
        """Make somebody one more member."""
        statement = "INSERT INTO tasks.member VALUES (uuidv7(), :w, :u, :role, 1, 1, now())"
        await self.rows(statement, w=self.workspace_id, u=user_id, role=role)

    async def log(self) -> list[tuple[Any, ...]]:
        """Return what was recorded, without the first of it that made the place: type, fields, audience by name."""
        names = {user_id: name for name, user_id in self.ids.items()}
        found = await self.rows(
            "SELECT type, changes, audience FROM tasks.change WHERE workspace_id = :w ORDER BY seq", w=self.workspace_id
        )
        return [
            (kind, {one["field"]: (one["old"], one["new"]) for one in changes}, {names[one] for one in audience})
            for kind, changes, audience in found
        ]

    async def log_after(self, count: int) -> list[tuple[Any, ...]]:
        """Return what was recorded after so many entries."""
        return (await self.log())[count:]


TEAM = {
    "owner": "owner",
    "admin": "admin",
    "member": "member",
    "colleague": "member",
    "guest": "guest",
    "editor": "guest",
    "commenter": "guest",
    "viewer": "guest",
}
GUESTS = ("editor", "commenter", "viewer")
WORKSPACE = """
    WITH made AS (INSERT INTO tasks.workspace VALUES (:workspace, 'W', NULL, :owner, 1, now(), now())),
    counting AS (INSERT INTO tasks.change_counter VALUES (:workspace, 0))
    INSERT INTO tasks.member
    SELECT uuidv7(), :workspace, one.id, one.role, 1, 1, clock_timestamp()
    FROM unnest(CAST(:members AS uuid[]), CAST(:roles AS text[])) AS one (id, role)
"""
PROJECT = """
    WITH made AS (
        INSERT INTO tasks.project (id, workspace_id, name, is_inbox, created_by, version, created_at, updated_at)
        VALUES (:project, :workspace, 'P', false, :owner, 1, now(), now())
    )
    INSERT INTO tasks.project_member
    SELECT uuidv7(), :workspace, :project, one.id, one.role, 1, clock_timestamp()
    FROM unnest(CAST(:members AS uuid[]), CAST(:roles AS text[])) AS one (id, role)
"""


@pytest.fixture
async def roster(
    api: httpx2.AsyncClient, rows: Callable[..., Awaitable[list[tuple[object, ...]]]], test_gateway: TestGateway
) -> Team:
    """Makes a workspace with a member of each role; `stranger` is of no workspace."""
    place = {"workspace": uuid7(), "project": uuid7()}
    ids = {name: uuid7() for name in (*TEAM, "stranger")}
    made = {"workspace": place["workspace"], "owner": ids["owner"]}
    await rows(WORKSPACE, **made, members=[ids[name] for name in TEAM], roles=list(TEAM.values()))
    await rows(PROJECT, **made, project=place["project"], members=[ids[role] for role in GUESTS], roles=list(GUESTS))
    return Team(api, rows, test_gateway, place["workspace"], place["project"], ids)


@pytest.fixture
def crew(roster: Team) -> dict[str, Any]:
    """The owner and a member of the team as headers, with its ids as they are in JSON."""
    people = ("owner", "member")
    return {
        "workspace": str(roster.workspace_id),
        "project": str(roster.project_id),
        "ids": tuple(roster.ids[who] for who in people),
        **{who: roster.gateway.headers(roster.ids[who]) for who in people},
    }


@pytest.fixture
def join(rows: Callable[..., Awaitable[list[tuple[object, ...]]]]) -> Callable[..., Awaitable[None]]:
    """Makes somebody a member of a workspace."""

    async def add(workspace_id: UUID | str, user_id: UUID | str, role: str = "member") -> None:
        await rows(
            "INSERT INTO tasks.member VALUES (uuidv7(), :workspace, :user, :role, 1, 1, now())",
            workspace=workspace_id,
            user=user_id,
            role=role,
        )

    return add
