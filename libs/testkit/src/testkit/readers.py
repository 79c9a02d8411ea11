"""Readers of everything that is told as it happens: WebSocket, server-sent events, the feed, and a webhook's receiver.

Each keeps what it got in the order of its coming. Those of streams go on from their cursor whenever they are cut.
"""

import asyncio
import json
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any, Self

import httpx2
import websockets

from testkit.receivers import listening, read_request
from testkit.servers import HOST

Event = dict[str, Any]
Headers = Callable[[], Mapping[str, str]]
AGAIN_SECONDS = 0.2
SILENCE_SECONDS = 40.0
"""A stream says something at least every 15 or 20 seconds."""


@dataclass
class Reader:
    """What somebody got, and from where to go on."""

    base_url: str
    headers: Headers
    cursor: str | None = None
    events: list[Event] = field(default_factory=list)
    messages: list[dict[str, Any]] = field(default_factory=list)
    """What came beside events, such as `ready`."""
    connections: int = 0
    _is_ready: asyncio.Event = field(default_factory=asyncio.Event)

    def take(self, message: dict[str, Any]) -> None:
        """Keep what came."""
        (self.events if "event_id" in message else self.messages).append(message)
        self.cursor = message.get("cursor", self.cursor)
        if message["type"] == "ready":
            self._is_ready.set()

    def counts(self) -> Counter[str]:
        """Return how often each event came."""
        return Counter(event["event_id"] for event in self.events)

    @asynccontextmanager
    async def reading(self) -> AsyncIterator[Self]:
        """Read for as long as the block lasts, once the beginning is known."""
        task = asyncio.create_task(self._read_on())
        try:
            async with asyncio.timeout(30):
                await self._is_ready.wait()
            yield self
        finally:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task

    async def _read_on(self) -> None:
        while True:
            with suppress(OSError, TimeoutError, websockets.WebSocketException, httpx2.HTTPError):
                self.connections += 1
                await self._read()
            await asyncio.sleep(AGAIN_SECONDS)

    async def _read(self) -> None:
        raise NotImplementedError


class SocketReader(Reader):
    """Reads the WebSocket."""

    async def _read(self) -> None:
        query = "" if self.cursor is None else f"?cursor={self.cursor}"
        address = f"{self.base_url.replace('http', 'ws', 1)}/api/v1/ws{query}"
        async with websockets.connect(address, additional_headers=self.headers(), proxy=None) as socket:
            async for text in socket:
                self.take(json.loads(text))


class StreamReader(Reader):
    """Reads the server-sent events."""

    async def _read(self) -> None:
        headers = dict(self.headers())
        if self.cursor is not None:
            headers["last-event-id"] = self.cursor
        async with (
            httpx2.AsyncClient(timeout=SILENCE_SECONDS, trust_env=False) as client,
            client.stream("GET", f"{self.base_url}/api/v1/stream", headers=headers) as answer,
        ):
            answer.raise_for_status()
            self._is_ready.set()
            fields: dict[str, str] = {}
            async for line in answer.aiter_lines():
                if line:
                    name, _, value = line.partition(":")
                    fields[name] = value.removeprefix(" ")
                elif "data" in fields:
                    self.take(json.loads(fields["data"]))
                    fields = {}


@dataclass
class FeedReader:
    """Reads `GET /api/v1/changes` when told to."""

    base_url: str
    headers: Headers
    cursor: str | None = None
    events: list[Event] = field(default_factory=list)

    async def read_on(self, client: httpx2.AsyncClient) -> list[Event]:
        """Take in all that is new, and return it."""
        found: list[Event] = []
        more = True
        while more:
            params = {} if self.cursor is None else {"cursor": self.cursor}
            answer = await client.get(f"{self.base_url}/api/v1/changes", params=params, headers=self.headers())
            answer.raise_for_status()
            page = answer.json()["data"]
            found += page["changes"]
            self.cursor, more = page["next_cursor"], page["has_more"]
        self.events += found
        return found

    def counts(self) -> Counter[str]:
        """Return how often each event came."""
        return Counter(event["event_id"] for event in self.events)


@dataclass(frozen=True)
class Post:
    """What was posted to a webhook."""

    headers: Mapping[str, str]
    body: bytes

    @property
    def event(self) -> Event:
        found: Event = json.loads(self.body)["data"]
        return found


@dataclass
class HookReceiver:
    """A web server that says yes to every POST, and keeps it."""

    posts: list[Post] = field(default_factory=list)
    url: str = ""

    @property
    def events(self) -> list[Event]:
        """What was posted that are events, and no tests of the webhook."""
        return [event for event in (post.event for post in self.posts) if "event_id" in event]

    def counts(self) -> Counter[str]:
        """Return how often each event came."""
        return Counter(post.headers["webhook-id"] for post in self.posts)

    @asynccontextmanager
    async def listening(self) -> AsyncIterator[Self]:
        """Receive for as long as the block lasts."""
        async with listening(self._answer) as port:
            self.url = f"http://{HOST}:{port}/hook"
            yield self

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            _, headers, body = await read_request(reader)
            self.posts.append(Post({name.lower(): value for name, value in headers.items()}, body))
            writer.write(b"HTTP/1.1 204 No Content\r\n\r\n")
            await writer.drain()


def twice(counts: Counter[str]) -> list[str]:
    """Return what came more than once."""
    return [name for name, count in counts.items() if count > 1]


def by_id(events: Iterable[Event]) -> dict[str, Event]:
    """Return events by their ids."""
    return {event["event_id"]: event for event in events}
