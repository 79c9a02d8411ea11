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
    """Hands what comes back to whoever waits; of what lies there the last one is taken, so that others get idle."""

    def __init__(self, maxsize: int = 0, use_lifo: bool = True) -> None:  # noqa: FBT001, FBT002 - as the pool calls it
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

    def put(self, item: Any, block: bool = True, timeout: float | None = None) -> None:  # noqa: ARG002, FBT001, FBT002 - as the pool calls it
        """Do what put_nowait does: a pool never has more than there is room for."""
        self.put_nowait(item)

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

    async def _next(self, timeout: float | None) -> Any:  # noqa: ASYNC109 - the pool gives it
        waiter = asyncio.get_running_loop().create_future()
        self._waiting.append(waiter)
        try:
            async with asyncio.timeout(timeout):
                return await waiter
        except BaseException as error:
            if waiter.done() and not waiter.cancelled():
                # It was handed over in the very moment in which the wait ended otherwise.
                self.put_nowait(waiter.result())
            waiter.cancel()
            if isinstance(error, TimeoutError):
                raise Empty from error
            raise


class FairPool(AsyncAdaptedQueuePool):
    """The pool of asynchronous engines with a fair queue."""

    _queue_class = FairQueue
