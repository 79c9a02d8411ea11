"""Asking the service again and again, and what that took: in all, and in PostgreSQL by statement."""

import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field

import httpx2
from filling import Connection

REQUESTS = 100
SECONDS = 6.0
"""How long a case may take; at least FEWEST requests are sent."""
FEWEST = 10
WARM_UP = 3

Ask = Callable[[int], Awaitable[httpx2.Response]]


@dataclass(frozen=True)
class Sample:
    """Milliseconds of each request, and of PostgreSQL: a request, a statement, and the slowest kind of statement."""

    times: Sequence[float]
    database: float
    statement: float
    slowest: float
    statements: int
    refused: str | None = None
    text: str = ""

    def share(self, part: float) -> float:
        """Return the time that this part of the requests was answered within."""
        ordered = sorted(self.times)
        return ordered[min(len(ordered) - 1, int(part * len(ordered)))]


@dataclass
class Reference:
    """A row by its key, straight from the database, between all that is measured: what the machine itself does."""

    connection: Connection
    task: str
    times: list[float] = field(default_factory=list)

    async def run(self, count: int = 10) -> None:
        """Add some."""
        for _ in range(count):
            started = time.perf_counter()
            await self.connection.fetchrow("SELECT * FROM tasks.task WHERE id = $1", self.task)
            self.times.append((time.perf_counter() - started) * 1000)


STATISTICS = """
    SELECT coalesce(sum(calls), 0)::integer AS calls, coalesce(sum(total_exec_time), 0)::float8 AS time,
        coalesce(max(mean_exec_time), 0)::float8 AS slowest,
        coalesce((array_agg(query ORDER BY mean_exec_time DESC))[1], '') AS text
    FROM pg_stat_statements
    WHERE dbid = (SELECT oid FROM pg_database WHERE datname = current_database())
        AND userid <> (SELECT oid FROM pg_roles WHERE rolname = current_user)
"""


async def sample(ask: Ask, beside: Connection, *, requests: int = REQUESTS, warm_up: int = WARM_UP) -> Sample:
    """Measure one case. A refusal ends it."""
    for turn in range(warm_up):
        answer = await ask(requests + turn)
        if not answer.is_success:
            return Sample([0.0], 0, 0, 0, 0, refused=f"{answer.status_code} {answer.json()['errors'][0]['code']}")
    await beside.execute("SELECT pg_stat_statements_reset()")
    times: list[float] = []
    until = time.perf_counter() + SECONDS
    for turn in range(requests):
        started = time.perf_counter()
        answer = await ask(turn)
        times.append((time.perf_counter() - started) * 1000)
        assert answer.is_success, answer.text
        if len(times) >= FEWEST and time.perf_counter() > until:
            break
    spent = await beside.fetchrow(STATISTICS)
    assert spent is not None
    calls = max(1, spent["calls"])
    of_each = (spent["time"] / len(times), spent["time"] / calls, spent["slowest"])
    return Sample(times, *of_each, spent["calls"], text=spent["text"])
