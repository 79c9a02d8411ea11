"""What the second line of who sees what costs: the same requests to the tasks service with it and without.

python bench/row_security.py
python bench/row_security.py --requests 500

It counts the CPU of this process and of PostgreSQL's, which Linux alone tells finely enough: other work on the machine
changes it little. Both apps run in this process on one database, one request after the other, the two by turns.
Reads by callers who alternate are the worst case: the connection is bound anew each time.
"""

import argparse
import asyncio
import logging
import tempfile
import time
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path

import httpx2
import structlog
from chassis.db.engine import Database, open_database
from chassis.db.migrations import upgrade
from chassis.ids import uuid7
from chassis.settings import DatabaseSettings
from in_process import Caller, Client, client_of, settings_of
from sqlalchemy import text
from tasks_service.db import ROOT, ROW_SECURITY
from testkit.databases import owned_database
from testkit.identities import TestGateway
from testkit.servers import postgres

CALLERS = 8
TASKS_EACH = 25
WARM_UP = 30

Request = Callable[[Client, int], Awaitable[httpx2.Response]]


def main() -> int:
    """Measure, and print a line for each kind of request."""
    parser = argparse.ArgumentParser(description="Measures the price of row-level security.")
    parser.add_argument("--requests", type=int, default=2000, help="of each kind, with and without")
    options = parser.parse_args()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))
    with (
        tempfile.TemporaryDirectory(prefix="taskloom-postgres-", ignore_cleanup_errors=True) as folder,
        postgres(Path(folder)) as url,
    ):
        settings = owned_database(url, "row_security", lambda one: upgrade(ROOT, url=one), becomes=ROW_SECURITY.role)
        asyncio.run(_measure(settings, options.requests))
    return 0


async def _measure(database_settings: DatabaseSettings, count: int) -> None:
    gateway = TestGateway()
    settings = settings_of(database_settings, gateway)
    databases = {name: open_database(database_settings, application_name=name) for name in ("without", "with")}
    clients = {name: client_of(settings, database, guarded=name == "with") for name, database in databases.items()}
    callers = [Caller(gateway, uuid7()) for _ in range(CALLERS)]
    tasks = [await _make_tasks(clients["without"], caller) for caller in callers]

    def read(caller_of: Callable[[int], int]) -> Request:
        async def request(client: Client, turn: int) -> httpx2.Response:
            who = caller_of(turn)
            return await client.get(f"/api/v1/tasks/{tasks[who][turn % TASKS_EACH]}", headers=callers[who].headers())

        return request

    async def list_page(client: Client, turn: int) -> httpx2.Response:
        return await client.get("/api/v1/tasks?per_page=20", headers=callers[turn % CALLERS].headers())

    async def create(client: Client, turn: int) -> httpx2.Response:
        return await client.post("/api/v1/tasks", json={"title": "a"}, headers=callers[turn % CALLERS].headers())

    kinds: Mapping[str, Request] = {
        "read a task, one caller": read(lambda _turn: 0),
        "read a task, callers alternate": read(lambda turn: turn % CALLERS),
        "list tasks, callers alternate": list_page,
        "create a task, callers alternate": create,
    }
    print(f"{'milliseconds of CPU, with PostgreSQL':38}{'without':>9}{'with':>9}{'ratio':>8}")
    for kind, request in kinds.items():
        spent = await _by_turns(clients, databases, request, count)
        without, guarded = (spent[name] / count * 1000 for name in ("without", "with"))
        print(f"{kind:38}{without:9.3f}{guarded:9.3f}{guarded / without:8.3f}", flush=True)
    for client in clients.values():
        await client.aclose()
    for database in databases.values():
        await database.close()


async def _by_turns(
    clients: Mapping[str, Client], databases: Mapping[str, Database], request: Request, count: int
) -> Mapping[str, float]:
    """Return the seconds of CPU of all requests: of this process, and of those of the database that serve each."""
    for turn in range(WARM_UP):
        for client in clients.values():
            await request(client, turn)
    before = {name: await _backends(database) for name, database in databases.items()}
    spent = dict.fromkeys(clients, 0.0)
    for turn in range(count):
        # Who comes second finds the rows in the cache.
        for name in sorted(clients, reverse=turn % 2 == 0):
            started = time.process_time()
            answer = await request(clients[name], turn)
            spent[name] += time.process_time() - started
            assert answer.is_success, answer.text
    after = {name: await _backends(database) for name, database in databases.items()}
    return {
        name: spent[name] + sum(used - before[name].get(pid, 0.0) for pid, used in after[name].items())
        for name in clients
    }


async def _backends(database: Database) -> dict[int, float]:
    """Return the CPU seconds of each process that serves an app so far."""
    query = text("SELECT pid FROM pg_stat_activity WHERE application_name = current_setting('application_name')")
    async with database.writer.connect() as connection:
        return {pid: _cpu_seconds(pid) for pid in await connection.scalars(query)}


def _cpu_seconds(pid: int) -> float:
    return int(Path(f"/proc/{pid}/schedstat").read_text().split()[0]) / 1e9


async def _make_tasks(client: Client, caller: Caller) -> list[str]:
    made = [
        await client.post("/api/v1/tasks", json={"title": "a"}, headers=caller.headers()) for _ in range(TASKS_EACH)
    ]
    return [str(answer.json()["data"]["id"]) for answer in made]


if __name__ == "__main__":
    raise SystemExit(main())
