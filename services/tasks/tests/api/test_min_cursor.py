"""Reads that are as new as the caller asks for, over a replica that lags."""

import asyncio
from dataclasses import replace
from uuid import UUID

import httpx2
import pytest
from chassis.cursors import CursorSigner
from chassis.db.base import table_of
from chassis.db.engine import Database, open_database
from chassis.db.migrations import upgrade
from chassis.ids import uuid7
from chassis.web.health import Health
from sqlalchemy import event, insert, select, update
from tasks_service.db import ROOT
from tasks_service.main import create_app
from tasks_service.models import ChangeCounter, Member, Project, Task, Workspace
from tasks_service.settings import TasksSettings
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
def open_lagging(settings, database, replica, contract):
    """Opens the service over the replica, with a wait of its own."""

    def open_lagging(wait_ms):
        waiting = replace(settings, tasks=TasksSettings(min_cursor_wait_ms=wait_ms))
        split = Database(database.writer, replica.reader, database.sessions)
        app = create_app(waiting, database=split, health=Health())
        return contract_client(contract, transport=httpx2.ASGITransport(app=app), base_url="http://tasks")

    return open_lagging


@pytest.fixture
async def lagging_api(open_lagging):
    async with open_lagging(200) as client:
        yield client


@pytest.fixture
async def patient_api(open_lagging):
    """Waits for as long as a slow machine needs to do what is waited for."""
    async with open_lagging(5000) as client:
        yield client


@pytest.fixture
def looks(replica):
    """How often the replica's position has been looked at."""
    statements = []

    def note(*arguments):
        if "change_counter" in arguments[2]:
            statements.append(arguments[2])

    event.listen(replica.reader.sync_engine, "before_cursor_execute", note)
    yield lambda: len(statements)
    event.remove(replica.reader.sync_engine, "before_cursor_execute", note)


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


async def write_two(api, headers, database, replica):
    """Write twice, with a replica that gets the workspace in between; return the second answer."""
    first = await api.post("/api/v1/tasks", json={"title": "a"}, headers=headers)
    workspace = UUID(first.json()["data"]["workspace_id"])
    tables = (table_of(model) for model in (Member, Project, ChangeCounter))
    in_workspace = [table.c.workspace_id == workspace for table in tables]
    await copy(database, replica, table_of(Workspace).c.id == workspace, *in_workspace)
    return await api.post("/api/v1/tasks", json={"title": "b"}, headers=headers)


async def catch_up(replica, task):
    counter = table_of(ChangeCounter)
    workspace = UUID(task["workspace_id"])
    async with replica.writer.begin() as connection:
        await connection.execute(update(counter).where(counter.c.workspace_id == workspace).values(last_seq=99))


async def test_min_cursor_waits_for_a_replica_that_catches_up(patient_api, user, database, replica, looks):
    headers = user()
    second = await write_two(patient_api, headers, database, replica)
    wanted = {**headers, "x-min-cursor": second.headers["x-cursor"]}
    reading = asyncio.create_task(patient_api.get("/api/v1/tasks", headers=wanted))

    async def asked():
        return looks() >= 1

    await eventually(asked)
    # The replica gets the position, and only one of the two tasks: what it answers shows that it was asked.
    await copy(database, replica, table_of(Task).c.id == UUID(second.json()["data"]["id"]))
    await catch_up(replica, second.json()["data"])
    answer = await reading
    assert [task["title"] for task in answer.json()["data"]] == ["b"]


async def test_min_cursor_reads_that_wait_hold_no_connection(patient_api, user, database, replica, looks):
    """More of them than the pool has connections, and others read meanwhile."""
    headers = user()
    second = await write_two(patient_api, headers, database, replica)
    wanted = {**headers, "x-min-cursor": second.headers["x-cursor"]}
    waiting = replica.reader.pool.size() + 5
    reading = [asyncio.create_task(patient_api.get("/api/v1/projects", headers=wanted)) for _ in range(waiting)]

    async def all_wait():
        return looks() >= 2 * waiting

    await eventually(all_wait)
    others = await asyncio.gather(*(patient_api.get("/api/v1/projects", headers=headers) for _ in range(5)))
    assert {answer.status_code for answer in others} == {200}
    assert not any(one.done() for one in reading)
    await catch_up(replica, second.json()["data"])
    assert {answer.status_code for answer in await asyncio.gather(*reading)} == {200}


async def test_other_services_are_answered_by_the_primary(lagging_api, user):
    """They ask once about what was made a moment ago, and believe the answer."""
    headers = user()
    task = (await lagging_api.post("/api/v1/tasks", json={"title": "a"}, headers=headers)).json()["data"]
    located = await lagging_api.get(f"/internal/tasks/{task['id']}", headers=headers)
    assert (located.status_code, located.json()["workspace_id"]) == (200, task["workspace_id"])
    project = await lagging_api.get(f"/internal/projects/{task['project_id']}", headers=headers)
    expected = {"project_id": task["project_id"], "workspace_id": task["workspace_id"]}
    assert (project.status_code, project.json()) == (200, expected)
    memberships = await lagging_api.get("/internal/memberships", headers=headers)
    assert [one["workspace_id"] for one in memberships.json()["memberships"]] == [task["workspace_id"]]
    for path in (f"/internal/tasks/{task['id']}", f"/internal/projects/{task['project_id']}"):
        assert (await lagging_api.get(path, headers=user())).status_code == 404


async def test_min_cursor_503_when_even_the_primary_is_older(api, settings, user):
    headers = user()
    task = (await api.post("/api/v1/tasks", json={"title": "a"}, headers=headers)).json()["data"]
    signer = CursorSigner(settings.cursors.secret.get_secret_value())
    future = signer.position({UUID(task["workspace_id"]): 1_000})
    answer = await api.get("/api/v1/tasks", headers={**headers, "x-min-cursor": future})
    assert (answer.status_code, answer.json()["errors"][0]["code"]) == (503, "NOT_YET_CONSISTENT")
    assert answer.headers["retry-after"] == "1"


async def test_min_cursor_of_a_frame_names_what_the_caller_alone_is_told(
    patient_api, test_gateway, settings, database, replica, looks
):
    """That is no log of this service: a replica that has the rest is asked, as for the cursor of a change."""
    own = uuid7()
    headers = test_gateway.headers(own)
    second = await write_two(patient_api, headers, database, replica)
    await copy(database, replica, table_of(Task).c.id == UUID(second.json()["data"]["id"]))
    await catch_up(replica, second.json()["data"])
    signer = CursorSigner(settings.cursors.secret.get_secret_value())
    position = signer.read_position(second.headers["x-cursor"])
    wanted = {**headers, "x-min-cursor": signer.position({**position, own: 7})}
    answer = await patient_api.get("/api/v1/tasks", headers=wanted)
    assert (answer.status_code, [task["title"] for task in answer.json()["data"]], looks()) == (200, ["b"], 1)


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
    assert answer.json()["errors"][0]["field"] == "min_cursor"


async def test_min_cursor_says_which_header_is_none(api, user):
    answer = await api.get("/api/v1/tasks", headers={**user(), "x-min-cursor": "AAAA"})
    assert (answer.status_code, answer.json()["errors"][0]["field"]) == (400, "X-Min-Cursor")
