"""The pool of an engine: whoever has waited longest for a connection gets the next one, and few are lent at once.

SQLAlchemy's own queue wakes who waits and leaves the connection lying there, where anyone who asks in that moment takes
it. Under load some wait again and again, until they are refused, while others hardly wait at all.

More statements at once take longer, each and all together, since every connection is a process of the server with
caches of its own: with ten connections reads cost a machine of two cores a sixth more than with four, and one Python
process hardly keeps more than that busy. So of a pool of reads the others are lent only where nothing comes back, since
what is slow must not hold up the rest.
"""

import asyncio
import time
from collections import deque
from typing import Any

from sqlalchemy.pool import AsyncAdaptedQueuePool
from sqlalchemy.util import await_only
from sqlalchemy.util.queue import AsyncAdaptedQueue, Empty, Full

AT_ONCE = 4
"""How many connections for reads are lent as soon as they are asked for, once all have been made."""
PATIENCE = 0.01
"""How long nothing has to come back, in seconds, before one more is lent."""
LONGEST = 0.25
"""How long anybody waits, in seconds, while others lie there, whatever comes back."""
LENT_MORE = 1.0
"""How long more are lent then, in seconds: what was slow may be so for a while."""


class FairQueue(AsyncAdaptedQueue[Any]):
    """Hands what comes back to whoever waits; what lies there is taken as `use_lifo` says.

    Of what lies there all but `at_once`, if that is given, is kept for when what is lent is slow. A pool puts without
    waiting, which comes to put_nowait, and waits only when it has made as many as there may be.
    """

    def __init__(self, maxsize: int = 0, *, use_lifo: bool = False, at_once: int | None = None) -> None:
        super().__init__(maxsize, use_lifo)
        self._to_keep = self._kept = 0 if at_once is None else max(0, maxsize - at_once)
        self._lent_more_at = self._came_back_at = float("-inf")
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
        self._came_back_at = time.monotonic()
        if self._came_back_at > self._lent_more_at + LENT_MORE:
            self._kept = self._to_keep
        if len(self._idle) < self._kept or not self._hand_over(item):
            if self.full():
                raise Full
            self._idle.append(item)
        self._look_later()

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
        waiter = asyncio.get_running_loop().create_future()
        self._waiting.append((time.monotonic(), waiter))
        self._look_later()
        try:
            async with asyncio.timeout(seconds):
                return await waiter
        except TimeoutError as error:
            self._decline(waiter)
            raise Empty from error
        except asyncio.CancelledError:
            self._decline(waiter)
            raise

    def _hand_over(self, item: Any) -> bool:
        """Give something to who has waited longest; False where nobody waits."""
        while self._waiting:
            _, waiter = self._waiting.popleft()
            if not waiter.done():
                waiter.set_result(item)
                return True
        return False

    def _look_later(self) -> None:
        """See to it that somebody who waits while others lie there is thought of, and that else nothing is to come."""
        while self._waiting and self._waiting[0][1].done():
            self._waiting.popleft()
        if not (self._waiting and self._idle):
            if self._timer is not None:
                self._timer.cancel()
                self._timer = None
        elif self._timer is None:
            loop = self._waiting[0][1].get_loop()
            self._timer = loop.call_later(max(0.0, self._due() - time.monotonic()), self._lend_more)

    def _due(self) -> float:
        """Return when one more is lent to who has waited longest, if nothing comes back until then."""
        since = self._waiting[0][0]
        return min(max(since, self._came_back_at) + PATIENCE, since + LONGEST)

    def _lend_more(self) -> None:
        self._timer = None
        if self._waiting and self._idle and time.monotonic() >= self._due():
            self._lent_more_at = self._came_back_at = time.monotonic()
            self._kept = max(0, self._kept - 1)
            self._hand_over(self.get_nowait())
        self._look_later()

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
