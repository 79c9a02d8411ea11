"""All that is measured of a workspace at one size, through the service's app and as its role in the database."""

import asyncio
import logging
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any
from uuid import UUID

import httpx2
import structlog
from chassis.db.engine import open_database
from chassis.settings import DatabaseSettings
from dataset import WORKSPACE, created_at
from filling import Connection, connected
from in_process import Caller, Client, client_of, settings_of
from many_cases import CALLERS, CASES, OWNER, WALK, Case, Who
from pydantic import SecretStr
from sampling import Reference, Sample, sample
from testkit.identities import TestGateway

AT_ONCE = 200
BULKS = 10
SLOW = 20.0
"""From how many milliseconds on a statement is shown."""
Key = tuple[str, str, str]
"""Group, name and caller."""


@dataclass(frozen=True)
class Walk:
    """A walk by cursor: milliseconds of a page in its first, middle and last tenth, and whether each task came once."""

    pages: int
    tasks: int
    expected: int
    parts: Sequence[float]
    distinct: bool


@dataclass(frozen=True)
class Run:
    """What was found at one size."""

    size: int
    samples: Mapping[Key, Sample]
    walks: Mapping[str, Walk]
    reference: Sequence[float]
    filled_seconds: float = 0.0
    measured_seconds: float = 0.0

    def having_taken(self, seconds: float) -> "Run":
        """Return the same, filled in so many seconds."""
        return replace(self, filled_seconds=seconds)


@dataclass(frozen=True)
class Asked:
    """The app, those who ask, and a superuser's connection beside it."""

    client: Client
    callers: Mapping[str, Caller]
    beside: Connection
    only: str | None
    now: datetime

    def wants(self, key: Key) -> bool:
        """Tell whether a case is to be measured."""
        return self.only is None or all(part in " ".join(key) for part in self.only.split())

    async def ask(self, who: Who, method: str, target: str, body: object = None) -> httpx2.Response:
        """Send a request."""
        headers = self.callers[who.name].headers()
        return await self.client.request(method, target, json=body, headers=headers)


async def measure_all(owned: str, superuser: str, size: int, *, only: str | None) -> Run:
    """Measure every case at the size that the database has."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))
    settings = DatabaseSettings(url=SecretStr(owned), pool_size=5, pool_wait_seconds=5, write_wait_seconds=60)
    database, gateway = open_database(settings, application_name="many"), TestGateway()
    callers = {who.name: Caller(gateway, UUID(who.user)) for who in CALLERS}
    started = time.monotonic()
    async with connected(superuser) as beside, client_of(settings_of(settings, gateway), database) as client:
        newest = str(await beside.fetchval("SELECT max(id::text) FROM tasks.task WHERE deleted_at IS NULL"))
        reference = Reference(beside, newest)
        asked = Asked(client, callers, beside, only, created_at(size))
        samples = await _samples(asked, reference, newest)
        walks = {who.name: await _walk(asked, who) for who in CALLERS if asked.wants(("walk", "", who.name))}
    await database.close()
    return Run(size, samples, walks, reference.times, measured_seconds=time.monotonic() - started)


async def _samples(asked: Asked, reference: Reference, newest: str) -> dict[Key, Sample]:
    found: dict[Key, Sample] = {}
    read = Case("reference", "a task by its id", f"/tasks/{newest}", lambda _who, _turn, _now: {})
    for case in (read, *CASES):
        for who in CALLERS if case is not read else (OWNER,):
            key = (case.group, case.name, who.name)
            if asked.wants(key):
                await reference.run()
                found[key] = await _sample_case(asked, case, who)
                _tell(key, found[key])
    for who in CALLERS:
        key = ("change", f"{AT_ONCE} tasks at once", who.name)
        if asked.wants(key):
            found[key] = await _sample_bulk(asked, who)
            _tell(key, found[key])
    return found


def _tell(key: Key, one: Sample) -> None:
    figures = f"refused: {one.refused}" if one.refused else f"{one.share(0.5):8.1f}{one.share(0.95):8.1f}"
    print(f"  {' · '.join(key):70} {figures} {one.database:8.1f}{one.slowest:8.1f}", flush=True)
    if one.slowest > SLOW:
        print(f"    {' '.join(one.text.split())[:500]}", flush=True)


async def _sample_case(asked: Asked, case: Case, who: Who) -> Sample:
    return await sample(lambda turn: asked.ask(who, "GET", case.target(who, turn, asked.now)), asked.beside)


EDITABLE = """
    SELECT id::text FROM tasks.task
    WHERE deleted_at IS NULL AND workspace_id = $1 AND project_id = ANY ($2::uuid[]) AND number % 3 = 0
    ORDER BY id LIMIT $3
"""
PRIORITIES = ("low", "medium", "high", "urgent")


async def _sample_bulk(asked: Asked, who: Who) -> Sample:
    """Change two hundred tasks in one request; others each time, where there are as many."""
    rows = await asked.beside.fetch(EDITABLE, WORKSPACE, who.projects, AT_ONCE * BULKS)
    ids = [row["id"] for row in rows]
    if not ids:
        return Sample([0.0], 0, 0, 0, 0, refused="no tasks")

    # What a run before has set would be no change.
    estimate = int(time.time()) % 100_000

    async def change(turn: int) -> httpx2.Response:
        some = [ids[(turn * AT_ONCE + place) % len(ids)] for place in range(min(AT_ONCE, len(ids)))]
        patch = {"priority": PRIORITIES[turn % 4], "estimate_minutes": estimate + turn}
        operations = [{"op": "update", "id": one, "patch": patch} for one in some]
        return await asked.ask(who, "POST", "/api/v1/tasks/bulk", {"mode": "atomic", "operations": operations})

    return await sample(change, asked.beside, requests=BULKS, warm_up=1)


EXPECTED = """
    SELECT count(*) FROM tasks.task JOIN tasks.project ON project.id = task.project_id
    WHERE task.priority = $1 AND task.deleted_at IS NULL AND archived_at IS NULL AND project.id = ANY ($2::uuid[])
"""


async def _walk(asked: Asked, who: Who) -> Walk:
    """Walk to the end."""
    ids: list[str] = []
    times: list[float] = []
    cursor: str | None = ""
    while cursor is not None:
        started = time.perf_counter()
        query = "&".join(f"{name}={value}" for name, value in {**WALK, "cursor": cursor}.items())
        answer = await asked.ask(who, "GET", f"/api/v1/tasks?{query}")
        times.append((time.perf_counter() - started) * 1000)
        assert answer.is_success, answer.text
        page: dict[str, Any] = answer.json()
        ids += [task["id"] for task in page["data"]]
        cursor = page["meta"]["next_cursor"] if page["meta"]["has_more"] else None
    return Walk(len(times), len(ids), await _expected(asked, who), _parts(times), len(set(ids)) == len(ids))


async def _expected(asked: Asked, who: Who) -> int:
    every = [row["id"] for row in await asked.beside.fetch("SELECT id::text AS id FROM tasks.project")]
    seen = every if who is OWNER else who.projects
    return int(await asked.beside.fetchval(EXPECTED, WALK["priority"], seen))


def _parts(times: Sequence[float]) -> list[float]:
    tenth = max(1, len(times) // 10)
    middle = len(times) // 2
    parts = (times[:tenth], times[max(0, middle - tenth // 2) : middle + tenth // 2 + 1], times[-tenth:])
    return [sorted(part)[len(part) // 2] for part in parts]


def run_all(owned: str, superuser: str, size: int, *, only: str | None) -> Run:
    """Run `measure_all` on a loop of its own."""
    return asyncio.run(measure_all(owned, superuser, size, only=only))
