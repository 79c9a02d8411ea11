"""The pool of an engine: whoever has waited longest for a connection gets the next one.

SQLAlchemy's own queue wakes who waits and leaves the connection lying there, where anyone who asks in that moment takes
it. Under load some wait again and again, until they are refused, while others hardly wait at all.
"""

import asyncio
from collections import deque
from typing import Any

from sqlalchemy.pool import AsyncAdaptedQueuePool
from sqlalchemy.util import await_only
from sqlalchemy.util.queue import AsyncAdaptedQueue, Empty, Full


class FairQueue(AsyncAdaptedQueue[Any]):
    """Hands what comes back to whoever waits; what lies there is taken as `use_lifo` says.

    A pool puts without waiting, which comes to put_nowait.
    """

    def __init__(self, maxsize: int = 0, *, use_lifo: bool = False) -> None:
        super().__init__(maxsize, use_lifo)
        self._idle: deque[Any] = deque()
        self._waiting: deque[asyncio.Future[Any]] = deque()

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
            waiter = self._waiting.popleft()
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
        if self._idle or not block:
            return self.get_nowait()
        return await_only(self._next(timeout))

    async def _next(self, seconds: float | None) -> Any:
        waiter = asyncio.get_running_loop().create_future()
        self._waiting.append(waiter)
        try:
            async with asyncio.timeout(seconds):
                return await waiter
        except TimeoutError as error:
            self._decline(waiter)
            raise Empty from error
        except asyncio.CancelledError:
            self._decline(waiter)
            raise

    def _decline(self, waiter: asyncio.Future[Any]) -> None:
        """Pass on what was handed over in the very moment in which the wait ended otherwise."""
        if not waiter.cancel() and not waiter.cancelled():
            self.put_nowait(waiter.result())


class FairPool(AsyncAdaptedQueuePool):
    """The pool of asynchronous engines with a fair queue."""

    _queue_class = FairQueue
