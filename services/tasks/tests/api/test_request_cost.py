"""What the usual requests cost the database, counted on the wire. These numbers may only sink.

A request that has come to cost less fails here, too: write the smaller number into the table.
"""

import asyncio
from itertools import count

import asyncpg
import httpx2
import pytest
from chassis.db.engine import open_database
from chassis.db.telling import TELLER
from chassis.web.health import Health
from pydantic import SecretStr
from tasks_service.main import create_app
from testkit.contract import contract_client
from testkit.wire import counted

WARM_UP = 8
MEASURED = 6
"""Requests before those that count: by then every statement has been prepared on every connection."""

COST = {
    "read a task by id": (1, 1),
    "read a task as new as a cursor": (3, 3),
    "list 20 tasks by status, again": (1, 1),
    "list 20 tasks by status, after a change": (2, 2),
    "search": (7, 7),
    "list comments": (4, 4),
    "read the feed": (3, 3),
    "create a task": (3, 5),
    "create a task, with an Idempotency-Key": (6, 8),
    "change a title": (3, 5),
    "complete a task, and reopen it": (9, 13),
    "comment": (6, 8),
}
"""Statements of a request, and round trips: those are the statements, and what begins and ends a transaction.

One of the statements of a read binds the connection to the caller, but that of a task by its id binds itself, and so
does the one that looks whether a page has changed; a transaction is bound as it begins. What tells others of a write is
one statement more, by a connection of its own and for all writes of some milliseconds.
"""


@pytest.fixture
async def telling(database_settings):
    """What tells others of writes, and what goes over its connection."""
    async with counted(database_settings.url.get_secret_value()) as (wire, through):
        beside = database_settings.model_copy(update={"url": SecretStr(through)})
        database = open_database(beside, application_name="tasks-cost-telling")
        yield database.teller, wire
        await database.close()


@pytest.fixture
async def measured(database_settings, settings, contract, telling):
    """The service with one connection of each kind, and what goes over them."""
    async with counted(database_settings.url.get_secret_value()) as (wire, through):
        narrow = database_settings.model_copy(update={"url": SecretStr(through), "pool_size": 1})
        database = open_database(narrow, application_name="tasks-cost-tests")
        database.sessions.configure(info={TELLER: telling[0]})
        app = create_app(settings, database=database, health=Health())
        transport = httpx2.ASGITransport(app=app)
        async with contract_client(contract, transport=transport, base_url="http://tasks/api/v1") as client:
            yield client, wire
        await database.close()


class Caller:
    """Somebody with tasks, who makes each of the requests again and again."""

    def __init__(self, api, headers, task, cursor):
        self._api = api
        self._headers = headers
        self._task = f"/tasks/{task['id']}"
        self._cursor = cursor
        self._numbers = count()

    async def make(self, request):
        number = next(self._numbers)
        requests = {
            "read a task by id": ("GET", self._task, None, {}),
            "read a task as new as a cursor": ("GET", self._task, None, {"x-min-cursor": self._cursor}),
            "list 20 tasks by status, again": ("GET", "/tasks?status=todo&per_page=20", None, {}),
            # Of each number of tasks it is a page of its own, which nothing is known of yet.
            "list 20 tasks by status, after a change": ("GET", f"/tasks?status=todo&per_page={20 + number}", None, {}),
            "search": ("GET", "/tasks?q=milk", None, {}),
            "list comments": ("GET", f"{self._task}/comments", None, {}),
            "create a task": ("POST", "/tasks", {"title": f"Buy milk {number}"}, {}),
            "create a task, with an Idempotency-Key": (
                "POST",
                "/tasks",
                {"title": f"Buy milk {number}"},
                {"idempotency-key": f"key-{number}"},
            ),
            "change a title": ("PATCH", self._task, {"title": f"Buy oat milk {number}"}, {}),
            "complete a task, and reopen it": ("PATCH", self._task, {"status": ("done", "todo")[number % 2]}, {}),
            "comment": ("POST", f"{self._task}/comments", {"body": f"Which kind? {number}"}, {}),
            "read the feed": ("GET", f"/changes?cursor={self._cursor}&limit=1", None, {}),
        }
        method, path, body, headers = requests[request]
        answer = await self._api.request(method, path, json=body, headers={**self._headers, **headers})
        assert answer.status_code in (200, 201), answer.text


async def caller(api, headers):
    for number in range(3):
        made = await api.post("/tasks", json={"title": f"Buy milk {number}"}, headers=headers)
    return Caller(api, headers, made.json()["data"], made.headers["x-cursor"])


@pytest.mark.parametrize("request_made", COST)
async def test_a_request_costs_the_database_no_more_than_the_table_says(measured, user, request_made):
    api, wire = measured
    callers = [await caller(api, user()), await caller(api, user())]
    times = 2 if "reopen" in request_made else 1
    found = []
    for _ in range(WARM_UP + MEASURED):
        for by in callers:
            wire.take()
            for _ in range(times):
                await by.make(request_made)
            found.append(wire.take())
    assert set(found[-MEASURED:]) == {COST[request_made]}


async def test_what_is_read_at_the_same_time_is_a_statement_or_two(measured, user):
    api, wire = measured
    callers = [await caller(api, user()) for _ in range(4)]
    for request_made in ("read a task by id", "list 20 tasks by status, again"):
        for one in callers:
            await one.make(request_made)
        wire.take()
        await asyncio.gather(*(one.make(request_made) for one in callers for _ in range(8)))
        statements, trips = wire.take()
        assert 1 <= statements == trips <= 2, request_made


async def test_a_write_costs_one_statement_more_to_tell_of_it(measured, user, telling):
    api, _ = measured
    one, (teller, told) = await caller(api, user()), telling
    for _ in range(WARM_UP):
        await one.make("change a title")
    await teller.close()
    told.take()
    for _ in range(MEASURED):
        await one.make("change a title")
    await teller.close()
    statements, _ = told.take()
    assert 1 <= statements <= MEASURED


async def test_what_is_counted_is_what_goes_over_the_wire(database_settings):
    """The guard of the guard: by the driver, with and without a transaction."""
    async with counted(database_settings.url.get_secret_value()) as (wire, through):
        connection = await asyncpg.connect(through)
        await connection.fetchval("SELECT $1::int", 1)
        wire.take()
        assert await connection.fetchval("SELECT $1::int", 2) == 2
        assert wire.take() == (1, 1)
        async with connection.transaction():
            await connection.fetchval("SELECT $1::int", 3)
        assert wire.take() == (1, 3)
        await connection.close()
