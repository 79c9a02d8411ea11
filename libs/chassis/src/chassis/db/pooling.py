"""The pool of an engine: whoever has waited longest for a connection gets the next one, and few are lent at once.

SQLAlchemy's own queue wakes who waits and leaves the connection lying there, where anyone who asks in that moment takes
it. Under load some wait again and again, until they are refused, while others hardly wait at all.

More statements at once than cores take longer, each and all together, since every connection is a process of the
server with caches of its own: with ten connections reads cost a machine of two cores a sixth more than with four. So
of a pool of reads the others are lent only to who has waited a while, since what is slow must not hold up the rest.
"""

import asyncio
import os
from collections import deque
from typing import Any

from sqlalchemy.pool import AsyncAdaptedQueuePool
from sqlalchemy.util import await_only
from sqlalchemy.util.queue import AsyncAdaptedQueue, Empty, Full

AT_ONCE = max(4, 2 * (os.cpu_count() or 1))
"""How many connections for reads are lent as soon as they are asked for."""
PATIENCE = 0.01
"""How long one of these is waited for, in seconds, before another one is lent."""


class FairQueue(AsyncAdaptedQueue[Any]):
    """Hands what comes back to whoever waits; what lies there is taken as `use_lifo` says.

    Of what lies there all but `at_once`, if that is given, is kept for who has waited for PATIENCE. A pool puts without
    waiting, which comes to put_nowait, and waits only when it has made as many as there may be.
    """

    def __init__(self, maxsize: int = 0, *, use_lifo: bool = False, at_once: int | None = None) -> None:
        super().__init__(maxsize, use_lifo)
        self._kept = 0 if at_once is None else max(0, maxsize - at_once)
        self._idle: deque[Any] = deque()
        self._waiting: deque[tuple[float, asyncio.Future[Any]]] = deque()
        self._timer: asyncio.TimerHandle | None = None

    def empty(self) -> bool:
        """Tell whether nothing lies there."""
        return not self._idle

    def full(self) -> bool:
        """Tell whether no more may lie there."""
        return 0 < self.maxsize <= len(self._idle)

    def qsize(self) -> int:
        """Return how many lie there."""
        return len(self._idle)

    def put_nowait(self, item: Any) -> None:
        """Give something to who has waited longest, or put it there. Raises Full."""
        while self._waiting:
            _, waiter = self._waiting.popleft()
            if not waiter.done():
                waiter.set_result(item)
                return
        if self.full():
            raise Full
        self._idle.append(item)

    def get_nowait(self) -> Any:
        """Take what lies there. Raises Empty."""
        if not self._idle:
            raise Empty
        return self._idle.pop() if self.use_lifo else self._idle.popleft()

    def get(self, block: bool = True, timeout: float | None = None) -> Any:  # noqa: FBT001, FBT002 - as the pool calls it
        """Take what lies there, or wait for it, `timeout` seconds at most. Raises Empty."""
        if len(self._idle) > self._kept or not block:
            return self.get_nowait()
        return await_only(self._next(timeout))

    async def _next(self, seconds: float | None) -> Any:
        loop = asyncio.get_running_loop()
        waiter = loop.create_future()
        self._waiting.append((loop.time(), waiter))
        if self._timer is None and self._idle:
            self._timer = loop.call_later(PATIENCE, self._lend_more, loop)
        try:
            async with asyncio.timeout(seconds):
                return await waiter
        except TimeoutError as error:
            self._decline(waiter)
            raise Empty from error
        except asyncio.CancelledError:
            self._decline(waiter)
            raise

    def _lend_more(self, loop: asyncio.AbstractEventLoop) -> None:
        """Give of what is kept to who has waited long enough, and look again when the next one has."""
        self._timer = None
        while self._idle and self._waiting:
            since, waiter = self._waiting[0]
            if not waiter.done() and loop.time() < since + PATIENCE:
                self._timer = loop.call_at(since + PATIENCE, self._lend_more, loop)
                return
            self._waiting.popleft()
            if not waiter.done():
                waiter.set_result(self.get_nowait())

    def _decline(self, waiter: asyncio.Future[Any]) -> None:
        """Pass on what was handed over in the very moment in which the wait ended otherwise."""
        if not waiter.cancel() and not waiter.cancelled():
            self.put_nowait(waiter.result())


class FairPool(AsyncAdaptedQueuePool):
    """The pool of asynchronous engines with a fair queue."""

    _queue_class = FairQueue


class _FewAtOnce(FairQueue):
    def __init__(self, maxsize: int = 0, *, use_lifo: bool = False) -> None:
        super().__init__(maxsize, use_lifo=use_lifo, at_once=AT_ONCE)


class ReadingPool(AsyncAdaptedQueuePool):
    """A fair pool for what is a statement each time, so that few connections do; transactions hold theirs longer."""

    _queue_class = _FewAtOnce
