"""Measures reading and creating tasks through the gateway beside the bare floor, live delivery, and memory.

make bench                                    # one table, and a file in bench/results
make bench ARGS="--seconds 20 --users 200"
"""

import argparse
import asyncio
import platform
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from chassis.clock import utcnow
from live import Delays, measure_live
from measure import Result, measure, require_wrk
from stack import Copy, User, make_users, running_copy, running_floor

RESULTS = Path(__file__).with_name("results")
BODY = '{"title": "Buy milk"}'
SERVED_BY = ("gateway", "tasks", "PostgreSQL", "Valkey", "tasks-background", "notifications-background")


@dataclass(frozen=True)
class Report:
    """Everything that one run found."""

    ours: Mapping[str, Result]
    floor: Mapping[str, Result]
    live: Delays
    memory: Mapping[str, float]
    ready_seconds: float


def main() -> int:
    """Run it all; return the exit code."""
    parser = argparse.ArgumentParser(description="Measures Taskloom beside the bare floor.")
    parser.add_argument("--seconds", type=int, default=10, help="length of each scenario")
    parser.add_argument("--connections", type=int, default=32, help="connections of the load")
    parser.add_argument("--users", type=int, default=100, help="users who share the load")
    parser.add_argument("--writes", type=int, default=300, help="writes whose frames are waited for")
    options = parser.parse_args()
    require_wrk()
    with running_copy() as copy:
        report = _measure_all(copy, options)
    text = _as_text(report, options)
    print(text)
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / f"{utcnow():%Y-%m-%d}-{commit()}.txt").write_text(text, encoding="utf-8")
    return 1 if any(one.errors for one in (*report.ours.values(), *report.floor.values())) else 0


def _measure_all(copy: Copy, options: argparse.Namespace) -> Report:
    memory = copy.memory()
    users = asyncio.run(make_users(copy.api, options.users))
    live = asyncio.run(measure_live(copy.api, users[0], writes=options.writes))
    pids = {name: pid for name, pid in copy.pids().items() if name in SERVED_BY}
    ours = _scenarios(copy.api, "/api/v1/tasks", users, pids, options, ours=True)
    with running_floor(copy.database_url()) as (url, floor_pids):
        everything = {**floor_pids, "PostgreSQL": pids["PostgreSQL"]}
        floor = _scenarios(url, "/tasks", users, everything, options, ours=False)
    return Report(ours, floor, live, memory, copy.ready_seconds)


def _scenarios(
    url: str, path: str, users: list[User], pids: Mapping[str, int], options: argparse.Namespace, *, ours: bool
) -> dict[str, Result]:
    """Read and create, in that order."""

    def line(user: User, method: str, target: str, body: str) -> str:
        name, value = ("Authorization", f"Bearer {user.token}") if ours else ("X-User", user.id)
        return f"{method}\t{target}\t{name}\t{value}\t{body}"

    loads = {
        "read a task": [line(user, "GET", f"{path}/{user.task}", "") for user in users],
        "create a task": [line(user, "POST", path, BODY) for user in users],
    }
    return {
        name: measure(url, lines, pids, seconds=options.seconds, connections=options.connections)
        for name, lines in loads.items()
    }


def _as_text(report: Report, options: argparse.Namespace) -> str:
    lines = [
        f"{utcnow():%Y-%m-%d %H:%M} UTC, commit {commit()}, {platform.machine()}, Python {platform.python_version()}",
        f"wrk here, {options.connections} connections, {options.seconds} s a scenario, {options.users} users",
        "",
        f"{'':24}{'requests/s':>12}{'of floor':>10}{'p50 ms':>9}{'p99 ms':>9}{'errors':>8}   CPU us a request",
    ]
    for name, ours in report.ours.items():
        floor = report.floor[name]
        lines.append(_row(name, ours, ours.rate / floor.rate))
        lines.append(_row(f"{name}, floor", floor, 1.0))
    live, total = report.live, sum(report.memory.values())
    parts = ", ".join(f"{name} {size:.0f}" for name, size in sorted(report.memory.items(), key=lambda one: -one[1]))
    lines += [
        "",
        f"write to frame, idle: p50 {live.p50:.1f}, p99 {live.p99:.1f}, worst {live.worst:.1f} ms of {options.writes}",
        f"ready after {report.ready_seconds:.1f} s; memory after the start {total:.0f} MiB (PSS): {parts}",
        "",
    ]
    return "\n".join(lines)


def _row(name: str, result: Result, share: float) -> str:
    cpu = ", ".join(f"{process} {spent:.0f}" for process, spent in result.cpu.items() if spent >= 1)
    figures = f"{result.rate:>12.0f}{share:>10.2f}{result.p50:>9.1f}{result.p99:>9.1f}{result.errors:>8}"
    return f"{name:24}{figures}   {cpu}"


def commit() -> str:
    """Return the short id of the commit that is measured."""
    command = ["git", "rev-parse", "--short", "HEAD"]
    return subprocess.run(command, capture_output=True, text=True, check=True, cwd=RESULTS.parent).stdout.strip()


if __name__ == "__main__":
    sys.exit(main())
