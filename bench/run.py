"""Measures reads, lists and writes beside the bare floor, the naive build and plain proxies; live delivery; memory.

make bench                                                       # one table, and a file in bench/results
make bench ARGS="--only read --seconds 5 --users 100 --tasks 20000 --no-naive"    # while working on one thing

The exit code is 1 when a bar was missed, which the table says.
"""

import argparse
import asyncio
import os
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from beside import CADDY, ENVOY, FLOOR, NAIVE, TELLING, Served, running_beside
from chassis.clock import utcnow
from live import Delays, delays_of
from measure import Result, measure, require_wrk, settle
from people import Person, make_people, make_teams
from report import OURS, PROCESSES, Report, as_text, bars
from scenarios import NAMES, Sender, by_token, requests_of
from stack import LIMITS, UNLIMITED, Copy, running_copy
from stock import Stock, make_tasks, vacuum

RESULTS = Path(__file__).with_name("results")
ALONE = {CADDY: "read", ENVOY: "read", TELLING: "create"}
"""What is measured by one scenario alone."""
GOES_ON = ("tasks-background", "notifications", "notifications-background", "attachments-background", "PostgreSQL")
"""Who works on a write after its answer."""
WRITING = ("create", "mixed")
TOLD = (OURS, TELLING)
"""Whose writes are told."""
USERS, TASKS = 1200, 200_000
"""The sizes whose results are kept."""
TURNS = 2
"""There and back: a machine that becomes slower or faster meanwhile does so for all that are compared."""
LIMIT = 100
OF_ONE = 50
"""Writes of one person, of whom no more than a hundred requests a minute are served."""


def main() -> int:
    """Run it all; return the exit code."""
    options = _options()
    require_wrk()
    options.load_before, measured = os.getloadavg()[0], commit()
    settings = {LIMITS[0]: str(options.limit), **dict.fromkeys(LIMITS[1:], UNLIMITED)}
    with running_copy(settings) as copy:
        report = _measure_all(copy, options)
    text = as_text(report, options, measured)
    print(text)
    if not options.only and (options.users, options.tasks) == (USERS, TASKS):
        RESULTS.mkdir(exist_ok=True)
        (RESULTS / f"{utcnow():%Y-%m-%d}-{measured}.txt").write_text(text, encoding="utf-8")
    missed = [bar.what for bar in bars(report) if not bar.is_met]
    print(f"{len(missed)} of {len(bars(report))} bars are missed." if missed else "All bars are met.")
    return 1 if missed else 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Measures Taskloom beside the bare floor.")
    parser.add_argument("--only", action="append", choices=NAMES, help="a scenario; again for more")
    parser.add_argument("--seconds", type=int, default=10, help="length of each turn of a scenario")
    parser.add_argument("--turns", type=int, default=TURNS, help="how often each scenario is measured")
    parser.add_argument("--connections", type=int, default=32, help="connections of the load")
    parser.add_argument("--users", type=int, default=USERS, help="users who share the load")
    parser.add_argument("--tasks", type=int, default=TASKS, help="tasks that there are before")
    parser.add_argument("--limit", type=int, default=LIMIT, help="requests a minute of a user")
    parser.add_argument("--writes", type=int, default=300, help="writes whose frames are waited for; 0 for none")
    parser.add_argument("--no-floor", action="store_true", help="without the bare floor beside it")
    parser.add_argument("--no-naive", action="store_true", help="without the naive build beside it")
    parser.add_argument("--no-proxies", action="store_true", help="without Caddy and Envoy in the gateway's place")
    return parser.parse_args()


def _measure_all(copy: Copy, options: argparse.Namespace) -> Report:
    report = Report(ready_seconds=copy.ready_seconds, memory={"after the start": copy.memory()})
    people = _step("people", lambda: asyncio.run(make_people(copy, options.users)))
    _step("teams", lambda: asyncio.run(make_teams(copy, people)))
    stock = _step("tasks", lambda: asyncio.run(make_tasks(copy, options.tasks)))
    stand_ins = _step("stand-ins", lambda: asyncio.run(make_people(copy, options.users, after=options.users)))
    settle(copy.pids())
    if options.writes:
        report.live = asyncio.run(_live(copy, people, options.writes))
    with running_beside(copy, _wanted(options)) as beside:
        for name in options.only or NAMES:
            asyncio.run(vacuum(copy))
            lines = Lines(name, people, stand_ins, stock)
            report.results[name] = _scenario(name, copy, beside, lines, options)
    report.memory["after the load"] = copy.memory()
    return report


@dataclass(frozen=True)
class Lines:
    """The requests of a scenario.

    What is made beside us is never sent, but by the floor that tells, though it has numbers in the log. In the log of
    one of our people that would be a gap, behind which nothing is told any more: so others make it, who have no other
    part in it.
    """

    name: str
    people: Sequence[Person]
    stand_ins: Sequence[Person]
    stock: Stock

    def of(self, by: str, sender: Sender) -> list[str]:
        """Return the requests that one of what is measured is sent."""
        return requests_of(self.name, self.people, self.stock, sender, self.people if by in TOLD else self.stand_ins)


T = TypeVar("T")


def _step(name: str, work: Callable[[], T]) -> T:
    """Do something that takes a while, and say so."""
    started = time.monotonic()
    made = work()
    print(f"made {name} in {time.monotonic() - started:.0f} s", file=sys.stderr, flush=True)
    return made


async def _live(copy: Copy, people: Sequence[Person], writes: int) -> Delays:
    """Measure live delivery; nobody writes more than the limit lets them."""
    delays: list[float] = []
    for person in people:
        if len(delays) < writes:
            delays += await delays_of(copy.api, person, writes=min(OF_ONE, writes - len(delays)))
    return Delays.of(delays)


def _wanted(options: argparse.Namespace) -> list[str]:
    floors, proxies = dict.fromkeys((FLOOR, TELLING), options.no_floor), (CADDY, ENVOY)
    names = {**floors, NAIVE: options.no_naive, **dict.fromkeys(proxies, options.no_proxies)}
    return [name for name, is_left_out in names.items() if not is_left_out]


def _scenario(
    name: str,
    copy: Copy,
    beside: Mapping[str, Served],
    lines: Lines,
    options: argparse.Namespace,
) -> dict[str, Result]:
    """Measure ours and what is beside it, by turns and every second time backwards."""
    served = {OURS: Served(copy.api, copy.pids(), lambda: by_token)}
    served |= {by: one for by, one in beside.items() if name == ALONE.get(by, name)}
    found: dict[str, list[Result]] = {by: [] for by in served}
    for turn in range(options.turns):
        for by in served if turn % 2 == 0 else reversed(served):
            one, drains = served[by], GOES_ON if by in TOLD and name in WRITING else ()
            found[by].append(_turn(one, lines.of(by, one.sender()), drains, options))
    return {by: Result.of_turns(turns) for by, turns in found.items()}


def _turn(one: Served, lines: Sequence[str], drains: Sequence[str], options: argparse.Namespace) -> Result:
    pids = {process: pid for process, pid in one.pids.items() if process in PROCESSES}
    return measure(one.url, lines, pids, drains=drains, seconds=options.seconds, connections=options.connections)


def commit() -> str:
    """Return the short id of the commit that is measured."""
    command = ["git", "rev-parse", "--short", "HEAD"]
    return subprocess.run(command, capture_output=True, text=True, check=True, cwd=RESULTS.parent).stdout.strip()


if __name__ == "__main__":
    sys.exit(main())
