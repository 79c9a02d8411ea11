"""Logins a second, and what other requests notice of fifty logins at once.

make bench-logins
make bench-logins ARGS="--seconds 20"

Three phases of equal length, one after the other on one copy: other requests alone, logins alone, both together. The
other requests are reads of a task by a few users at a fixed rate, so that what changes is how long each takes, not how
many there are. A login costs one Argon2id hash (19 MiB, 2 passes), of which the service makes two at a time.
"""

import argparse
import asyncio
import statistics
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field

import httpx2
from chassis.clock import utcnow
from measure import cpu_seconds
from run import RESULTS, commit
from stack import PASSWORD, Copy, User, make_users, running_copy

READERS = 8
MEASURED = ("gateway", "auth", "auth-background", "tasks", "PostgreSQL")


@dataclass
class Phase:
    """What one phase found; times in milliseconds."""

    seconds: float
    reads: list[float] = field(default_factory=list)
    logins: list[float] = field(default_factory=list)
    refused: dict[int, int] = field(default_factory=dict)
    cpu_seconds: Mapping[str, float] = field(default_factory=dict)


def main() -> int:
    """Run the phases and print the table."""
    parser = argparse.ArgumentParser(description="Measures logins beside other requests.")
    parser.add_argument("--seconds", type=float, default=15, help="length of each phase")
    parser.add_argument("--at-once", type=int, default=50, help="logins that run at once")
    parser.add_argument("--reads", type=float, default=100, help="other requests a second")
    options = parser.parse_args()
    with running_copy() as copy:
        users = asyncio.run(make_users(copy.api, options.at_once))
        alone = asyncio.run(_phase(copy, users, options, logins=0, reads=options.reads))
        logins = asyncio.run(_phase(copy, users, options, logins=options.at_once, reads=0))
        both = asyncio.run(_phase(copy, users, options, logins=options.at_once, reads=options.reads))
    text = _as_text({"reads alone": alone, "logins alone": logins, "both": both}, options)
    print(text)
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / f"{utcnow():%Y-%m-%d}-logins-{commit()}.txt").write_text(text, encoding="utf-8")
    return 0


async def _phase(copy: Copy, users: list[User], options: argparse.Namespace, *, logins: int, reads: float) -> Phase:
    loop = asyncio.get_running_loop()
    phase = Phase(options.seconds)
    before, end = _cpu(copy), loop.time() + options.seconds
    limits = httpx2.Limits(max_connections=logins + READERS)
    async with httpx2.AsyncClient(base_url=f"{copy.api}/api/v1", timeout=30, trust_env=False, limits=limits) as client:
        workers = [_log_in_again_and_again(client, number, phase, end) for number in range(logins)]
        if reads:
            workers.append(_read_steadily(client, users[:READERS], phase, end, every=1 / reads))
        await asyncio.gather(*workers)
    phase.cpu_seconds = {name: used - before[name] for name, used in _cpu(copy).items()}
    return phase


async def _log_in_again_and_again(client: httpx2.AsyncClient, number: int, phase: Phase, end: float) -> None:
    body = {"email": f"bench-{number}@example.com", "password": PASSWORD}
    while asyncio.get_running_loop().time() < end:
        status = await _timed(phase.logins, lambda: client.post("/auth/login", json=body))
        if status != 200:
            phase.refused[status] = phase.refused.get(status, 0) + 1
            await asyncio.sleep(1)  # what Retry-After says of a full queue


async def _read_steadily(client: httpx2.AsyncClient, users: list[User], phase: Phase, end: float, every: float) -> None:
    """Start a read at each tick, whether or not the one before has been answered."""
    loop = asyncio.get_running_loop()
    started, number = loop.time(), 0
    async with asyncio.TaskGroup() as group:
        while loop.time() < end:
            user = users[number % len(users)]
            group.create_task(_read(client, user, phase))
            number += 1
            await asyncio.sleep(max(0.0, started + number * every - loop.time()))


async def _read(client: httpx2.AsyncClient, user: User, phase: Phase) -> None:
    headers = {"authorization": f"Bearer {user.token}"}
    status = await _timed(phase.reads, lambda: client.get(f"/tasks/{user.task}", headers=headers))
    if status != 200:
        phase.refused[status] = phase.refused.get(status, 0) + 1


async def _timed(times: list[float], request: Callable[[], Awaitable[httpx2.Response]]) -> int:
    """Send, and note how long a success took."""
    loop = asyncio.get_running_loop()
    started = loop.time()
    response = await request()
    if response.status_code == 200:
        times.append((loop.time() - started) * 1000)
    return response.status_code


def _cpu(copy: Copy) -> dict[str, float]:
    return {name: cpu_seconds(pid) for name, pid in copy.pids().items() if name in MEASURED}


def _as_text(phases: Mapping[str, Phase], options: argparse.Namespace) -> str:
    titles = ("logins/s", "p50 ms", "p95 ms", "reads/s", "p50 ms", "p95 ms", "p99 ms")
    lines = [
        f"logins at once: {options.at_once}; other requests: {options.reads:.0f}/s; {options.seconds:.0f} s a phase",
        "",
        f"{'phase':<14}" + "".join(f"{title:>10}" for title in titles) + "  refused",
    ]
    for name, phase in phases.items():
        numbers = (
            f"{len(phase.logins) / phase.seconds:.1f}",
            *(_at(phase.logins, share) for share in (0.5, 0.95)),
            f"{len(phase.reads) / phase.seconds:.1f}",
            *(_at(phase.reads, share) for share in (0.5, 0.95, 0.99)),
        )
        lines.append(f"{name:<14}" + "".join(f"{number:>10}" for number in numbers) + f"  {phase.refused or 'none'}")
    return "\n".join([*lines, "", *_cpu_of_a_login(phases["logins alone"])]) + "\n"


def _cpu_of_a_login(phase: Phase) -> list[str]:
    if not phase.logins:
        return ["no login succeeded"]
    each = {name: seconds * 1000 / len(phase.logins) for name, seconds in phase.cpu_seconds.items()}
    return ["CPU of a login, milliseconds:", *(f"  {name:<18}{spent:>8.1f}" for name, spent in each.items())]


def _at(times: list[float], share: float) -> str:
    if not times:
        return "-"
    if share == 0.5:
        return f"{statistics.median(times):.1f}"
    return f"{sorted(times)[int(len(times) * share)]:.1f}"


if __name__ == "__main__":
    raise SystemExit(main())
