"""The load on sockets: clients in a process of their own, steady writes, and what came of them."""

import asyncio
import json
import subprocess
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2
from measure import cpu_seconds

SCRIPT = Path(__file__).with_name("socket_readers.py")
AT_ONCE = 40


@dataclass(frozen=True)
class Target:
    """Where sockets go to, and how many."""

    host: str
    port: int
    path: str
    token: str
    count: int


@dataclass(frozen=True)
class Write:
    """A change that is delivered to `readers` sockets."""

    url: str
    body: Mapping[str, str]
    token: str
    readers: int


@dataclass(frozen=True)
class Written:
    """When it was asked for and answered, by the clock that all processes share, and whether it was done."""

    sent: float
    answered: float
    is_done: bool


@dataclass(frozen=True)
class Deliveries:
    """What came of writes: milliseconds from the request, and from its answer, to the frame at a client."""

    refused: int
    """Writes; nothing is expected of them."""
    expected: int
    delivered: int
    twice: int
    bytes_each: float
    after_request: Sequence[float]
    after_answer: Sequence[float]


class Clients:
    """Clients in a process of their own."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        self._process = process

    def connect(self, targets: Sequence[Target]) -> tuple[float, int, dict[str, int]]:
        """Connect them all; return the seconds that took, how many failed, and what was refused first."""
        order = {"targets": [vars(one) for one in targets], "at_once": AT_ONCE}
        told = self._ask(json.dumps(order))
        return told["seconds"], told["failed"], told["refused"]

    def closed(self) -> tuple[dict[str, int], float]:
        """Return how many were closed, by code, and when the last one was."""
        told = self._ask("closed?")
        return told["closed"], told["closed_at"]

    def stop(self) -> dict[str, Any]:
        """End them, and return all that came."""
        return self._ask("stop")

    def cpu(self) -> float:
        """Return the CPU seconds up to now."""
        return cpu_seconds(self._process.pid)

    def _ask(self, line: str) -> dict[str, Any]:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(line + "\n")
        self._process.stdin.flush()
        answer: dict[str, Any] = json.loads(self._process.stdout.readline())
        return answer


@contextmanager
def running_clients() -> Iterator[Clients]:
    """Run a process of clients."""
    command = [sys.executable, str(SCRIPT)]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        yield Clients(process)
    finally:
        process.kill()
        process.wait(10)


async def write_steadily(writes: Sequence[Write], *, a_second: float) -> list[Written]:
    """Send the writes, each at its time, however long the one before takes."""
    loop = asyncio.get_running_loop()
    async with httpx2.AsyncClient(timeout=30, trust_env=False) as client:

        async def send(write: Write, at: float) -> Written:
            await asyncio.sleep(at - loop.time())
            sent = time.monotonic()
            headers = {"authorization": f"Bearer {write.token}"}
            answer = await client.post(write.url, json=write.body, headers=headers)
            return Written(sent, time.monotonic(), answer.is_success)

        begin = loop.time() + 0.5
        return await asyncio.gather(*(send(one, begin + place / a_second) for place, one in enumerate(writes)))


def deliveries(writes: Sequence[Write], written: Sequence[Written], came: Mapping[str, Any]) -> Deliveries:
    """Compare what came with what was written; `came` is what Clients.stop returns."""
    by_number: defaultdict[int, list[float]] = defaultdict(list)
    done = {number: writes[number] for number, one in enumerate(written) if one.is_done}
    for number, at in came["arrivals"]:
        by_number[number].append(at)
    counts = Counter({number: len(times) for number, times in by_number.items()})
    times = [(written[number], at) for number, arrived in by_number.items() for at in arrived]
    return Deliveries(
        refused=len(writes) - len(done),
        expected=sum(one.readers for one in done.values()),
        delivered=sum(min(counts[number], one.readers) for number, one in done.items()),
        twice=sum(max(0, counts[number] - one.readers) for number, one in done.items()),
        bytes_each=came["bytes"] / max(1, len(times)),
        after_request=sorted((at - one.sent) * 1000 for one, at in times),
        after_answer=sorted((at - one.answered) * 1000 for one, at in times),
    )


def share(ordered: Sequence[float], part: float) -> float:
    """Return what this part of the sorted values is at most."""
    return ordered[min(len(ordered) - 1, int(part * len(ordered)))] if ordered else float("nan")
