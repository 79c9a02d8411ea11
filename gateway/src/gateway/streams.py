"""Event streams (SSE) passed through: without end, without buffers, and ended with the session as sockets are (R54)."""

import asyncio
import random
from collections.abc import Sequence
from typing import Any, cast

import orjson
from chassis.tokens import AccessToken
from starlette.types import Scope, Send

from gateway.callers import Caller
from gateway.errors import InvalidToken, UpstreamUnavailable
from gateway.http_protocol import GONE, STOPPING
from gateway.live import LiveConnection, LiveConnections, auth_expiring
from gateway.passing import SPREAD_SECONDS
from gateway.proxy import Answer, AnswerBrokenOff, failure_of, upstream_target
from gateway.sockets import without_ticket
from gateway.upstream_connection import Question, Reply, ServiceTrouble
from gateway.upstream_http import ServiceClient

OPEN_SECONDS = 10.0
SILENCE_SECONDS = 60.0
"""How long a service may say nothing: it gives a sign every 15 seconds."""
LAST_WORDS_SECONDS = 1.0
RETRY_MILLISECONDS = 2000
RESTARTING = "service restarting"
ENDS_OF_EVENTS = (b"\n\n", b"\r\n\r\n", b"\r\r")
LONGEST_END = 4


class OpenStream(LiveConnection):
    """One stream, in the task that serves it: ended by cancelling that."""

    kind = "stream"
    __slots__ = ("_lock", "_own", "_saying", "_send", "_tail", "answer", "ended", "task")

    def __init__(self, token: AccessToken, send: Send, task: asyncio.Task[Any]) -> None:
        super().__init__(token)
        self.ended: str | None = None
        self.answer = Answer(send)
        self.task = task
        self._send = send
        self._lock = asyncio.Lock()
        self._tail = b""
        self._own = b""
        self._saying: asyncio.Task[None] | None = None

    def warn(self) -> None:
        self._own += event(auth_expiring(self.token))
        self._saying = asyncio.create_task(self._say())

    def end(self, reason: str) -> None:
        if self.ended is None:
            self.ended = reason
            self.task.cancel()

    def stop(self) -> None:
        """End it because this process does."""
        self.end(RESTARTING)

    async def relay(self, reply: Reply) -> None:
        """Pass a stream on as it comes."""
        await self.answer.begin(reply)
        async for piece in reply.pieces():
            async with self._lock:
                await self._pass_on(piece)
            if self._own:
                await self._say()
        await self._send({"type": "http.response.body", "body": b""})

    async def finish(self) -> None:
        """End the answer in order. Raises what to answer instead where none has begun, and AnswerBrokenOff."""
        if not self.answer.has_begun:
            raise UpstreamUnavailable(retry_after=2) if self.ended == RESTARTING else InvalidToken
        try:
            async with asyncio.timeout(LAST_WORDS_SECONDS), self._lock:
                if self.ended == RESTARTING and self._is_between_events:
                    await self._pass_on(b"retry: %d\n\n" % come_again_in())
                await self._send({"type": "http.response.body", "body": b""})
        except TimeoutError:
            raise AnswerBrokenOff("the client does not read") from None

    @property
    def _is_between_events(self) -> bool:
        return self._tail.endswith(ENDS_OF_EVENTS)

    async def _say(self) -> None:
        """Say what we have to say, if the service is not in the middle of an event; it has the first word, too."""
        async with self._lock:
            if self._own and self._is_between_events:
                own, self._own = self._own, b""
                await self._pass_on(own)

    async def _pass_on(self, data: bytes) -> None:
        await self._send({"type": "http.response.body", "body": data, "more_body": True})
        self._tail = (self._tail + data)[-LONGEST_END:]


class Streams:
    """Opens streams and passes them; none of them counts as a request that a service is slow to answer."""

    def __init__(self, service: ServiceClient, live: LiveConnections) -> None:
        self._service = service
        self._live = live

    async def serve(self, scope: Scope, send: Send, *, caller: Caller, headers: Sequence[tuple[str, str]]) -> None:
        """Pass one stream, or the refusal of the service.

        Raises TooManySockets, the refusals of gateway.errors before an answer began, and then AnswerBrokenOff.
        """
        stream = OpenStream(caller.token, send, cast("asyncio.Task[Any]", asyncio.current_task()))
        self._live.enter(stream, caller)
        scope[STOPPING] = stream.stop
        try:
            await self._pass(scope, stream, headers)
        except asyncio.CancelledError:
            if stream.ended is None or GONE in scope:
                raise
            stream.task.uncancel()
            await stream.finish()
        finally:
            del scope[STOPPING]
            self._live.leave(stream)

    async def _pass(self, scope: Scope, stream: OpenStream, headers: Sequence[tuple[str, str]]) -> None:
        try:
            reply = await self._open(scope, headers)
            try:
                if not is_stream(reply):
                    await stream.answer.relay(reply)
                    return
                self._live.watch(stream)
                await stream.relay(reply)
            finally:
                self._service.release(reply)
        except (ServiceTrouble, TimeoutError) as error:
            if stream.answer.has_begun:
                raise AnswerBrokenOff(type(error).__name__) from None
            raise failure_of(error) from None

    async def _open(self, scope: Scope, headers: Sequence[tuple[str, str]]) -> Reply:
        query = without_ticket(scope["query_string"].decode("ascii")).encode()
        fields = [(name, value) for name, value in headers if not name.startswith("content-")]
        question = Question("GET", upstream_target(scope, query), fields, b"", patience=SILENCE_SECONDS)
        async with asyncio.timeout(OPEN_SECONDS):
            return await self._service.ask(question)


def is_stream(reply: Reply) -> bool:
    """Tell whether an answer is a stream of events, and not a refusal."""
    kind = next((value for name, value in reply.fields if name == b"content-type"), b"")
    return kind.partition(b";")[0].strip().lower() == b"text/event-stream"


def event(message: dict[str, str]) -> bytes:
    """Return a message as an event; it has no id, since it is not a place to go on from."""
    return b"event: %b\ndata: %b\n\n" % (message["type"].encode(), orjson.dumps(message))


def come_again_in() -> int:
    """Return when to come again, in milliseconds, so that not all come at once (R54)."""
    return RETRY_MILLISECONDS + int(random.uniform(0, SPREAD_SECONDS) * 1000)
