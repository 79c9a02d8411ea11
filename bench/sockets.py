"""Ten thousand WebSockets through two gateways: the time to connect, memory, and delivery under load.

make bench-sockets
make bench-sockets ARGS="--users 100 --seconds 10"      # two thousand sockets

Real people in real workspaces, twenty sockets each; what is delivered are tasks that are made through the API. Beside
it, in the same run, as many sockets to a bare uvicorn that sends as many bytes. The exit code says whether a bar was
missed.
"""

import argparse
import asyncio
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import httpx2
import psutil
from chassis.clock import utcnow
from live import measure_live
from measure import cpu_seconds, listens
from run import RESULTS, commit
from socket_load import Clients, Target, Write, Written, deliveries, running_clients, write_steadily
from socket_report import Phase, Report, as_text, misses
from socket_stack import Group, Stack, make_groups, running_stack
from taskloom_cli.ports import HOST, free_ports
from testkit.servers import wait_until

GROUP = 5
SOCKETS = 20
"""Of a user, which is the limit."""
REVOKED_SECONDS = 5.0
SETTLE_SECONDS = 2.0
UNAUTHORIZED = "4401"
CLIENTS = "clients"


def main() -> int:
    """Run it all; return the exit code."""
    parser = argparse.ArgumentParser(description="Measures ten thousand WebSockets.")
    parser.add_argument("--users", type=int, default=500, help="people, with twenty sockets each; a multiple of five")
    parser.add_argument("--seconds", type=int, default=60, help="how long is delivered")
    parser.add_argument("--rate", type=float, default=10, help="writes a second, each of which a hundred sockets get")
    parser.add_argument("--idle", type=int, default=20, help="seconds of doing nothing before")
    parser.add_argument("--writes", type=int, default=200, help="writes one by one on the idle system")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as logs, running_stack(Path(logs)) as stack:
        groups = make_groups(stack.copy, users=options.users, size=GROUP)
        idle = asyncio.run(measure_live(stack.copy.api, groups[0].members[0], writes=options.writes))
        ours, revoked = _measure_ours(stack, groups, options)
    report = Report(idle, ours, _measure_floor(options, round(ours.deliveries.bytes_each)), revoked)
    text = as_text(report, options, commit())
    print(text)
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / f"{utcnow():%Y-%m-%d}-sockets-{commit()}.txt").write_text(text, encoding="utf-8")
    return 1 if misses(report) else 0


def _measure_ours(
    stack: Stack, groups: Sequence[Group], options: argparse.Namespace
) -> tuple[Phase, tuple[int, float]]:
    targets = [
        _target(gateway, "/api/v1/ws", user.token, SOCKETS)
        for place, user in enumerate(user for group in groups for user in group.members)
        for gateway in (stack.gateways[place % len(stack.gateways)],)
    ]
    writes = [
        Write(
            url=f"{stack.gateways[number % len(stack.gateways)]}/api/v1/tasks",
            body={"title": f"bench {number}", "project_id": group.project},
            token=group.members[0].token,
            readers=SOCKETS * len(group.members),
        )
        for number in range(round(options.rate * options.seconds))
        for group in (groups[number % len(groups)],)
    ]
    _warm_up(targets[: 4 * len(stack.gateways)])
    revoked: list[tuple[int, float]] = []
    through = {name: pid for name, pid in stack.pids.items() if name.startswith(("gateway", "notifications"))}
    leaver = groups[-1].members[-1]

    def end_a_session(clients: Clients) -> None:
        revoked.append(_end_session(clients, stack.copy.api, leaver.token))

    phase = _measure(targets, writes, options, pids=stack.pids, through=through, at_end=end_a_session)
    return phase, revoked[0]


def _measure_floor(options: argparse.Namespace, size: int) -> Phase:
    with _running_floor() as (port, pid):
        users, readers = options.users, SOCKETS * GROUP
        targets = [Target(HOST, port, f"/{place // GROUP}", "floor", SOCKETS) for place in range(users)]
        writes = [
            Write(f"http://{HOST}:{port}/{number % (users // GROUP)}", _padded(number, size), "floor", readers)
            for number in range(round(options.rate * options.seconds))
        ]
        _warm_up(targets[:4])
        return _measure(targets, writes, options, pids={"floor": pid}, through={"floor": pid}, at_end=lambda _: None)


def _padded(number: int, size: int) -> dict[str, str]:
    body = {"title": f"bench {number}", "padding": ""}
    body["padding"] = "x" * (size - len(f'{{"title":"{body["title"]}","padding":""}}'))
    return body


def _measure(
    targets: Sequence[Target],
    writes: Sequence[Write],
    options: argparse.Namespace,
    *,
    pids: Mapping[str, int],
    through: Mapping[str, int],
    at_end: Callable[[Clients], None],
) -> Phase:
    """Connect, do nothing for a while, and write; `through` are the processes that sockets go through."""
    sockets = sum(one.count for one in targets)
    with running_clients() as clients:
        before, connected = _memory(through), []
        opening = _cpu_while(pids, clients, lambda: connected.append(clients.connect(targets)))
        seconds, failed, refused = connected[0]
        grown = {name: (size - before[name]) / sockets for name, size in _memory(through).items()}
        idle = _cpu_while(pids, clients, lambda: time.sleep(options.idle))
        written: list[Written] = []
        busy = _cpu_while(pids, clients, lambda: written.extend(_write(writes, options.rate)))
        at_end(clients)
        found = deliveries(writes, written, clients.stop())
    per_delivery = {name: spent / max(1, found.delivered) * 1e6 for name, spent in busy.items()}
    resting = {name: spent / options.idle for name, spent in idle.items()}
    per_socket = {name: spent / sockets * 1e6 for name, spent in opening.items()}
    return Phase(sockets, seconds, failed, refused, per_socket, grown, resting, per_delivery, found)


def _write(writes: Sequence[Write], rate: float) -> list[Written]:
    written = asyncio.run(write_steadily(writes, a_second=rate))
    time.sleep(SETTLE_SECONDS)
    return written


def _warm_up(targets: Sequence[Target]) -> None:
    """Let every process have served some sockets: what that alone needs is not the memory of a socket."""
    with running_clients() as clients:
        clients.connect(targets)
        clients.stop()
    time.sleep(SETTLE_SECONDS)


def _end_session(clients: Clients, api: str, token: str) -> tuple[int, float]:
    """Log one user out; return how many sockets that closed, and how long after the answer the last of them was."""
    httpx2.post(f"{api}/api/v1/auth/logout", headers={"authorization": f"Bearer {token}"}, timeout=30)
    answered = time.monotonic()
    time.sleep(REVOKED_SECONDS)
    closed, at = clients.closed()
    return closed.get(UNAUTHORIZED, 0), at - answered


def _target(gateway: str, path: str, token: str, count: int) -> Target:
    where = urlsplit(gateway)
    return Target(where.hostname or HOST, where.port or 80, path, token, count)


def _memory(pids: Mapping[str, int]) -> dict[str, int]:
    """Return the bytes that are each process's alone, and its shares of what is shared (proc_pid_smaps)."""
    return {name: psutil.Process(pid).memory_full_info().pss for name, pid in pids.items()}


def _cpu_while(pids: Mapping[str, int], clients: Clients, work: Callable[[], None]) -> dict[str, float]:
    before = {**{name: cpu_seconds(pid) for name, pid in pids.items()}, CLIENTS: clients.cpu()}
    work()
    after = {**{name: cpu_seconds(pid) for name, pid in pids.items()}, CLIENTS: clients.cpu()}
    return {name: after[name] - before[name] for name in before}


@contextmanager
def _running_floor() -> Iterator[tuple[int, int]]:
    port = free_ports(1)[0]
    process = subprocess.Popen([sys.executable, str(Path(__file__).with_name("floor_sockets.py")), str(port)])
    try:
        wait_until(lambda: listens(port), what="the floor")
        yield port, process.pid
    finally:
        process.kill()
        process.wait(10)


if __name__ == "__main__":
    sys.exit(main())
