"""One table of a run, the bars, and whether each is met."""

import argparse
import platform
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import psutil
from beside import CADDY, FLOOR
from chassis.clock import utcnow
from live import Delays
from measure import PATIENCE_SECONDS, Result

SHORT = {
    "gateway": "gateway",
    "tasks": "tasks",
    "tasks-background": "tasks-bg",
    "notifications": "notif",
    "notifications-background": "notif-bg",
    "attachments-background": "attach-bg",
    "PostgreSQL": "PostgreSQL",
    "Valkey": "Valkey",
}
PROCESSES = tuple(SHORT)
"""Whose time and memory is told, and what they are called in the table."""
OURS = "Taskloom"
OF_FLOOR = 0.7
RATES = {"read": 2000, "list": 1200, "create": 700, "mixed": 1300}
P95 = {"read": 40, "list": 60, "create": 80, "mixed": 60}
READ_CPU = 650
OF_CADDY = 2.0
LIVE_P99 = 100
TITLES = {
    "read": "read a task by its id",
    "list": "list 20 tasks by status",
    "create": "create a task",
    "mixed": "mixed 80/15/5",
}


@dataclass
class Report:
    """Everything that one run found: results by scenario and by who served it."""

    results: dict[str, dict[str, Result]] = field(default_factory=dict)
    memory: dict[str, Mapping[str, float]] = field(default_factory=dict)
    live: Delays | None = None
    ready_seconds: float = 0.0


@dataclass(frozen=True)
class Bar:
    """What was wanted of a figure, and what it is."""

    what: str
    wanted: str
    found: str
    is_met: bool


def as_text(report: Report, options: argparse.Namespace, commit: str) -> str:
    """Return what is printed and kept."""
    lines = [
        *head(options, commit, options.turns),
        "",
        *_table(report),
        "",
        *_around(report, options),
        "",
        *shown(bars(report)),
        "",
    ]
    return "\n".join(lines)


def head(options: argparse.Namespace, commit: str, turns: int = 1) -> Iterator[str]:
    """Yield what was measured where."""
    yield (
        f"{utcnow():%Y-%m-%d %H:%M} UTC, commit {commit}, Python {platform.python_version()}, "
        f"{psutil.cpu_count()} cores of {_model()}, {psutil.virtual_memory().total / 2**30:.0f} GiB; "
        f"load average before {options.load_before:.1f}"
    )
    yield (
        f"{options.users:,} users, {options.tasks:,} tasks; wrk here, {options.connections} connections, "
        f"{turns} x {options.seconds} s each; limit of {options.limit} requests a minute of a user; "
        "CPU in microseconds a request"
    )


def _model() -> str:
    for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()


def _table(report: Report) -> Iterator[str]:
    yield head_of_table()
    for scenario, results in report.results.items():
        floor = results.get(FLOOR)
        for by, result in results.items():
            yield row(f"{TITLES[scenario]}, {by}", result, floor)
    for when, sizes in report.memory.items():
        cells = [f"{sizes.get(name, 0):.0f}" for name in PROCESSES]
        yield _line(f"MiB {when} (PSS)", [""] * 6, cells, f"{sum(sizes.values()):.0f}", "", "")


def head_of_table() -> str:
    """Return the line above rows."""
    figures = ("requests/s", "of floor", "p50 ms", "p95 ms", "p99 ms", "errors")
    return _line("", figures, list(SHORT.values()), "all", "of floor", "done after")


def row(name: str, result: Result, floor: Result | None = None) -> str:
    """Return a line of the table."""
    share, of_cpu = ("", "")
    if floor is not None:
        share, of_cpu = _part(result.rate, floor.rate), _part(cpu_of(floor), cpu_of(result))
    times = (f"{result.p50:.1f}", f"{result.p95:.1f}", f"{result.p99:.1f}", f"{result.errors}")
    cells = [f"{result.cpu[one]:.0f}" if one in result.cpu else "" for one in PROCESSES]
    drained = f"{result.drained:.0f} s" if result.drained >= 1 else ""
    if result.drained >= PATIENCE_SECONDS:
        drained = f"> {drained}"
    return _line(name, (f"{result.rate:.0f}", share, *times), cells, f"{cpu_of(result):.0f}", of_cpu, drained)


def _line(name: str, figures: Sequence[str], processes: Sequence[str], whole: str, of_floor: str, drained: str) -> str:
    start = f"{name:34}" + "".join(f"{cell:>11}" for cell in figures) + " |"
    return (start + "".join(f"{cell:>11}" for cell in processes) + f"{whole:>8}{of_floor:>10}{drained:>12}").rstrip()


def _part(number: float, whole: float) -> str:
    return f"{number / whole:.2f}" if whole else "-"


def cpu_of(result: Result) -> float:
    """Return the CPU microseconds of a request over all processes."""
    return sum(result.cpu.values())


def _around(report: Report, options: argparse.Namespace) -> Iterator[str]:
    yield (
        "CPU counts all that a request sets going, also after its answer; 'of floor' of CPU is the floor's to that, "
        "'done after' when the last of it was done."
    )
    if report.live is not None:
        live = report.live
        yield (
            f"write to frame, idle: p50 {live.p50:.1f}, p99 {live.p99:.1f}, worst {live.worst:.1f} ms of "
            f"{options.writes}"
        )
    yield f"ready after {report.ready_seconds:.1f} s"
    for scenario, results in report.results.items():
        for by, result in results.items():
            if result.errors:
                failed = f"{result.refused} refused, {result.unanswered} without an answer in time"
                yield f"{TITLES[scenario]}, {by}: {failed}"


def shown(found: Sequence[Bar]) -> Iterator[str]:
    """Yield the lines of bars."""
    yield f"{'bar':54}{'wanted':>14}{'found':>14}"
    for bar in found:
        yield f"{bar.what:54}{bar.wanted:>14}{bar.found:>14}   {'met' if bar.is_met else 'MISSED'}"


def bars(report: Report) -> list[Bar]:
    """Return the bars that this run can tell of."""
    found = [bar for scenario, results in report.results.items() for bar in _of_scenario(scenario, results)]
    if report.live is not None:
        found.append(_most("write to live delivery, idle, p99", LIVE_P99, report.live.p99, "ms"))
    return found


def _of_scenario(scenario: str, results: Mapping[str, Result]) -> Iterator[Bar]:
    ours, floor, title = results[OURS], results.get(FLOOR), TITLES[scenario]
    if floor is not None:
        yield _least(f"{title}: of the floor's rate", OF_FLOOR, ours.rate / max(floor.rate, 1), "")
    yield _least(f"{title}: rate", RATES[scenario], ours.rate, "/s")
    yield _most(f"{title}: p95", P95[scenario], ours.p95, "ms")
    if scenario == "read":
        spent = ours.cpu["gateway"] + ours.cpu["tasks"]
        yield _most(f"{title}: CPU of gateway and service", READ_CPU, spent, "us")
    if CADDY in results:
        yield _most("gateway: CPU, of Caddy's", OF_CADDY, ours.cpu["gateway"] / results[CADDY].cpu["gateway"], "")
    yield Bar(f"{title}: errors", "0", f"{ours.errors}", ours.errors == 0)


def _least(what: str, wanted: float, found: float, unit: str) -> Bar:
    return Bar(what, f">= {wanted:g} {unit}".rstrip(), _figure(found, unit), found >= wanted)


def _most(what: str, wanted: float, found: float, unit: str) -> Bar:
    return Bar(what, f"<= {wanted:g} {unit}".rstrip(), _figure(found, unit), found <= wanted)


def _figure(number: float, unit: str) -> str:
    return f"{number:.2f} {unit}".rstrip() if number < 10 else f"{number:.0f} {unit}".rstrip()
