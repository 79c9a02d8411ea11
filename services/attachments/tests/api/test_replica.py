"""Files over a replica to which nothing has come yet (R41)."""

from contextlib import asynccontextmanager

import httpx2
import pytest
from attachments_service.db import ROOT
from attachments_service.main import create_app
from chassis.db.engine import Database, open_database
from chassis.db.migrations import upgrade
from chassis.web.health import Health
from testkit.contract import contract_client
from testkit.databases import migrated_database


@pytest.fixture(scope="module")
def empty_settings(postgres_url, worker_id):
    return migrated_database(postgres_url, f"attachments_empty_{worker_id}", lambda url: upgrade(ROOT, url=url))


@pytest.fixture
async def empty(empty_settings):
    found = open_database(empty_settings, application_name="attachments-tests-replica")
    yield found
    await found.close()


@pytest.fixture
def serve(make_settings, storage, tasks_server, contract):
    """Serves over a primary and over what its replica has."""

    @asynccontextmanager
    async def serve(primary, replica):
        split = Database(primary.writer, replica.reader, primary.sessions, primary_reader=primary.reader)
        app = create_app(make_settings(tasks_server[1]), database=split, storage=storage, health=Health())
        transport = httpx2.ASGITransport(app)
        async with (
            app.router.lifespan_context(app),
            contract_client(contract, transport=transport, base_url="http://attachments") as client,
        ):
            yield client

    return serve


@pytest.fixture
async def lagging_api(serve, database, empty):
    async with serve(database, empty) as client:
        yield client


async def test_r41_a_file_is_there_for_who_has_just_brought_it(lagging_api, world, tasks_api):
    headers = world.headers("member")
    made = await lagging_api.post(world.path, files={"file": ("a.txt", b"hello", "text/plain")}, headers=headers)
    assert made.status_code == 201
    path = made.headers["location"]
    read = await lagging_api.get(path, headers=headers)
    assert (read.status_code, read.json()["data"]) == (200, made.json()["data"])
    assert (await lagging_api.get(f"{path}/content", headers=headers)).content == b"hello"
    # Who may do it is known here, by the primary: nobody had to be asked.
    assert tasks_api.calls == []
    assert (await lagging_api.delete(path, headers=headers)).status_code == 200
    assert (await lagging_api.get(path, headers=headers)).status_code == 404


async def test_r41_the_list_of_files_is_as_the_replica_has_it(lagging_api, world, attach):
    await attach()
    answer = await lagging_api.get(world.path, headers=world.headers("member"))
    assert (answer.status_code, answer.json()["data"], answer.json()["meta"]["total"]) == (200, [], 0)


async def test_r41_who_has_just_written_sees_it_in_the_list_of_files(lagging_api, world, attach):
    file = await attach()
    headers = {**world.headers("member"), "x-taskloom-has-written": "1"}
    answer = await lagging_api.get(world.path, headers=headers)
    assert [one["id"] for one in answer.json()["data"]] == [file["id"]]


async def test_r41_who_has_just_deleted_a_file_does_not_find_it(serve, database, empty, world, attach):
    """Here the replica has what the primary, which is empty, has no more."""
    file = await attach()
    path, headers = f"/api/v1/attachments/{file['id']}", world.headers("member")
    own = {**headers, "x-taskloom-has-written": "1"}
    async with serve(empty, database) as api:
        assert [(await api.get(path, headers=one)).status_code for one in (headers, own)] == [200, 404]
        assert (await api.get(f"{path}/content", headers=own)).status_code == 404


async def test_r41_who_may_write_is_never_decided_by_the_replica(lagging_api, world, attach, tasks_api):
    file = await attach()
    guest = world.headers("guest")
    refused = await lagging_api.post(world.path, files={"file": ("b.txt", b"b", "text/plain")}, headers=guest)
    assert refused.status_code == 403
    assert (await lagging_api.delete(f"/api/v1/attachments/{file['id']}", headers=guest)).status_code == 403
    assert tasks_api.calls == []
