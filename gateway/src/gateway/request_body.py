"""The client's body: counted and timed while it streams through (R16)."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress

from chassis.errors import AppError, MalformedRequest, PayloadTooLarge
from starlette.types import Message, Receive, Scope

from gateway.errors import BodyTimeout

GRACE_SECONDS = 5.0
MIN_BYTES_PER_SECOND = 1024
SMALL = 64 * 1024
DRAIN_SECONDS = 10.0
DRAIN_BYTES = 64 * 1024 * 1024


class BodyRefused(Exception):
    """Ends the body's stream within the client that reads it; why, `RequestBody.refusal` says."""


class RequestBody:
    """The body of one request; `limit` in bytes, `grace` in seconds before slowness counts."""

    def __init__(self, scope: Scope, receive: Receive, limit: int, *, grace: float = GRACE_SECONDS) -> None:
        self._receive = receive
        self._limit = limit
        self._grace = grace
        fields = {name: value for name, value in scope["headers"] if name in _FIELDS}
        self._declared = _declared_length(fields.get(b"content-length"))
        self._waits_for_consent = b"expect" in fields
        self.is_empty = not self._declared and b"transfer-encoding" not in fields
        self.is_small = self._declared is not None and self._declared <= SMALL
        self.is_late = False
        """Whether the next part is being waited for."""
        self.refusal: AppError | None = None
        self._more = True

    @property
    def ahead_seconds(self) -> float:
        """How long it may take to come, as far as it is read before anything is asked of a service."""
        return 0.0 if self.is_empty or not self.is_small else self._grace + (self._declared or 0) / MIN_BYTES_PER_SECOND

    def check_declared_length(self) -> None:
        """Raise PayloadTooLarge for a body that says itself that it is too large."""
        if self._declared is not None and self._declared > self._limit:
            raise PayloadTooLarge(headers={"connection": "close"})

    async def drain(self) -> None:
        """Read and forget what the client still sends, for a few seconds and some megabytes at most."""
        if self._waits_for_consent and not self.is_late:
            return
        drained = 0
        with suppress(TimeoutError):
            async with asyncio.timeout(DRAIN_SECONDS):
                while self._more and drained < DRAIN_BYTES:
                    message = await self._receive()
                    drained += len(message.get("body", b""))
                    self._more = bool(message.get("more_body")) and message["type"] == "http.request"

    async def complete(self) -> bytes:
        """Return all of it, or what it is refused for once its sender can hear of it. Raises what is wrong with it."""
        try:
            self.check_declared_length()
            return b"" if self.is_empty else await self.whole()
        except PayloadTooLarge:
            # A client that is still sending would not see the answer on a connection that is reset.
            await self.drain()
            raise

    async def whole(self) -> bytes:
        """Return all of it. Raises what is wrong with it."""
        try:
            return b"".join([chunk async for chunk in self.chunks()])
        except BodyRefused:
            raise self.refusal or MalformedRequest from None

    async def chunks(self) -> AsyncIterator[bytes]:
        """Yield the body. Raises BodyRefused when it is too large, too slow, or its sender went away."""
        loop = asyncio.get_running_loop()
        started, received = loop.time(), 0
        while self._more:
            self.is_late = True
            deadline = started + self._grace + received / MIN_BYTES_PER_SECOND
            try:
                async with asyncio.timeout_at(deadline):
                    message = await self._receive()
            except TimeoutError:
                raise self._refused(body_timeout()) from None
            self.is_late = False
            if message["type"] == "http.disconnect":
                raise self._refused(MalformedRequest("The client went away."))
            chunk, self._more = message.get("body", b""), bool(message.get("more_body", False))
            received += len(chunk)
            if received > self._limit:
                raise self._refused(PayloadTooLarge(headers={"connection": "close"}))
            if chunk:
                yield chunk

    def _refused(self, error: AppError) -> BodyRefused:
        self.refusal = error
        return BodyRefused()


def replayed(body: bytes) -> Receive:
    """Return a `receive` that gives a body which was read before."""

    async def receive() -> Message:
        return {"type": "http.request", "body": body, "more_body": False}

    return receive


def body_timeout() -> BodyTimeout:
    return BodyTimeout(headers={"connection": "close"})


_FIELDS = frozenset({b"content-length", b"transfer-encoding", b"expect"})


def _declared_length(value: bytes | None) -> int | None:
    if value is None:
        return None
    if not value.isdigit():
        raise MalformedRequest("Content-Length is a number of bytes.")
    return int(value)
