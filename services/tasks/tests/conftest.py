"""The tasks service through ASGI, on a real database that its own migrations made."""

from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

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
    ProcessSettings,
)
from chassis.web.health import Health
from pydantic import SecretStr
from sqlalchemy import text
from tasks_service.db import ROOT
from tasks_service.main import create_app, openapi_document
from tasks_service.settings import Settings, TasksSettings
from testkit.contract import Contract, contract_client
from testkit.databases import migrated_database
from testkit.identities import TestGateway


@pytest.fixture(scope="session")
def database_settings(postgres_url: str, worker_id: str) -> DatabaseSettings:
    return migrated_database(postgres_url, f"tasks_{worker_id}", lambda url: upgrade(ROOT, url=url))


@pytest.fixture
async def database(database_settings: DatabaseSettings) -> AsyncIterator[Database]:
    found = open_database(database_settings, application_name="tasks-tests")
    yield found
    await found.close()


@pytest.fixture(scope="session")
def contract() -> Contract:
    return Contract(openapi_document(), tests=Path(__file__).parent)


@pytest.fixture
def settings(database_settings: DatabaseSettings, test_gateway: TestGateway) -> Settings:
    return Settings(
        process=ProcessSettings(environment="test"),
        database=database_settings,
        broker=BrokerSettings(url=SecretStr("redis://127.0.0.1:1")),
        identity=IdentityVerificationSettings(verify_key=SecretStr(test_gateway.verify_key)),
        cursors=CursorSettings(secret=SecretStr("a secret of the tests, long enough")),
        tasks=TasksSettings(min_cursor_wait_ms=200),
    )


@pytest.fixture
async def api(settings: Settings, database: Database, contract: Contract) -> AsyncIterator[httpx2.AsyncClient]:
    app = create_app(settings, database=database, health=Health())
    transport = httpx2.ASGITransport(app=app)
    async with contract_client(contract, transport=transport, base_url="http://tasks") as client:
        yield client


@pytest.fixture
async def patient_api(
    settings: Settings, database_settings: DatabaseSettings, contract: Contract
) -> AsyncIterator[httpx2.AsyncClient]:
    """Lets requests wait for a connection, for races of many on a slow machine: what they come to is looked at."""
    waiting = database_settings.model_copy(update={"pool_size": 5, "pool_wait_seconds": 60.0})
    database = open_database(waiting, application_name="tasks-patient-tests")
    transport = httpx2.ASGITransport(app=create_app(settings, database=database, health=Health()))
    async with contract_client(contract, transport=transport, base_url="http://tasks") as client:
        yield client
    await database.close()


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
            result = await connection.execute(text(statement), parameters)
            return [tuple(row) for row in result] if result.returns_rows else []

    return run
