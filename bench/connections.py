"""Ten thousand connections that are kept open at the gateway while it serves the mixed load.

make bench-connections
make bench-connections ARGS="--count 2000 --users 100 --tasks 5000"      # nothing is kept

The mixed load comes from wrk, first alone, then beside the connections, which ask for the status of the system often
enough not to be closed for doing nothing. The exit code is 1 when a request failed or a connection was lost.
"""

import argparse
import asyncio
import json
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psutil
from chassis.clock import utcnow
from measure import Result, measure, require_wrk, settle
from people import make_people, make_teams
from report import PROCESSES, Bar, head, head_of_table, row, shown
from run import GOES_ON, RESULTS, commit
from scenarios import by_token, requests_of
from stack import NO_LIMITS, Copy, running_copy
from stock import make_tasks

SCRIPT = Path(__file__).with_name("connection_holders.py")
PATH = "/api/v1/status"
"""Public, and answered by the gateway itself."""
COUNT = 10_000
HOLDERS = 2
"""Processes of clients: one may open twenty thousand files."""
MORE = 500
"""Connections beyond those that are kept: of the load, and of who looks in."""


@dataclass(frozen=True)
class Held:
    """What came of the connections that were kept."""

    open: int
    closed: int
    given_up: int
    """Connections whose request had no answer when the next one was due."""
    statuses: Counter[str]
    delays: Sequence[float]
    seconds: float

    @property
    def failed(self) -> int:
        """How many requests were answered by anything else than 200."""
        return sum(number for status, number in self.statuses.items() if status != "200")


class Holders:
    """Clients in processes of their own."""

    def __init__(self, processes: Sequence["subprocess.Popen[str]"]) -> None:
        self._processes = processes

    def open(self, url: str, count: int, every: float) -> Held:
        """Open so many connections, each of which asks after so many seconds again; return when all are there."""
        where, part = urlsplit(url), count // len(self._processes)
        order = {"host": where.hostname, "port": where.port, "path": PATH, "count": part, "every": every}
        return self._ask(json.dumps(order))

    def look(self) -> Held:
        """Return what came of them up to now, with the delays since the last look."""
        return self._ask("look")

    def _ask(self, line: str) -> Held:
        for process in self._processes:
            assert process.stdin is not None
            process.stdin.write(line + "\n")
            process.stdin.flush()
        told = [_told(process) for process in self._processes]
        return Held(
            open=sum(one["open"] for one in told),
            closed=sum(one["closed"] for one in told),
            given_up=sum(one["given_up"] for one in told),
            statuses=sum((Counter(one["statuses"]) for one in told), Counter[str]()),
            delays=sorted(delay * 1000 for one in told for delay in one["delays"]),
            seconds=max(one["seconds"] for one in told),
        )


def _told(process: "subprocess.Popen[str]") -> dict[str, Any]:
    assert process.stdout is not None
    found: dict[str, Any] = json.loads(process.stdout.readline())
    return found


@dataclass(frozen=True)
class Found:
    """What a run found."""

    alone: Result
    beside: Result
    opened: Held
    held: Held
    bytes_each: float


def main() -> int:
    """Run it all; return the exit code."""
    options = _options()
    require_wrk()
    options.load_before, measured = os.getloadavg()[0], commit()
    most = str(options.count + MORE)
    settings = {
        **NO_LIMITS,
        "GATEWAY_RATE_LIMIT_PER_MINUTE": str(options.limit),
        "GATEWAY_MAX_CONNECTIONS": most,
        "GATEWAY_MAX_CONNECTIONS_PER_ADDRESS": most,
    }
    with running_copy(settings) as copy:
        found = _measure(copy, options)
    bars = _bars(found, options)
    text = "\n".join([*head(options, measured), "", *_lines(found, options), "", *shown(bars), ""])
    print(text)
    if options.count == COUNT:
        (RESULTS / f"{utcnow():%Y-%m-%d}-connections-{measured}.txt").write_text(text, encoding="utf-8")
    return 0 if all(bar.is_met for bar in bars) else 1


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Measures the gateway with many connections.")
    parser.add_argument("--count", type=int, default=COUNT, help="connections that are kept open")
    parser.add_argument(
        "--every", type=float, default=12, help="seconds between two requests of a connection, below 15"
    )
    parser.add_argument("--seconds", type=int, default=20, help="length of the load, each time")
    parser.add_argument("--connections", type=int, default=32, help="connections of the load")
    parser.add_argument("--users", type=int, default=1200, help="users who share the load")
    parser.add_argument("--tasks", type=int, default=50_000, help="tasks that there are before")
    parser.add_argument("--limit", type=int, default=100, help="requests a minute of a user")
    return parser.parse_args()


def _measure(copy: Copy, options: argparse.Namespace) -> Found:
    people = asyncio.run(make_people(copy, options.users))
    asyncio.run(make_teams(copy, people))
    stock = asyncio.run(make_tasks(copy, options.tasks))
    lines = requests_of("mixed", people, stock, by_token)
    pids = {name: pid for name, pid in copy.pids().items() if name in PROCESSES}

    def load(drains: Sequence[str]) -> Result:
        seconds, connections = options.seconds, options.connections
        return measure(copy.api, lines, pids, seconds=seconds, connections=connections, drains=drains)

    settle(copy.pids())
    alone = load(GOES_ON)
    before = _memory(pids["gateway"])
    with _running_holders() as holders:
        opened = holders.open(copy.api, options.count, options.every)
        bytes_each = (_memory(pids["gateway"]) - before) / options.count
        beside = load(())
        held = holders.look()
    return Found(alone, beside, opened, held, bytes_each)


def _memory(pid: int) -> int:
    return int(psutil.Process(pid).memory_full_info().pss)


@contextmanager
def _running_holders() -> Iterator[Holders]:
    with ExitStack() as stack:
        processes = []
        for _ in range(HOLDERS):
            command = [sys.executable, str(SCRIPT)]
            process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
            stack.callback(process.wait, 10)
            stack.callback(process.kill)
            processes.append(process)
        yield Holders(processes)


def _lines(found: Found, options: argparse.Namespace) -> Iterator[str]:
    opened, held = found.opened, found.held
    yield head_of_table()
    yield row("mixed 80/15/5, alone", found.alone)
    yield row("mixed 80/15/5, beside them", found.beside)
    yield ""
    yield f"connections: {opened.open:,} open after {opened.seconds:.1f} s, {held.open:,} at the end"
    yield f"memory of the gateway: {found.bytes_each / 1024:.1f} KiB a connection (PSS)"
    yield (
        f"their own requests, one each {options.every:g} s: {sum(held.statuses.values()):,} answered, "
        f"p50 {_share(held.delays, 0.5):.1f}, p95 {_share(held.delays, 0.95):.1f}, "
        f"p99 {_share(held.delays, 0.99):.1f} ms beside the load"
    )


def _share(ordered: Sequence[float], part: float) -> float:
    return ordered[min(len(ordered) - 1, int(part * len(ordered)))] if ordered else float("nan")


def _bars(found: Found, options: argparse.Namespace) -> list[Bar]:
    held = found.held
    nothing = {
        "connections that the gateway closed": held.closed,
        f"without an answer within {options.every:g} s": held.given_up,
        "their requests refused": held.failed,
        "errors of the load beside them": found.beside.errors,
    }
    return [
        Bar("connections open at the end", f"{options.count:,}", f"{held.open:,}", held.open >= options.count),
        *(Bar(what, "0", f"{number}", number == 0) for what, number in nothing.items()),
    ]


if __name__ == "__main__":
    sys.exit(main())
