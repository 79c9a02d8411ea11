"""R37: connections that are waited for go round in the order in which they were asked for, and none is lost."""

import asyncio
import time
from contextlib import AsyncExitStack

import pytest
from chassis.db.pooling import AT_ONCE, PATIENCE, FairQueue
from sqlalchemy.util import greenlet_spawn

ENGINES = pytest.mark.parametrize("engine", ["writer", "reader"])


class Users:
    """Those who ask for the one connection of a pool, and the order in which they had it."""

    def __init__(self, pool):
        self._pool = pool
        self.order = []

    async def use(self, name, started=None):
        if started is not None:
            started.set()
        async with self._pool.connect():
            self.order.append(name)

    async def waiting(self, name):
        """Return somebody who waits for it."""
        started = asyncio.Event()
        task = asyncio.create_task(self.use(name, started))
        await started.wait()
        return task


@ENGINES
async def test_r37_whoever_waits_longest_is_next(open_with, engine):
    async with open_with(pool_size=1) as database:
        users = Users(getattr(database, engine))
        async with getattr(database, engine).connect():
            waiting = [await users.waiting(number) for number in range(3)]
        # It is free, and nobody who waits has run yet.
        await users.use("late")
        await asyncio.gather(*waiting)
    assert users.order == [0, 1, 2, "late"]


async def waiting_for(queue):
    """Return somebody who waits at a queue."""
    started = asyncio.Event()

    async def wait():
        started.set()
        return await greenlet_spawn(queue.get, timeout=30)

    task = asyncio.create_task(wait())
    await started.wait()
    return task


async def test_r37_what_is_handed_to_somebody_who_is_gone_goes_to_the_next():
    queue = FairQueue(1)
    gone, handed, next_one = [await waiting_for(queue) for _ in range(3)]
    gone.cancel()
    await asyncio.wait([gone])
    queue.put_nowait("connection")
    # Now it is the second's, who ends before it can run.
    handed.cancel()
    done = await asyncio.gather(gone, handed, next_one, return_exceptions=True)
    assert [str(one) for one in done] == ["", "", "connection"]
    assert queue.empty()


@ENGINES
async def test_r37_who_has_waited_too_long_leaves_nothing_behind(open_with, engine):
    async with open_with(pool_size=1, pool_wait_seconds=0.05, write_wait_seconds=0.05) as database:
        users = Users(getattr(database, engine))
        async with getattr(database, engine).connect():
            waiting = [await users.waiting(number) for number in range(3)]
            refused = await asyncio.gather(*waiting, return_exceptions=True)
        assert {type(one).__name__ for one in refused} == {"TimeoutError"}
        await users.use("after all")
    assert users.order == ["after all"]


def few_at_once():
    """Return a queue of four that lends two at once."""
    queue = FairQueue(4, use_lifo=True, at_once=2)
    for name in "abcd":
        queue.put_nowait(name)
    return queue


async def test_r37_of_many_connections_few_are_lent_at_once():
    queue = few_at_once()
    assert [queue.get(timeout=30), queue.get(timeout=30)] == ["d", "c"]
    waiting = [await waiting_for(queue) for _ in range(2)]
    assert queue.qsize() == 2
    # What comes back in time goes to who waits, though others lie there.
    queue.put_nowait("c")
    queue.put_nowait("d")
    assert await asyncio.gather(*waiting) == ["c", "d"]
    assert queue.qsize() == 2


async def test_r37_what_is_slow_does_not_hold_up_the_others():
    queue = few_at_once()
    assert [queue.get(timeout=30), queue.get(timeout=30)] == ["d", "c"]
    began = asyncio.get_running_loop().time()
    waiting = [await waiting_for(queue) for _ in range(3)]
    # Nothing comes back, and the third waits on, for all are lent.
    assert await asyncio.gather(*waiting[:2]) == ["b", "a"]
    assert asyncio.get_running_loop().time() - began >= PATIENCE
    assert not waiting[2].done()
    queue.put_nowait("c")
    assert await waiting[2] == "c"


async def test_r37_whoever_comes_while_others_are_slow_does_not_wait_each_time():
    queue = few_at_once()
    assert [queue.get(timeout=30), queue.get(timeout=30)] == ["d", "c"]
    assert await (await waiting_for(queue)) == "b"
    queue.put_nowait("b")
    # What is lent at once needs nobody who waits for it.
    assert queue.get(timeout=30) == "b"


async def test_r37_what_waits_while_much_comes_back_is_lent_no_more():
    queue = few_at_once()
    assert [queue.get(timeout=30), queue.get(timeout=30)] == ["d", "c"]
    for _ in range(20):
        waiting = [await waiting_for(queue) for _ in range(4)]
        for one in waiting:
            queue.put_nowait("c")
            assert await one == "c"
    assert queue.qsize() == 2


async def test_r37_where_many_are_lent_they_become_few_as_they_come_back():
    queue = few_at_once()
    # As they are when a pool has just made them.
    assert [queue.get(block=False) for _ in "abcd"] == ["d", "c", "b", "a"]
    waiting = await waiting_for(queue)
    for name in "abc":
        queue.put_nowait(name)
    assert await waiting == "c"
    assert queue.qsize() == 2


async def test_r37_what_is_kept_is_not_given_to_who_is_gone():
    queue = few_at_once()
    assert [queue.get(timeout=30), queue.get(timeout=30)] == ["d", "c"]
    gone, there = [await waiting_for(queue) for _ in range(2)]
    gone.cancel()
    assert await there == "b"
    assert queue.qsize() == 1


async def test_r37_nothing_is_taken_for_somebody_who_is_gone():
    queue = few_at_once()
    assert [queue.get(timeout=30), queue.get(timeout=30)] == ["d", "c"]
    gone = await waiting_for(queue)
    gone.cancel()
    await asyncio.wait([gone])
    # Nothing happens that could be waited for: that is what is asked.
    await asyncio.sleep(PATIENCE * 3)
    assert queue.qsize() == 2


async def test_r37_who_is_gone_as_more_is_to_be_lent_takes_nothing():
    queue = few_at_once()
    assert [queue.get(timeout=30), queue.get(timeout=30)] == ["d", "c"]
    gone = await waiting_for(queue)
    asyncio.get_running_loop().call_later(PATIENCE / 2, gone.cancel)
    # The loop stands still until both are due: the end of who waits, and the moment in which more is lent.
    await asyncio.sleep(0)
    time.sleep(PATIENCE * 2)
    await asyncio.wait([gone])
    await asyncio.sleep(0)
    assert queue.qsize() == 2


async def test_r37_who_finds_enough_there_does_not_wait():
    queue = few_at_once()
    assert queue.get(timeout=30) == "d"
    queue.put_nowait("d")
    assert [queue.get(timeout=30), queue.get(timeout=30)] == ["d", "c"]
    # As a pool asks that may still make one.
    assert queue.get(block=False) == "b"


async def test_r37_reads_take_few_of_their_connections_at_once(open_with):
    async with open_with(pool_size=AT_ONCE + 1) as database, AsyncExitStack() as held:

        async def take(number):
            for _ in range(number):
                await held.enter_async_context(database.reader.connect())

        await take(AT_ONCE + 1)
        await held.aclose()
        await take(AT_ONCE)
        began = asyncio.get_running_loop().time()
        await take(1)
        assert asyncio.get_running_loop().time() - began >= PATIENCE
