"""Reads over a real streaming replica: as new as the caller asks for, bound to the caller, and answered without it."""

import asyncio
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from functools import partial
from uuid import UUID

import httpx2
import pytest
from chassis.context import RequestContext, bind_request
from chassis.db.binding import AS_IT_IS
from chassis.db.direct import BINDS_ITSELF, reading_directly
from chassis.db.engine import open_database
from chassis.db.migrations import upgrade
from chassis.db.row_security import reading
from chassis.identity import Principal
from chassis.ids import uuid7
from chassis.telemetry.tracing import new_traceparent
from chassis.web.health import Health
from pydantic import SecretStr
from sqlalchemy import event, func, select, text
from sqlalchemy.exc import SQLAlchemyError
from tasks_service.db import ROOT, ROW_SECURITY
from tasks_service.main import create_app
from tasks_service.settings import TasksSettings
from tasks_service.tasks.repository import find_visible_together
from testkit.contract import contract_client
from testkit.databases import migrated_database
from testkit.standby import replicated
from testkit.waiting import eventually

IS_REPLICA = text("SELECT pg_is_in_recovery()")
ON_REPLICA = select(func.pg_is_in_recovery().label("is_replica")).execution_options(**{BINDS_ITSELF: True})


@pytest.fixture(scope="module")
def pair():
    with replicated("max_standby_streaming_delay=0") as found:
        yield found


@pytest.fixture(scope="module")
def primary_settings(pair):
    return migrated_database(pair.primary_url, "tasks", lambda url: upgrade(ROOT, url=url))


@pytest.fixture
async def standby(pair):
    yield pair
    if not pair.is_running():
        pair.start()
    await pair.resume()


@pytest.fixture
def serve(standby, primary_settings, settings, contract):
    """Serves the tasks service over the primary and its replica, which is read from when the block begins."""

    @asynccontextmanager
    async def serve(*, max_lag=3600.0, wait_ms=100):
        followed = {"replica_url": SecretStr(f"{standby.url}/tasks"), "replica_max_lag_seconds": max_lag}
        database = open_database(primary_settings.model_copy(update=followed), application_name="tasks-replica-tests")
        waiting = replace(settings, tasks=TasksSettings(min_cursor_wait_ms=wait_ms))
        app = create_app(waiting, database=database, health=Health(reported=database.reported))
        stop = asyncio.Event()
        watching = asyncio.create_task(database.watch_replica(stop))
        transport = httpx2.ASGITransport(app=app)
        async with contract_client(contract, transport=transport, base_url="http://tasks") as client:
            try:
                await eventually(reads_replica(database))
                yield client, database
                assert database.reader.pool.checkedout() == database.primary_reader.pool.checkedout() == 0
            finally:
                stop.set()
                await watching
                await database.close()

    return serve


@pytest.fixture
def someone(test_gateway):
    """Makes callers: each call gives another one's id and headers."""

    def make():
        user_id = uuid7()
        return user_id, test_gateway.headers(user_id)

    return make


def reads_replica(database):
    async def look():
        # A replica that has just been killed is found gone by whoever asks it first.
        with suppress(SQLAlchemyError):
            async with database.reader.connect() as connection:
                return (await connection.execute(IS_REPLICA)).scalar_one()

    return look


@asynccontextmanager
async def reading_all_the_time(*reads):
    """Repeat requests as long as the block lasts; yield their statuses."""
    over, statuses = asyncio.Event(), []

    async def repeat(read):
        while not over.is_set():
            statuses.append((await read()).status_code)
            await asyncio.sleep(0.01)

    readers = [asyncio.create_task(repeat(read)) for read in reads]
    try:
        yield statuses
    finally:
        over.set()
        await asyncio.gather(*readers)


async def made(api, path, body, headers):
    answer = await api.post(f"/api/v1{path}", json=body, headers=headers)
    assert answer.status_code == 201, answer.text
    return answer


async def titles(api, path, headers):
    answer = await api.get(f"/api/v1{path}", headers=headers)
    assert answer.status_code == 200, answer.text
    return [one["title"] for one in answer.json()["data"]]


WRITTEN = {"x-taskloom-has-written": "1"}
"""What the gateway says of who has written a moment ago."""
READS = {
    "read": ("/tasks/{id}", lambda data: data["title"]),
    "read_by_key": ("/tasks/{key}", lambda data: data["title"]),
    "list": ("/tasks?status=todo&sort=created_at", lambda data: [one["title"] for one in data]),
    "list_of_project": ("/tasks?project_id={project_id}&sort=created_at", lambda data: [one["title"] for one in data]),
    "filter": ("/tasks?filter=priority%20%3D%20high", lambda data: [one["title"] for one in data]),
    "search": ("/tasks?q=zebra&sort=created_at", lambda data: [one["title"] for one in data]),
    "count": ("/tasks/aggregate?group_by=status", lambda data: [one["count"] for one in data]),
    "history": ("/tasks/{id}/history", len),
    "comments": ("/tasks/{id}/comments", lambda data: [one["body"] for one in data]),
    "checklist": ("/tasks/{id}/checklist", lambda data: [one["text"] for one in data]),
    "starred": ("/starred", lambda data: [one["title"] for one in data]),
    "projects": ("/projects", len),
    "labels": ("/labels?workspace_id={workspace_id}", lambda data: [one["name"] for one in data]),
    "workspaces": ("/workspaces", len),
    "trash": ("/trash?workspace_id={workspace_id}", len),
}


CHANGED = {
    "read": "zebra b",
    "read_by_key": "zebra b",
    "list": ["zebra b", "zebra c"],
    "list_of_project": ["zebra b", "zebra c"],
    "filter": ["zebra b"],
    "search": ["zebra b", "zebra c"],
    "count": [2],
    "comments": ["a comment"],
    "checklist": ["an item"],
    "starred": ["zebra b"],
    "projects": 2,
    "labels": ["a label"],
    "workspaces": 1,
    "trash": 1,
}
"""What these show after `change_everything`; how long a history is then, is its own affair."""


async def change_everything(api, task, headers):
    """Do one of everything that is read above; return the cursor of the last of it."""
    path = f"/tasks/{task['id']}"
    await api.patch(f"/api/v1{path}", json={"title": "zebra b", "priority": "high"}, headers=headers)
    await made(api, "/tasks", {"title": "zebra c", "project_id": task["project_id"]}, headers)
    await made(api, f"{path}/comments", {"body": "a comment"}, headers)
    await made(api, f"{path}/checklist", {"text": "an item"}, headers)
    await made(api, "/labels", {"name": "a label", "workspace_id": task["workspace_id"]}, headers)
    await made(api, "/projects", {"name": "P"}, headers)
    gone = (await made(api, "/tasks", {"title": "gone"}, headers)).json()["data"]
    await api.delete(f"/api/v1/tasks/{gone['id']}", headers=headers)
    starred = await api.put(f"/api/v1{path}/star", headers=headers)
    assert starred.status_code < 300
    return starred.headers["x-cursor"]


async def test_r41_every_read_with_min_cursor_is_right_over_a_replica_that_has_nothing_new(serve, standby, user):
    async with serve() as (api, database):
        headers = user()
        task = (await made(api, "/tasks", {"title": "zebra a"}, headers)).json()["data"]
        await standby.catch_up()
        await standby.pause()
        cursor = await change_everything(api, task, headers)
        new = {**headers, "x-min-cursor": cursor}
        expected, stale = {}, {}
        for name, (path, told) in READS.items():
            where = f"/api/v1{path.format(**task)}"
            old, asked = await api.get(where, headers=headers), await api.get(where, headers=new)
            assert (old.status_code, asked.status_code) == (200, 200), (name, old.text, asked.text)
            stale[name], expected[name] = told(old.json()["data"]), told(asked.json()["data"])
        assert expected["history"] > stale["history"]
        assert expected == {**CHANGED, "history": expected["history"]}
        # What nothing is asked of is as the replica has it: they were its answers, and are the primary's now.
        assert {name for name in READS if stale[name] == expected[name]} == {"workspaces"}
        assert (stale["read"], stale["list"]) == ("zebra a", ["zebra a"])
        assert database.replica.is_used


async def test_r41_who_has_just_written_reads_that_over_a_replica_that_has_nothing_new(serve, standby, user):
    async with serve() as (api, database):
        headers = user()
        task = (await made(api, "/tasks", {"title": "zebra a"}, headers)).json()["data"]
        await standby.catch_up()
        await standby.pause()
        await change_everything(api, task, headers)
        own, others = {}, {}
        for name, (path, shown) in READS.items():
            for found, more in ((own, WRITTEN), (others, {})):
                answer = await api.get(f"/api/v1{path.format(**task)}", headers={**headers, **more})
                assert answer.status_code == 200, (name, answer.text)
                found[name] = shown(answer.json()["data"])
        assert own["history"] > others["history"]
        assert own == {**CHANGED, "history": own["history"]}
        assert (others["read"], others["list"]) == ("zebra a", ["zebra a"])
        # Those who read at the same moment go together, and each to where they are to read.
        for path in (f"/tasks/{task['id']}", "/tasks?per_page=1&sort=created_at"):
            asked = (api.get(f"/api/v1{path}", headers={**headers, **more}) for more in ({}, WRITTEN, {}, WRITTEN))
            told = [answer.json()["data"] for answer in await asyncio.gather(*asked)]
            titled = [(one[0] if isinstance(one, list) else one)["title"] for one in told]
            assert titled == ["zebra a", "zebra b", "zebra a", "zebra b"], path
        assert database.replica.is_used
        # Bound to the caller there, too.
        assert await titles(api, "/tasks", {**user(), **WRITTEN}) == []


async def test_r41_who_has_just_written_is_not_told_a_page_again_that_the_replica_takes_for_new(serve, standby, user):
    async with serve() as (api, _database):
        headers = user()
        await made(api, "/tasks", {"title": "a"}, headers)
        await standby.catch_up()
        assert await titles(api, "/tasks", headers) == ["a"]
        await standby.pause()
        await made(api, "/tasks", {"title": "b"}, headers)
        assert await titles(api, "/tasks", {**headers, **WRITTEN}) == ["b", "a"]
        assert await titles(api, "/tasks", headers) == ["a"]
        await standby.resume()
        await standby.catch_up()
        assert await titles(api, "/tasks", headers) == ["b", "a"]


async def test_r41_the_feed_never_goes_back_behind_a_position(serve, standby, user):
    async with serve() as (api, _database):
        headers = user()
        first = await made(api, "/tasks", {"title": "a"}, headers)
        await standby.catch_up()
        await standby.pause()
        second = await made(api, "/tasks", {"title": "b"}, headers)
        page = (await api.get(f"/api/v1/changes?cursor={first.headers['x-cursor']}", headers=headers)).json()["data"]
        assert (page["changes"], page["has_more"]) == ([], False)
        ahead = (await api.get(f"/api/v1/changes?cursor={second.headers['x-cursor']}", headers=headers)).json()["data"]
        assert (ahead["changes"], ahead["next_cursor"]) == ([], second.headers["x-cursor"])
        # From where the replica was everything comes, once it is there.
        await standby.resume()
        await standby.catch_up()
        rest = (await api.get(f"/api/v1/changes?cursor={page['next_cursor']}", headers=headers)).json()["data"]
        assert [one["data"]["title"] for one in rest["changes"] if one["type"] == "task.created"] == ["b"]
        assert rest["next_cursor"] == second.headers["x-cursor"]


async def test_r41_a_snapshot_goes_on_at_what_its_first_page_has(serve, standby, user):
    """Its second page is read from the primary while the replica lacks what the position of the first one says."""
    async with serve() as (api, _database):
        headers = user()
        wanted = {"types": ["task"], "limit": 1}
        for title in ("a", "b"):
            last = await made(api, "/tasks", {"title": title}, headers)
        await standby.catch_up()
        await standby.pause()
        first = (await api.post("/api/v1/sync/snapshot", json=wanted, headers=headers)).json()["data"]
        assert first["cursor"] == last.headers["x-cursor"]
        await made(api, "/tasks", {"title": "c"}, headers)
        found = [first]
        while found[-1]["next_page"]:
            body = {**wanted, "cursor": found[-1]["next_page"]}
            found.append((await api.post("/api/v1/sync/snapshot", json=body, headers=headers)).json()["data"])
        assert [one["data"]["title"] for page in found for one in page["items"]] == ["a", "b"]
        changes = (await api.get(f"/api/v1/changes?cursor={first['cursor']}", headers=headers)).json()["data"]
        assert changes["changes"] == []


async def test_r41_min_cursor_waits_for_a_replica_that_catches_up_and_reads_it(serve, standby, user):
    async with serve(wait_ms=5000) as (api, _database):
        headers = user()
        await made(api, "/tasks", {"title": "a"}, headers)
        await standby.catch_up()
        await standby.pause()
        written = await made(api, "/tasks", {"title": "b"}, headers)
        new = {**headers, "x-min-cursor": written.headers["x-cursor"]}
        waiting = [asyncio.create_task(titles(api, "/tasks?sort=created_at", new)) for _ in range(30)]
        done, _ = await asyncio.wait(waiting, timeout=0.3)
        await standby.resume()
        assert not done
        assert await asyncio.gather(*waiting) == [["a", "b"]] * 30


async def test_r41_min_cursor_is_answered_by_the_server_that_was_looked_at(serve, standby, user):
    """Here the primary is looked at, and right then the replica becomes the one that reads go to."""
    async with serve() as (api, database):
        await standby.catch_up()
        await standby.pause()
        headers = user()
        written = await made(api, "/tasks", {"title": "a"}, headers)
        reader = database.reader.sync_engine

        def comes_back(*arguments):
            database.replica.is_used = "change_counter" in arguments[2]

        database.replica.is_used = False
        event.listen(reader, "after_cursor_execute", comes_back)
        new = {**headers, "x-min-cursor": written.headers["x-cursor"]}
        found = await api.get(written.headers["location"], headers=new)
        event.remove(reader, "after_cursor_execute", comes_back)
        assert (found.status_code, found.json()["data"]["title"]) == (200, "a")


async def test_r41_a_membership_that_the_replica_lacks_is_found_at_the_primary(serve, standby, user, someone):
    async with serve(wait_ms=5000) as (api, database):
        owner, (guest_id, guest) = user(), someone()
        place = (await made(api, "/workspaces", {"name": "W"}, owner)).json()["data"]["id"]
        project = (await made(api, "/projects", {"name": "P", "workspace_id": place}, owner)).json()["data"]["id"]
        await standby.catch_up()
        await standby.pause()
        async with database.writer.begin() as connection:
            statement = text("INSERT INTO tasks.member VALUES (uuidv7(), :w, :u, 'member', 1, 1, now())")
            await connection.execute(statement, {"w": place, "u": guest_id})
        written = await made(api, "/tasks", {"title": "a", "project_id": project}, guest)
        path = written.headers["location"]
        assert (await api.get(path, headers=guest)).status_code == 404
        # It is not waited for: nobody knows whether it ever comes.
        found = await api.get(path, headers={**guest, "x-min-cursor": written.headers["x-cursor"]})
        assert (found.status_code, found.json()["data"]["title"]) == (200, "a")


@pytest.mark.parametrize("has_written", [False, True])
async def test_r36_either_server_shows_rows_to_their_readers_alone(serve, standby, someone, has_written):
    async with serve() as (api, database):
        (one_id, one), (two_id, two) = someone(), someone()
        await made(api, "/tasks", {"title": "a"}, one)
        path = (await made(api, "/tasks", {"title": "b"}, two)).headers["location"]
        await standby.catch_up()
        bind_request(RequestContext("request-1", new_traceparent(), has_written=has_written))
        for caller_id, title in ((one_id, "a"), (two_id, "b")) * 5:
            async with reading(database, ROW_SECURITY.of(caller_id)) as connection:
                found = (await connection.execute(text("SELECT pg_is_in_recovery(), title FROM tasks.task"))).all()
            assert [tuple(row) for row in found] == [(not has_written, title)]
        async with reading(database, ROW_SECURITY.of(None)) as connection:
            assert (await connection.execute(text("SELECT count(*) FROM tasks.task"))).scalar_one() == 0
        assert (await api.get(path, headers=one)).status_code == 404
        assert (await api.get(path, headers=two)).status_code == 200


async def test_r36_the_replica_reads_a_task_in_one_round_trip(serve, standby, someone):
    async with serve() as (api, database):
        (reader_id, headers), (stranger_id, _) = someone(), someone()
        task = (await made(api, "/tasks", {"title": "a"}, headers)).json()["data"]
        await standby.catch_up()
        for caller_id, title in ((reader_id, "a"), (stranger_id, None)) * 5:
            async with reading_directly(database, AS_IT_IS) as reader:
                caller = Principal(caller_id, uuid7())
                [found] = await find_visible_together(reader, [(caller.user_id, UUID(task["id"]))])
                where = (await reader.execute(ON_REPLICA, {})).mappings().one()
            assert (found and found["title"], where["is_replica"]) == (title, True)


async def test_r41_who_is_removed_sees_no_more_than_the_lag_allows(serve, standby, user, someone):
    async with serve(max_lag=2) as (api, database):
        owner, (member_id, member) = user(), someone()
        place = (await made(api, "/workspaces", {"name": "W"}, owner)).json()["data"]["id"]
        project = (await made(api, "/projects", {"name": "P", "workspace_id": place}, owner)).json()["data"]["id"]
        path = (await made(api, "/tasks", {"title": "a", "project_id": project}, owner)).headers["location"]
        async with database.writer.begin() as connection:
            statement = text("INSERT INTO tasks.member VALUES (uuidv7(), :w, :u, 'member', 1, 1, now())")
            await connection.execute(statement, {"w": place, "u": member_id})
        await standby.catch_up()
        await standby.pause()
        where = f"/api/v1/workspaces/{place}/members/{member_id}"
        removed = await api.delete(where, headers=owner)
        assert removed.status_code < 300
        assert (await api.get(path, headers=member)).status_code == 200
        # Nothing is written by what the replica shows.
        assert (await api.patch(path, json={"title": "b"}, headers=member)).status_code == 404

        async def is_refused():
            return (await api.get(path, headers=member)).status_code == 404

        await eventually(is_refused)
        assert not database.replica.is_used


async def test_r41_while_the_replica_is_killed_and_started_reads_are_answered(serve, standby, user):
    async with serve() as (api, database):
        headers = user()
        written = await made(api, "/tasks", {"title": "a"}, headers)
        path, new = written.headers["location"], {**headers, "x-min-cursor": written.headers["x-cursor"]}
        await standby.catch_up()
        reads = [partial(api.get, path, headers=wanted) for wanted in (headers, new) * 2]
        async with reading_all_the_time(*reads) as statuses:
            for _ in range(2):
                await eventually(reads_replica(database))
                await asyncio.to_thread(standby.kill)
                before = len(statuses)

                async def has_gone_on(before=before):
                    return statuses[before:].count(200) > 10

                await eventually(has_gone_on)
                await asyncio.to_thread(standby.start)
            await eventually(reads_replica(database))
        assert set(statuses) <= {200, 503}
        # What was asked of it at that moment: each reader once at most.
        assert statuses.count(503) <= 2 * len(reads)


async def test_r41_what_the_replica_gives_up_for_what_comes_is_answered_all_the_same(serve, standby, user):
    """Locks on the primary end statements on the replica (40001): they are repeated, or refused with 503."""
    async with serve() as (api, database):
        headers = user()
        await made(api, "/tasks", {"title": "a"}, headers)
        await standby.catch_up()
        async with reading_all_the_time(*[partial(api.get, "/api/v1/tasks?q=a", headers=headers)] * 4) as statuses:
            for _ in range(20):
                async with database.writer.begin() as connection:
                    await connection.execute(text("LOCK TABLE tasks.task IN ACCESS EXCLUSIVE MODE"))
                    await asyncio.sleep(0.005)
                await asyncio.sleep(0.05)
        assert set(statuses) <= {200, 503}
        assert statuses.count(200) > 10


async def test_r64_health_tells_of_the_replica_and_does_not_depend_on_it(serve, standby):
    async with serve() as (api, database):
        assert (await api.get("/readyz")).json()["data"]["checks"]["replica"]["ok"] is True
        await asyncio.to_thread(standby.kill)

        async def is_left_out():
            return not database.replica.is_used

        await eventually(is_left_out)
        answer = await api.get("/readyz")
        assert (answer.status_code, answer.json()["data"]["checks"]["replica"]["ok"]) == (200, False)


async def test_r41_a_stranger_to_a_position_is_answered(serve, standby, user):
    """A position of somebody else says nothing of what the caller may see: nobody waits for it, or is told of it."""
    async with serve(wait_ms=5000) as (api, _database):
        cursor = (await made(api, "/tasks", {"title": "a"}, user())).headers["x-cursor"]
        await standby.catch_up()
        await standby.pause()
        answer = await api.get(f"/api/v1/tasks/{uuid7()}", headers={**user(), "x-min-cursor": cursor})
        assert answer.status_code == 404
