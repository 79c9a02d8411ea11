"""From a write to the frame on a WebSocket, with the system otherwise idle."""

import asyncio
import json
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import httpx2
import websockets


class Caller(Protocol):
    """Whoever has a token."""

    @property
    def token(self) -> str:
        """An access token."""


@dataclass(frozen=True)
class Delays:
    """Milliseconds from sending the request to the frame."""

    p50: float
    p99: float
    worst: float

    @classmethod
    def of(cls, delays: Sequence[float]) -> "Delays":
        """Return the same of many writes."""
        ordered = sorted(delays)
        return cls(statistics.median(ordered), ordered[int(len(ordered) * 0.99)], ordered[-1])


async def measure_live(api: str, user: Caller, *, writes: int) -> Delays:
    """Create tasks one after the other and wait for each frame."""
    return Delays.of(await delays_of(api, user, writes=writes))


async def delays_of(api: str, user: Caller, *, writes: int) -> list[float]:
    """Return how long it took from each of so many writes to its frame, in milliseconds."""
    headers = {"authorization": f"Bearer {user.token}"}
    address = api.replace("http", "ws", 1) + "/api/v1/ws"
    delays: list[float] = []
    loop = asyncio.get_running_loop()
    async with (
        httpx2.AsyncClient(base_url=f"{api}/api/v1", headers=headers, trust_env=False) as client,
        websockets.connect(address, additional_headers=headers) as socket,
    ):
        await socket.recv()
        for number in range(writes):
            started = loop.time()
            title = f"live {number}"
            await asyncio.gather(client.post("/tasks", json={"title": title}), _frame_of(socket, title))
            delays.append((loop.time() - started) * 1000)
    return delays


async def _frame_of(socket: websockets.ClientConnection, title: str) -> None:
    while (json.loads(await socket.recv()).get("data") or {}).get("title") != title:
        pass
