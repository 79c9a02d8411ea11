"""Streams of server-sent events: the same frames as over sockets, for who has no WebSocket (J2)."""

import asyncio
from collections.abc import Callable, Mapping
from contextlib import suppress

import structlog
from chassis.web.health import Health
from fastapi import Response
from prometheus_client import Gauge
from sqlalchemy.exc import SQLAlchemyError
from starlette.types import Message, Receive, Scope, Send

from notifications_service.realtime.connection import Connection, TooSlow
from notifications_service.realtime.connection import Send as SendFrame
from notifications_service.realtime.delivery import Delivery
from notifications_service.realtime.errors import CursorExpired
from notifications_service.realtime.protocol import Frame, resync_required

log = structlog.get_logger()

STREAMS = Gauge("taskloom_event_streams", "Open streams of events.")

BEAT_SECONDS = 15.0
LOOK_SECONDS = 0.5
END_SECONDS = 1.0
BEGINNING = b"retry: 2000\n\n"
BEAT = b": \n\n"
HEADERS = {"cache-control": "no-store", "vary": "Authorization", "x-accel-buffering": "no"}
MEDIA_TYPE = "text/event-stream"


class OpenStreams:
    """All streams of this process: keeps them from looking dead, and ends them with the process."""

    def __init__(self, health: Health, *, beat_seconds: float = BEAT_SECONDS) -> None:
        self._health = health
        self._beat_seconds = beat_seconds
        self._open: set[EventStream] = set()

    def enter(self, stream: "EventStream") -> None:
        """Take in a stream that has begun."""
        self._open.add(stream)
        STREAMS.inc()

    def leave(self, stream: "EventStream") -> None:
        """Forget a stream."""
        self._open.discard(stream)
        STREAMS.dec()

    async def run(self, stop: asyncio.Event) -> None:
        """Look after the streams until `stop` is set."""
        while not stop.is_set():
            with suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), LOOK_SECONDS)
            now = asyncio.get_running_loop().time()
            for stream in tuple(self._open):
                if self._health.stopping:
                    stream.end()
                elif now - stream.sent_at >= self._beat_seconds:
                    stream.beat()


class EventStream(Response):
    """An answer that goes on: `id` is the cursor after an event, `event` its type, and `data` its frame in one line."""

    media_type = MEDIA_TYPE

    def __init__(
        self,
        connection: Connection,
        deliver: Callable[[SendFrame], Delivery],
        streams: OpenStreams,
        *,
        leave: Callable[[], None],
        blocked_seconds: float,
        who: Mapping[str, str],
    ) -> None:
        super().__init__(None, 200, HEADERS)
        del self.headers["content-length"]
        self.sent_at = float("inf")
        self._connection = connection
        self._deliver = deliver
        self._streams = streams
        self._leave = leave
        self._blocked_seconds = blocked_seconds
        self._who = who
        self._writing: asyncio.Task[None] | None = None
        self._beating: asyncio.Task[None] | None = None

    async def __call__(self, _scope: Scope, receive: Receive, send: Send) -> None:
        self._send_message = send
        log.info("stream.opened", **self._who)
        self._streams.enter(self)
        try:
            await self._serve(receive)
        finally:
            self._streams.leave(self)
            self._leave()
            log.info("stream.closed", **self._who)

    def end(self) -> None:
        """End it: who reads it comes again, and goes on from the last `id`."""
        if self._writing is not None:
            self._writing.cancel()

    def beat(self) -> None:
        """Send a comment, so that nothing in between takes the stream for dead."""
        if self._beating is None or self._beating.done():
            self._beating = asyncio.create_task(self._send_beat())

    async def _serve(self, receive: Receive) -> None:
        await self._send_message({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
        self._writing = asyncio.create_task(self._write())
        tasks = [self._writing, asyncio.create_task(_gone(receive))]
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            tasks += [self._beating] if self._beating else []
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        await self._finish()

    async def _write(self) -> None:
        try:
            await self._send_bytes(BEGINNING)
            await self._deliver(self._send).run()
        except CursorExpired:
            # Who comes again with the last `id` is told.
            return
        except TooSlow:
            await self._end_for_now("too slow")
        except (SQLAlchemyError, OSError) as error:
            await self._end_for_now("store unavailable", detail=type(error).__name__)
        except Exception:
            log.exception("stream.failed")

    async def _end_for_now(self, reason: str, *, detail: str | None = None) -> None:
        """Tell the client from where on to come again."""
        log.warning("stream.ended_for_now", reason=reason, detail=detail)
        with suppress(TooSlow):
            await self._send(resync_required(self._connection.cursor()))

    async def _send(self, frame: Frame) -> None:
        await self._send_bytes(event_of(frame))

    async def _send_beat(self) -> None:
        with suppress(TooSlow):
            await self._send_bytes(BEAT)

    async def _send_bytes(self, body: bytes) -> None:
        """Send some of the answer. Raises TooSlow when the reader blocks it for too long."""
        self.sent_at = asyncio.get_running_loop().time()
        try:
            async with asyncio.timeout(self._blocked_seconds):
                await self._send_message({"type": "http.response.body", "body": body, "more_body": True})
        except TimeoutError:
            raise TooSlow from None

    async def _finish(self) -> None:
        last: Message = {"type": "http.response.body", "body": b"", "more_body": False}
        with suppress(TimeoutError):
            async with asyncio.timeout(END_SECONDS):
                await self._send_message(last)


async def _gone(receive: Receive) -> None:
    """Return when the client is gone."""
    while (await receive())["type"] != "http.disconnect":
        pass


def event_of(frame: Frame) -> bytes:
    """Return a frame as an event; one without a cursor changes nothing in where its reader is."""
    place = b"" if frame.cursor is None else b"id: %b\n" % frame.cursor.encode()
    return b"%bevent: %b\ndata: %b\n\n" % (place, frame.type.encode(), frame.body)
