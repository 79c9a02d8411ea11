"""Reads that are as new as the caller asks for, over a replica that lags."""

import asyncio
from uuid import UUID

import httpx2
import pytest
from chassis.cursors import CursorSigner
from chassis.db.base import table_of
from chassis.db.engine import Database, open_database
from chassis.db.migrations import upgrade
from chassis.web.health import Health
from sqlalchemy import insert, select, update
from tasks_service.db import ROOT
from tasks_service.main import create_app
from tasks_service.models import ChangeCounter, Member, Project, Task, Workspace
from testkit.contract import contract_client
from testkit.databases import migrated_database
from testkit.waiting import eventually


@pytest.fixture(scope="session")
def replica_settings(postgres_url, worker_id):
    return migrated_database(postgres_url, f"tasks_replica_{worker_id}", lambda url: upgrade(ROOT, url=url))


@pytest.fixture
async def replica(replica_settings):
    """A database that stands for a replica: what the primary writes comes when a test copies it, and not before."""
    found = open_database(replica_settings, application_name="tasks-replica")
    yield found
    await found.close()


@pytest.fixture
async def lagging_api(settings, database, replica, contract):
    app = create_app(settings, database=Database(database.writer, replica.reader, database.sessions), health=Health())
    async with contract_client(contract, transport=httpx2.ASGITransport(app=app), base_url="http://tasks") as client:
        yield client


async def copy(database, replica, *conditions):
    """Copy the rows that the conditions select, each of one table."""
    async with database.writer.connect() as source, replica.writer.begin() as target:
        for condition in conditions:
            table = condition.left.table
            rows = (await source.execute(select(table).where(condition))).mappings().all()
            await target.execute(insert(table), [dict(row) for row in rows])


async def test_min_cursor_reads_the_primary_when_the_replica_does_not_know_the_workspace(lagging_api, user):
    headers = user()
    written = await lagging_api.post("/api/v1/tasks", json={"title": "a"}, headers=headers)
    cursor, path = written.headers["x-cursor"], written.headers["location"]
    assert (await lagging_api.get(path, headers=headers)).status_code == 404
    by_header = await lagging_api.get(path, headers={**headers, "x-min-cursor": cursor})
    by_parameter = await lagging_api.get(f"{path}?min_cursor={cursor}", headers=headers)
    assert by_header.json()["data"] == by_parameter.json()["data"] == written.json()["data"]
    listed = await lagging_api.get(f"/api/v1/tasks?min_cursor={cursor}", headers=headers)
    assert listed.json()["meta"]["total"] == 1


async def test_min_cursor_waits_for_a_replica_that_catches_up(lagging_api, user, database, replica):
    headers = user()
    first = await lagging_api.post("/api/v1/tasks", json={"title": "a"}, headers=headers)
    workspace = UUID(first.json()["data"]["workspace_id"])
    tables = (table_of(model) for model in (Member, Project, ChangeCounter))
    in_workspace = [table.c.workspace_id == workspace for table in tables]
    await copy(database, replica, table_of(Workspace).c.id == workspace, *in_workspace)
    second = await lagging_api.post("/api/v1/tasks", json={"title": "b"}, headers=headers)
    wanted = {**headers, "x-min-cursor": second.headers["x-cursor"]}
    reading = asyncio.create_task(lagging_api.get("/api/v1/tasks", headers=wanted))

    async def asked():
        return replica.reader.pool.checkedout() == 1

    await eventually(asked)
    # The replica gets the position, and only one of the two tasks: what it answers shows that it was asked.
    await copy(database, replica, table_of(Task).c.id == UUID(second.json()["data"]["id"]))
    counter = table_of(ChangeCounter)
    async with replica.writer.begin() as connection:
        await connection.execute(update(counter).where(counter.c.workspace_id == workspace).values(last_seq=99))
    answer = await reading
    assert [task["title"] for task in answer.json()["data"]] == ["b"]


async def test_min_cursor_503_when_even_the_primary_is_older(api, settings, user):
    headers = user()
    task = (await api.post("/api/v1/tasks", json={"title": "a"}, headers=headers)).json()["data"]
    signer = CursorSigner(settings.cursors.secret.get_secret_value())
    future = signer.position({UUID(task["workspace_id"]): 1_000})
    answer = await api.get("/api/v1/tasks", headers={**headers, "x-min-cursor": future})
    assert (answer.status_code, answer.json()["errors"][0]["code"]) == (503, "NOT_YET_CONSISTENT")
    assert answer.headers["retry-after"] == "1"


async def test_min_cursor_of_a_workspace_that_the_caller_has_left_does_not_block(api, user):
    stranger, owner = user(), user()
    cursor = (await api.post("/api/v1/tasks", json={"title": "a"}, headers=owner)).headers["x-cursor"]
    answer = await api.get(f"/api/v1/tasks?min_cursor={cursor}", headers=stranger)
    assert (answer.status_code, answer.json()["data"]) == (200, [])


@pytest.mark.parametrize("cursor", ["AAAA", "", "x" * 20_000])
async def test_min_cursor_that_is_none_is_refused(api, user, cursor):
    answer = await api.get(f"/api/v1/tasks?min_cursor={cursor}", headers=user())
    expected = (422, "TOO_LONG") if len(cursor) > 16_384 else (400, "INVALID_CURSOR")
    assert (answer.status_code, answer.json()["errors"][0]["code"]) == expected
