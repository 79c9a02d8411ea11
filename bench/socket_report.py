"""The table of a run of sockets.py, and what it misses."""

import argparse
import platform
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from chassis.clock import utcnow
from live import Delays
from socket_load import Deliveries, share

CONNECT_SECONDS = 30.0
KILOBYTES = 60.0
P99 = 250.0
IDLE_P99 = 100.0
REVOKED_SECONDS = 2.0


@dataclass(frozen=True)
class Phase:
    """What one side found: memory by process in bytes a socket, CPU by process in microseconds a delivery."""

    sockets: int
    connect_seconds: float
    failed: int
    refused: Mapping[str, int]
    opening_cpu: Mapping[str, float]
    """Microseconds of CPU to open a socket."""
    memory: Mapping[str, float]
    idle_cpu: Mapping[str, float]
    """Seconds of CPU a second while nothing is delivered and all are asked for a sign of life."""
    cpu: Mapping[str, float]
    deliveries: Deliveries


@dataclass(frozen=True)
class Report:
    """Everything that one run found."""

    idle: Delays
    ours: Phase
    floor: Phase
    revoked: tuple[int, float]
    """How many sockets the end of a session closed, and seconds until the last of them."""


def misses(report: Report) -> list[str]:
    """Return the bars that were missed."""
    ours = report.ours
    found = ours.deliveries
    is_exact = found.delivered == found.expected and not found.twice and not found.refused
    checks = {
        f"all connected within {CONNECT_SECONDS:.0f} s": not ours.failed and ours.connect_seconds < CONNECT_SECONDS,
        f"{KILOBYTES:.0f} KB a socket": sum(ours.memory.values()) / 1000 <= KILOBYTES,
        f"delivery p99 {P99:.0f} ms": share(found.after_request, 0.99) < P99,
        f"idle p99 {IDLE_P99:.0f} ms": report.idle.p99 < IDLE_P99,
        "each write done, each delivery once": is_exact,
        f"ended within {REVOKED_SECONDS:.0f} s": report.revoked[0] > 0 and report.revoked[1] <= REVOKED_SECONDS,
    }
    return [name for name, holds in checks.items() if not holds]


def as_text(report: Report, options: argparse.Namespace, commit: str) -> str:
    """Return the table."""
    (closed, after), idle = report.revoked, report.idle
    missed = misses(report)
    lines = [
        f"{utcnow():%Y-%m-%d %H:%M} UTC, commit {commit}, {platform.machine()}, Python {platform.python_version()}",
        f"{options.users} users with 20 sockets each, two gateways, two processes behind them",
        f"{options.rate:g} writes a second for {options.seconds} s, each to 100 sockets; clients on the same machine",
        "",
        *_side("Taskloom", report.ours),
        f"  write to frame, idle: p50 {idle.p50:.1f}, p99 {idle.p99:.1f}, worst {idle.worst:.1f} ms",
        f"  end of a session: {closed} sockets closed within {after:.2f} s",
        "",
        *_side("Bare uvicorn, one process", report.floor),
        "",
        "Bars missed: " + (", ".join(missed) if missed else "none"),
        "",
    ]
    return "\n".join(lines)


def _side(name: str, phase: Phase) -> Iterator[str]:
    found = phase.deliveries
    yield name
    yield (
        f"  connected: {phase.sockets - phase.failed:,} of {phase.sockets:,} in {phase.connect_seconds:.1f} s"
        + (f", refused {dict(phase.refused)}" if phase.refused else "")
    )
    yield f"  CPU to open one: {_parts(phase.opening_cpu, 1, 'us')}"
    yield f"  memory a socket: {_parts(phase.memory, 1000, 'KB')}"
    yield f"  CPU at rest: {_parts(phase.idle_cpu, 0.01, '%')}"
    of_all = f"{found.delivered:,} of {found.expected:,}, twice {found.twice}"
    yield f"  writes refused: {found.refused}; deliveries: {of_all}, {found.bytes_each:.0f} bytes each"
    for what, times in (("request", found.after_request), ("answer", found.after_answer)):
        p50, p99 = share(times, 0.5), share(times, 0.99)
        worst = times[-1] if times else float("nan")
        yield f"  from the {what} to the frame: p50 {p50:.1f}, p99 {p99:.1f}, worst {worst:.1f} ms"
    yield f"  CPU a delivery: {_parts(phase.cpu, 1, 'us')}"


def _parts(values: Mapping[str, float], unit: float, name: str) -> str:
    parts = ", ".join(f"{one} {value / unit:.1f}" for one, value in values.items())
    return f"{sum(values.values()) / unit:.1f} {name} ({parts})"
