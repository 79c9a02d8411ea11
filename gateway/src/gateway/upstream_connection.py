"""One connection to a service, and the answer that comes by it; answers are parsed by httptools, as requests are."""

import asyncio
import socket
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass

import httptools

KEPT_SECONDS = 10.0
"""How long an idle connection may be used again: services keep theirs for 15, so that none ends as it is taken."""
MAX_HEAD = 64 * 1024
HIGH_WATER = 128 * 1024
"""How much of an answer waits to be read before the service has to wait."""
KERNEL_BUFFER = 256 * 1024
"""How much the kernel takes in ahead of us: left to itself, tens of megabytes for a client that does not read."""
FIRST_FINAL_STATUS = 200


class ServiceTrouble(Exception):
    """A service could not be asked, or has not answered."""


class NotConnected(ServiceTrouble):
    """There is no connection to the service, so that nothing was asked."""


class Dropped(ServiceTrouble):
    """The connection ended before a byte of the answer, as one does that the service has just given up."""


class Broken(ServiceTrouble):
    """The answer ended before its end, or is none."""


@dataclass(slots=True)
class Question:
    """A request: `body` is all of it, or gives it piece by piece.

    All of the answer has to have come by `deadline`, of the loop's clock, if there is one; and once the request is
    sent, the service may never be silent for more than `patience` seconds.
    """

    method: str
    target: str
    fields: list[tuple[str, str]]
    body: bytes | AsyncIterator[bytes]
    patience: float
    deadline: float | None = None


class Reply:
    """An answer while it comes. The parser calls the methods that begin with `on_`."""

    __slots__ = (
        "_chunks",
        "_failure",
        "_informs",
        "_size",
        "_waiter",
        "_without_body",
        "connection",
        "fields",
        "has_begun",
        "is_complete",
        "length",
        "may_be_kept",
        "status",
    )

    def __init__(self, connection: "Connection", *, without_body: bool) -> None:
        self.status = 0
        self.fields: list[tuple[bytes, bytes]] = []
        """Names are in lower case."""
        self.length: int | None = None
        """What the service says is the length of the body."""
        self.has_begun = False
        self.is_complete = False
        self.may_be_kept = False
        self.connection = connection
        self._without_body = without_body
        self._informs = False
        self._chunks: list[bytes] = []
        self._size = 0
        self._failure: BaseException | None = None
        self._waiter: asyncio.Future[None] | None = None

    async def head(self) -> None:
        """Wait until status and fields are there."""
        while not self.has_begun:
            await self._wait()

    async def whole(self) -> bytes:
        """Return the body, all of it; for short ones."""
        while not self.is_complete:
            await self._wait()
        return self._taken()

    async def pieces(self) -> AsyncIterator[bytes]:
        """Yield the body as it comes; while nobody asks for more, the service waits."""
        while True:
            if self._chunks and self._failure is None:
                yield self._taken()
            elif self.is_complete:
                return
            else:
                await self._wait()

    def fail(self, error: BaseException) -> None:
        """Have whoever reads it raise this."""
        if not self.is_complete and self._failure is None:
            self._failure = error
            self._wake()

    def end(self) -> None:
        """Take in that no more will come; it is the end of a body that has no other one."""
        if self.has_begun and self.length is None and not self._is_chunked():
            self._complete()
        else:
            self.fail(Broken("ended too early"))

    # What the parser calls.

    def on_header(self, name: bytes, value: bytes) -> None:
        if self.has_begun:
            return  # a trailer
        name = name.lower()
        self.fields.append((name, value))
        if name == b"content-length":
            self.length = int(value)

    def on_headers_complete(self) -> None:
        parser = self.connection.parser
        self.status = parser.get_status_code()
        self._informs = self.status < FIRST_FINAL_STATUS
        if self._informs:
            return
        self.has_begun = True
        self.may_be_kept = parser.should_keep_alive()
        if self._without_body:
            self._complete()
        self._wake()

    def on_body(self, body: bytes) -> None:
        if self._without_body:
            self.may_be_kept = False
            return
        self._chunks.append(body)
        self._size += len(body)
        if self._size > HIGH_WATER:
            self.connection.pause()
        self._wake()

    def on_message_complete(self) -> None:
        if self._informs:
            self.fields, self.length, self._informs = [], None, False
        else:
            self._complete()

    def on_message_begin(self) -> None:
        if self.is_complete:
            raise Broken("more than was asked for")

    def _complete(self) -> None:
        self.is_complete = True
        self._wake()

    def _is_chunked(self) -> bool:
        return any(name == b"transfer-encoding" for name, _ in self.fields)

    def _taken(self) -> bytes:
        chunks, self._chunks, self._size = self._chunks, [], 0
        self.connection.resume()
        return chunks[0] if len(chunks) == 1 else b"".join(chunks)

    async def _wait(self) -> None:
        """Wait for more. Raises what has failed."""
        if self._failure is not None:
            raise self._failure
        self._waiter = self.connection.loop.create_future()
        try:
            await self._waiter
        finally:
            self._waiter = None
        if self._failure is not None:
            raise self._failure

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)


IDLE = httptools.HttpResponseParser(object())
"""The parser of a connection that waits for no answer: the last one would keep its answer alive."""


class Connection(asyncio.Protocol):
    """A connection to a service, and the answer that it is to give."""

    def __init__(self, loop: asyncio.AbstractEventLoop, on_lost: Callable[["Connection"], None]) -> None:
        self.loop = loop
        self.transport: asyncio.Transport
        self.reply: Reply | None = None
        self.parser = IDLE
        self._on_lost = on_lost
        self._heard = False
        """Whether any byte of the answer has come."""
        self._head_size = 0
        self._patience = 0.0
        self._deadline: float | None = None
        self._silent_since: float | None = None
        """None while the request is being sent, and while the service waits for us."""
        self._timer: asyncio.TimerHandle | None = None
        self._looks_at = 0.0
        """When the timer comes, if there is one."""
        self._sending: asyncio.Task[None] | None = None
        self._may_write: asyncio.Future[None] | None = None
        self._is_paused = False
        self._idle_since = 0.0

    def is_usable(self) -> bool:
        """Tell whether another request may be sent."""
        return not self.transport.is_closing() and self.loop.time() - self._idle_since < KEPT_SECONDS

    def begin(self, question: Question) -> Reply:
        """Begin to wait for an answer."""
        self._heard, self._head_size = False, 0
        self._patience, self._deadline, self._silent_since = question.patience, question.deadline, None
        reply = self.reply = Reply(self, without_body=question.method == "HEAD")
        self.parser = httptools.HttpResponseParser(reply)
        return reply

    def send(self, data: bytes) -> None:
        """Send a request that is there as a whole."""
        self.transport.write(data)
        self._listen()

    def send_pieces(self, head: bytes, body: AsyncIterator[bytes], *, chunked: bool) -> None:
        """Send a request whose body is still to come."""
        self.transport.write(head)
        self._set_timer()
        self._sending = asyncio.create_task(self._send_pieces(body, chunked=chunked))
        self._sending.add_done_callback(self._has_sent)

    def finish(self) -> bool:
        """End what belongs to a request; tell whether the connection may have another one."""
        reply, self.reply, self.parser = self.reply, None, IDLE
        sent = self._sending is None or self._sending.done()
        if self._sending is not None:
            self._sending.cancel()
            self._sending = None
        self._silent_since = self._deadline = None
        self._idle_since = self.loop.time()
        is_over = sent and reply is not None and reply.is_complete and reply.may_be_kept
        return is_over and not self._is_paused and not self.transport.is_closing()

    def close(self) -> None:
        """End the connection and all that waits for it."""
        self.finish()
        if self._timer is not None:
            self._timer.cancel()
        self.transport.abort()

    def pause(self) -> None:
        """Have the service wait."""
        if not self._is_paused and not self.transport.is_closing():
            self._is_paused = True
            self._silent_since = None
            self.transport.pause_reading()

    def resume(self) -> None:
        """Have the service go on, if it had to wait."""
        if self._is_paused and not self.transport.is_closing():
            self._is_paused = False
            self.transport.resume_reading()
            if self._sending is None or self._sending.done():
                self._listen()

    # What the transport calls.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport  # type: ignore[assignment] # it is one for streams
        transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, KERNEL_BUFFER)

    def data_received(self, data: bytes) -> None:
        reply = self.reply
        if reply is None:
            self.close()  # nothing was asked
            return
        self._heard = True
        if self._silent_since is not None:
            self._silent_since = self.loop.time()
        try:
            self.parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade) as error:
            reply.fail(Broken(type(error).__name__))
            self.transport.abort()
            return
        if not reply.has_begun:
            self._head_size += len(data)
            if self._head_size > MAX_HEAD:
                reply.fail(Broken("a head without an end"))
                self.transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        self._on_lost(self)
        if self._timer is not None:
            self._timer.cancel()
        if self._may_write is not None and not self._may_write.done():
            self._may_write.set_result(None)
        if self.reply is None:
            return
        if not self._heard:
            self.reply.fail(Dropped(type(exc).__name__))
        elif exc is not None:
            self.reply.fail(Broken(type(exc).__name__))
        else:
            self.reply.end()

    def pause_writing(self) -> None:
        self._may_write = self.loop.create_future()

    def resume_writing(self) -> None:
        if self._may_write is not None and not self._may_write.done():
            self._may_write.set_result(None)
        self._may_write = None

    async def _send_pieces(self, body: AsyncIterator[bytes], *, chunked: bool) -> None:
        async for piece in body:
            self.transport.write(b"%x\r\n%b\r\n" % (len(piece), piece) if chunked else piece)
            if self._may_write is not None:
                await self._may_write
        if chunked:
            self.transport.write(b"0\r\n\r\n")

    def _has_sent(self, task: asyncio.Task[None]) -> None:
        error = None if task.cancelled() else task.exception()
        if task is not self._sending or self.reply is None:
            return
        if error is None:
            self._listen()
        else:
            self.reply.fail(error)

    def _listen(self) -> None:
        """Begin to count how long the service is silent."""
        self._silent_since = self.loop.time()
        self._set_timer()

    def _due(self) -> float | None:
        """Return when to give up, as things are."""
        silent = self._silent_since
        if silent is None:
            return self._deadline
        quiet = silent + self._patience
        return quiet if self._deadline is None else min(quiet, self._deadline)

    def _set_timer(self) -> None:
        """See to it that we look in time. A timer that comes earlier is left, so that most requests set none."""
        due = self._due()
        if due is None:
            return
        if self._timer is not None:
            if self._looks_at <= due:
                return
            self._timer.cancel()
        self._looks_at = due
        self._timer = self.loop.call_at(due, self._look)

    def _look(self) -> None:
        self._timer = None
        due = self._due()
        if self.reply is None or due is None:
            return
        if self.loop.time() < due:
            self._set_timer()
        else:
            self.reply.fail(TimeoutError())
