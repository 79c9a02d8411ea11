"""One scenario: a load from wrk, and what it cost each process."""

import re
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil
from taskloom_cli.ports import HOST

SCRIPT = Path(__file__).with_name("load.lua")
MILLISECONDS = {"us": 0.001, "ms": 1.0, "s": 1000.0}


@dataclass(frozen=True)
class Result:
    """Requests a second, latencies in milliseconds, refused and failed ones, CPU microseconds a request by process."""

    rate: float
    p50: float
    p99: float
    errors: int
    cpu: Mapping[str, float]


def require_wrk() -> None:
    """Raise SystemExit where wrk is missing."""
    if shutil.which("wrk") is None:
        raise SystemExit("The load comes from wrk, which is not installed: apt-get install wrk")


def listens(port: int) -> bool:
    """Tell whether somebody takes connections at a port of this machine."""
    with socket.socket() as probe:
        return probe.connect_ex((HOST, port)) == 0


def measure(url: str, lines: Sequence[str], pids: Mapping[str, int], *, seconds: int, connections: int) -> Result:
    """Send the requests again and again, and count. `pids` are the processes whose time is told."""
    with tempfile.NamedTemporaryFile("w", suffix=".tsv") as file:
        file.write("".join(f"{line}\n" for line in lines))
        file.flush()
        _wrk(url, file.name, seconds=2, connections=connections)
        before = {name: cpu_seconds(pid) for name, pid in pids.items()}
        said = _wrk(url, file.name, seconds=seconds, connections=connections)
    requests = int(_found(r"(\d+) requests in", said))
    spent = {name: (cpu_seconds(pid) - before[name]) / requests * 1e6 for name, pid in pids.items()}
    refused = re.search(r"Non-2xx or 3xx responses: (\d+)", said)
    failed = re.search(r"connect (\d+), read (\d+), write (\d+), timeout (\d+)", said)
    errors = (int(refused.group(1)) if refused else 0) + (sum(map(int, failed.groups())) if failed else 0)
    rate = float(_found(r"Requests/sec:\s+([\d.]+)", said))
    return Result(rate, _latency("50%", said), _latency("99%", said), errors, spent)


def _wrk(url: str, requests: str, *, seconds: int, connections: int) -> str:
    command = ["wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "--latency", "-s", str(SCRIPT), url, "--", requests]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def cpu_seconds(pid: int) -> float:
    """Return the time of a process and of those that it started."""
    first = psutil.Process(pid)
    times = [one.cpu_times() for one in (first, *first.children(recursive=True))]
    return sum(one.user + one.system for one in times)


def _latency(share: str, said: str) -> float:
    number, unit = re.search(rf"{share}\s+([\d.]+)(us|ms|s)", said).groups()  # type: ignore[union-attr] # wrk prints it
    return float(number) * MILLISECONDS[unit]


def _found(pattern: str, said: str) -> str:
    match = re.search(pattern, said)
    if match is None:
        raise SystemExit(f"wrk said something else than expected:\n{said}")
    return match.group(1)
