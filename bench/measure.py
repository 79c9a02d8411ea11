"""One scenario: a load from wrk, and what it cost each process."""

import json
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import mean, median
from typing import Any

import psutil
from taskloom_cli.ports import HOST

SCRIPT = Path(__file__).with_name("load.lua")
WARM_UP_SECONDS = 2
TIMEOUT_SECONDS = 10
"""An answer that takes longer counts as a failure."""
QUIET_SHARE = 0.03
"""Of one core, for each process: together they take less when they are done with what came in before."""
QUIET_SECONDS = 2.0
PATIENCE_SECONDS = 300.0


@dataclass(frozen=True)
class Result:
    """Requests a second, latencies in milliseconds, failures, CPU microseconds a request by process.

    `unanswered` are connections that failed, and answers that came too late. `drained` is how many seconds what the
    requests set going went on after the last of them.
    """

    rate: float
    p50: float
    p95: float
    p99: float
    refused: int
    unanswered: int
    cpu: Mapping[str, float]
    drained: float = 0.0

    @property
    def errors(self) -> int:
        """Whatever was not answered well."""
        return self.refused + self.unanswered

    @classmethod
    def of_turns(cls, turns: Sequence["Result"]) -> "Result":
        """Return one result of several turns: failures are added up, and of latencies it is the median."""
        rate = mean(turn.rate for turn in turns)
        cpu = {name: sum(turn.cpu[name] * turn.rate for turn in turns) / (rate * len(turns)) for name in turns[0].cpu}
        return cls(
            rate,
            median(turn.p50 for turn in turns),
            median(turn.p95 for turn in turns),
            median(turn.p99 for turn in turns),
            sum(turn.refused for turn in turns),
            sum(turn.unanswered for turn in turns),
            cpu,
            max(turn.drained for turn in turns),
        )


def require_wrk() -> None:
    """Raise SystemExit where wrk is missing."""
    if shutil.which("wrk") is None:
        raise SystemExit("The load comes from wrk, which is not installed: apt-get install wrk")


def listens(port: int) -> bool:
    """Tell whether somebody takes connections at a port of this machine."""
    with socket.socket() as probe:
        return probe.connect_ex((HOST, port)) == 0


def measure(
    url: str,
    lines: Sequence[str],
    pids: Mapping[str, int],
    *,
    seconds: int,
    connections: int,
    drains: Sequence[str] = (),
) -> Result:
    """Send the requests again and again, and count. `pids` are the processes whose time is told.

    Those that `drains` names go on after the answers: their time counts until they are done.
    """
    with tempfile.NamedTemporaryFile("w", suffix=".tsv") as file:
        file.write("".join(f"{line}\n" for line in lines))
        file.flush()
        _wrk(url, file.name, seconds=WARM_UP_SECONDS, connections=connections)
        working = {name: pids[name] for name in drains}
        settle(working)
        before = {name: cpu_seconds(pid) for name, pid in pids.items()}
        said = _wrk(url, file.name, seconds=seconds, connections=connections)
        drained = settle(working)
    # What answers nothing at all is told as that: no requests a second.
    answered = max(1, said["requests"])
    spent = {name: (cpu_seconds(pid) - before[name]) / answered * 1e6 for name, pid in pids.items()}
    rate = said["requests"] / said["microseconds"] * 1e6
    p50, p95, p99 = (said[name] / 1000 for name in ("p50", "p95", "p99"))
    return Result(rate, p50, p95, p99, said["refused"], said["unanswered"], spent, drained)


def settle(pids: Mapping[str, int]) -> float:
    """Wait until these processes do next to nothing, but five minutes at most; return how many seconds that took."""
    started = since = time.monotonic()
    while pids and since - started < PATIENCE_SECONDS:
        before = sum(map(cpu_seconds, pids.values()))
        time.sleep(QUIET_SECONDS)
        if sum(map(cpu_seconds, pids.values())) - before < QUIET_SHARE * QUIET_SECONDS * len(pids):
            break
        since = time.monotonic()
    return since - started


def _wrk(url: str, requests: str, *, seconds: int, connections: int) -> dict[str, Any]:
    command = [
        "wrk",
        "-t1",
        f"-c{connections}",
        f"-d{seconds}s",
        "--timeout",
        "10s",
        "-s",
        str(SCRIPT),
        url,
        "--",
        requests,
    ]
    said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    found: dict[str, Any] = json.loads(said.splitlines()[-1])
    return found


def cpu_seconds(pid: int) -> float:
    """Return the time of a process and of those that it started, also of those that have ended since."""
    first = psutil.Process(pid)
    return sum(_seconds_of(one) for one in (first, *first.children(recursive=True)))


def _seconds_of(process: psutil.Process) -> float:
    """Return the time of one process; what it waited for counts there, as PostgreSQL does for its servers."""
    try:
        times = process.cpu_times()
    except psutil.NoSuchProcess:
        return 0.0
    return times.user + times.system + times.children_user + times.children_system
