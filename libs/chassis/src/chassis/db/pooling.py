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
from contextvars import ContextVar
from typing import Any, NamedTuple, cast

from sqlalchemy import exc
from sqlalchemy.ext.asyncio import AsyncEngine
from sqlalchemy.pool import AsyncAdaptedQueuePool, PoolProxiedConnection
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
HANDED_ON = 1.0
"""How long a connection is handed on, in seconds, before the pool has it again, which replaces what is too old."""
given: ContextVar[tuple[Any, Any]] = ContextVar("given", default=(None, None))
"""A queue, and what it has given to somebody who is about to ask for it by the pool."""


class Waiting(NamedTuple):
    """Somebody who waits: since when, for what, and whether it may be what is lent, as it is."""

    since: float
    waiter: asyncio.Future[Any]
    takes_lent: bool


class Lent(NamedTuple):
    """A connection that a pool has lent, and when."""

    pooled: PoolProxiedConnection
    since: float

    @property
    def driver(self) -> Any:
        """The driver's connection."""
        return self.pooled.driver_connection


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
        self._waiting: deque[Waiting] = deque()
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
        self._note_return()
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
        queue, mine = given.get()
        if queue is self:
            return mine
        if not self.is_short or not block:
            return self.get_nowait()
        try:
            return await_only(self.wait(timeout))
        except TimeoutError as error:
            raise Empty from error

    @property
    def is_short(self) -> bool:
        """Tell whether who asks now has to wait, unless one more may be made."""
        return len(self._idle) <= self._kept

    async def wait(self, seconds: float | None, *, takes_lent: bool = False) -> Any:
        """Wait for what comes back; with `takes_lent` also for a Lent that somebody hands on. Raises TimeoutError."""
        loop = asyncio.get_running_loop()
        waiter = loop.create_future()
        self._waiting.append(Waiting(time.monotonic(), waiter, takes_lent))
        self._look_later()
        timer = None if seconds is None else loop.call_later(seconds, _give_up, waiter)
        try:
            return await waiter
        except asyncio.CancelledError:
            self._decline(waiter)
            self._look_later()
            raise
        finally:
            if timer is not None:
                timer.cancel()

    def hand_on(self, lent: Lent) -> bool:
        """Give what is lent to who has waited longest; False unless they take it so, or where fewer are to be lent."""
        self._forget_who_is_gone()
        if not (self._waiting and self._waiting[0].takes_lent):
            return False
        self._note_return()
        if len(self._idle) < self._kept:
            return False
        self._waiting.popleft().waiter.set_result(lent)
        self._look_later()
        return True

    def exchange(self, lent: Lent) -> Any:
        """Give what is lent back to the pool, and return what it has put there, past all who wait.

        None where that is kept, since fewer are to be lent.
        """
        waiter = asyncio.get_running_loop().create_future()
        self._waiting.appendleft(Waiting(time.monotonic(), waiter, takes_lent=False))
        lent.pooled.close()
        if waiter.done():
            return waiter.result()
        waiter.cancel()
        return None

    def _note_return(self) -> None:
        self._came_back_at = time.monotonic()
        if self._came_back_at > self._lent_more_at + LENT_MORE:
            self._kept = self._to_keep

    def _forget_who_is_gone(self) -> None:
        while self._waiting and self._waiting[0].waiter.done():
            self._waiting.popleft()

    def _hand_over(self, item: Any) -> bool:
        """Give something to who has waited longest; False where nobody waits."""
        self._forget_who_is_gone()
        if not self._waiting:
            return False
        self._waiting.popleft().waiter.set_result(item)
        return True

    def _look_later(self) -> None:
        """See to it that somebody who waits while others lie there is thought of, and that else nothing is to come."""
        self._forget_who_is_gone()
        if not (self._waiting and self._idle):
            if self._timer is not None:
                self._timer.cancel()
                self._timer = None
        elif self._timer is None:
            loop = self._waiting[0].waiter.get_loop()
            self._timer = loop.call_later(max(0.0, self._due() - time.monotonic()), self._lend_more)

    def _due(self) -> float:
        """Return when one more is lent to who has waited longest, if nothing comes back until then."""
        since = self._waiting[0].since
        return min(max(since, self._came_back_at) + PATIENCE, since + LONGEST)

    def _lend_more(self) -> None:
        self._timer = None
        # What is taken for somebody who is gone would be nobody's.
        self._forget_who_is_gone()
        if self._waiting and self._idle and time.monotonic() >= self._due():
            self._lent_more_at = self._came_back_at = time.monotonic()
            self._kept = max(0, self._kept - 1)
            self._hand_over(self.get_nowait())
        self._look_later()

    def _decline(self, waiter: asyncio.Future[Any]) -> None:
        """Pass on what was handed over in the very moment in which the wait ended otherwise."""
        if waiter.cancelled() or not waiter.done() or waiter.exception() is not None:
            return
        found = waiter.result()
        if not isinstance(found, Lent):
            self.put_nowait(found)
        elif not self.hand_on(found):
            found.pooled.close()


def _give_up(waiter: asyncio.Future[Any]) -> None:
    if not waiter.done():
        waiter.set_exception(TimeoutError())


class FairPool(AsyncAdaptedQueuePool):
    """The pool of asynchronous engines with a fair queue."""

    _queue_class = FairQueue


class _FewAtOnce(FairQueue):
    def __init__(self, maxsize: int = 0, *, use_lifo: bool = False) -> None:
        super().__init__(maxsize, use_lifo=use_lifo, at_once=AT_ONCE)


class ReadingPool(AsyncAdaptedQueuePool):
    """A fair pool for what is a statement each time, so that few connections do; transactions hold theirs longer.

    Those who read directly hand their connection on to each other while others wait: the way into the pool and out of
    it again costs as much as a tenth of a read.
    """

    _queue_class = _FewAtOnce

    @property
    def _queue(self) -> FairQueue:
        return cast("FairQueue", self._pool)

    async def lend(self, engine: AsyncEngine) -> tuple[Lent, bool]:
        """Lend a connection, and tell whether it was handed on, without what is done when the pool lends one.

        Raises what the engine's raw_connection raises.
        """
        if self.overflow() < 0 or not self._queue.is_short:
            return await lent_by(engine), False
        try:
            found = await self._queue.wait(self.timeout(), takes_lent=True)
        except TimeoutError as error:
            if self.overflow() < 0:
                # One that was to be made has not come about.
                return await lent_by(engine), False
            raise exc.TimeoutError("no connection came back in time") from error
        if not isinstance(found, Lent):
            return await self._lend_given(engine, found), False
        if found.driver.is_closed():
            return await self.replace(engine, found), False
        return found, True

    async def replace(self, engine: AsyncEngine, lent: Lent) -> Lent:
        """Lend another connection for one that has ended: whoever it was handed on to keeps their turn."""
        found = self._queue.exchange(lent)
        return await (lent_by(engine) if found is None else self._lend_given(engine, found))

    async def _lend_given(self, engine: AsyncEngine, found: Any) -> Lent:
        token = given.set((self._queue, found))
        try:
            return await lent_by(engine)
        finally:
            given.reset(token)

    def take_back(self, lent: Lent) -> None:
        """Hand a connection on, or have it back in the pool."""
        is_good = not lent.driver.is_closed() and time.monotonic() - lent.since < HANDED_ON
        if not (is_good and self._queue.hand_on(lent)):
            lent.pooled.close()


async def lent_by(engine: AsyncEngine) -> Lent:
    """Have a connection lent by a pool, with all that is done then. Raises what the engine's raw_connection raises."""
    return Lent(await engine.raw_connection(), time.monotonic())
