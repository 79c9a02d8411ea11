"""R37: a connection that direct readers hand on to each other is bound to each of them, and nobody is passed over."""

import asyncio
from contextlib import contextmanager
from functools import partial

import pytest
from chassis.db.binding import AS_IT_IS, Bound
from chassis.db.direct import BINDS_ITSELF, reading_directly
from chassis.db.pooling import HANDED_ON, FairQueue, Lent
from sqlalchemy import event, func, select, text
from sqlalchemy.exc import DBAPIError

CALLER = select(
    func.coalesce(func.current_setting("test.caller", True), "").label("caller"), func.pg_backend_pid().label("pid")
).execution_options(**{BINDS_ITSELF: True})


def bound(name):
    return Bound("none", "test.caller", name, "test.kept", "SELECT NULL")


@pytest.fixture
async def one(open_with):
    """A database whose pool of reads has one connection, which is made."""
    async with open_with(pool_size=1) as found:
        async with found.reader.connect() as connection:
            await connection.execute(select(1))
        yield found


@contextmanager
def lendings_of(database):
    """Give how often the pool of reads has lent a connection."""
    lent = []

    def note(*_):
        lent.append(1)

    event.listen(database.reader.sync_engine, "checkout", note)
    yield lent
    event.remove(database.reader.sync_engine, "checkout", note)


async def read(database, wanted, order=None, name=None):
    async with reading_directly(database, wanted) as reader:
        if order is not None:
            order.append(name)
        return (await reader.execute(CALLER, {})).mappings().one()["caller"]


async def read_by_sqlalchemy(database, order, name):
    async with database.reader.connect() as connection:
        order.append(name)
        return (await connection.execute(CALLER)).mappings().one()["caller"]


async def begun(*readers):
    """Start readers one after the other, each to where it waits."""
    tasks = []
    for one in readers:
        tasks.append(asyncio.create_task(one))
        await asyncio.sleep(0)
    return tasks


async def test_r37_who_waits_is_handed_the_connection_without_the_pool(one):
    with lendings_of(one) as lent:
        assert await asyncio.gather(*(read(one, AS_IT_IS) for _ in range(20))) == [""] * 20
    # Once, and once more for each second for which the machine may have stood still.
    assert len(lent) < 10


async def test_r36_each_is_bound_to_their_own(one):
    wanted = [None, bound("Ada"), AS_IT_IS, bound("Ben"), None, AS_IT_IS, bound("Ada")]
    with lendings_of(one) as lent:
        found = await asyncio.gather(*(read(one, whom) for whom in wanted))
    assert found == ["", "Ada", "Ada", "Ben", "", "", "Ada"]
    assert len(lent) < len(wanted)
    # Whoever takes it by the pool afterwards is nobody.
    assert await read_by_sqlalchemy(one, [], "") == ""


async def test_r37_who_reads_otherwise_has_their_turn(one):
    order = []
    async with reading_directly(one, None):
        readers = await begun(
            read(one, None, order, "direct 1"),
            read(one, None, order, "direct 2"),
            read_by_sqlalchemy(one, order, "by SQLAlchemy"),
            read(one, None, order, "direct 3"),
        )
    await asyncio.gather(*readers)
    assert order == ["direct 1", "direct 2", "by SQLAlchemy", "direct 3"]


async def test_r37_after_a_while_the_pool_has_it_again(one):
    pool = one.reader.sync_engine.pool
    for ago, lendings in ((HANDED_ON / 2, 0), (HANDED_ON, 1)):
        lent, _ = await pool.lend(one.reader)
        (waiting,) = await begun(read(one, None))
        with lendings_of(one) as after:
            pool.take_back(lent._replace(since=lent.since - ago))
            await waiting
        assert len(after) == lendings


async def test_r38_who_is_gone_in_that_moment_passes_it_on(one):
    async with reading_directly(one, None):
        gone, there = await begun(read(one, None), read(one, None))
    # It is the first one's now, who ends before they can run.
    gone.cancel()
    done = await asyncio.gather(gone, there, return_exceptions=True)
    assert [type(done[0]), done[1]] == [asyncio.CancelledError, ""]


async def test_r38_who_is_gone_while_it_is_bound_gives_it_up(one, database):
    async with reading_directly(one, None) as reader:
        before = (await reader.execute(CALLER, {})).mappings().one()["pid"]
        (gone,) = await begun(read(one, bound("Ada")))
    await asyncio.sleep(0)
    gone.cancel()
    await asyncio.wait([gone])
    async with reading_directly(one, None) as reader:
        row = (await reader.execute(CALLER, {})).mappings().one()
    assert gone.cancelled()
    assert (row["caller"], row["pid"] != before) == ("", True)


@pytest.mark.parametrize("wanted", [bound("Ada"), None], ids=["bound", "free"])
async def test_r37_one_that_the_server_has_ended_is_replaced(one, database, wanted):
    """It is noticed when it is bound, or before it is handed on, or by who reads: that one is told so."""
    async with reading_directly(one, bound("Ben")) as reader:
        row = (await reader.execute(CALLER, {})).mappings().one()
        (waiting,) = await begun(read(one, wanted))
        async with database.writer.begin() as killer:
            await killer.execute(text("SELECT pg_terminate_backend(:pid, 5000)"), {"pid": row["pid"]})
    assert await waiting == ("Ada" if wanted else "")


async def test_r37_one_that_failed_is_not_handed_on(one, database):
    async def fail():
        async with reading_directly(one, None) as reader:
            found = (await reader.execute(CALLER, {})).mappings().one()
            async with database.writer.begin() as killer:
                await killer.execute(text("SELECT pg_terminate_backend(:pid, 5000)"), {"pid": found["pid"]})
            await reader.execute(CALLER, {})

    order = []
    rest = read(one, None, order, "direct"), read_by_sqlalchemy(one, order, "by SQLAlchemy")
    failed, *found = await asyncio.gather(fail(), *rest, return_exceptions=True)
    assert isinstance(failed, DBAPIError)
    assert (found, order) == (["", ""], ["direct", "by SQLAlchemy"])


@pytest.mark.parametrize("wanted", [AS_IT_IS, bound("Ada")], ids=["as it is", "bound"])
async def test_r37_whose_connection_ends_as_it_is_handed_on_keeps_their_turn(one, wanted):
    pool, order = one.reader.sync_engine.pool, []
    lent, _ = await pool.lend(one.reader)
    rest = read(one, wanted, order, "first"), read(one, None, order, "second"), read_by_sqlalchemy(one, order, "third")
    readers = await begun(*rest)
    pool.take_back(lent)
    lent.driver.terminate()
    assert await asyncio.gather(*readers) == ["Ada" if wanted == bound("Ada") else "", "", ""]
    assert order == ["first", "second", "third"]


async def test_r37_who_keeps_their_turn_may_still_find_that_fewer_are_lent():
    queue = FairQueue(2, at_once=1)

    class Ended(Connection):
        def close(self):
            queue.put_nowait("record")

    assert queue.exchange(Lent(Ended(), 0.0)) is None
    assert (queue.qsize(), queue.get(block=False)) == (1, "record")


class Connection:
    """Stands for a connection that is lent, and tells whether the pool has it again."""

    def __init__(self):
        self.is_back = False

    def close(self):
        self.is_back = True


async def test_r37_where_fewer_are_to_be_lent_none_is_handed_on():
    queue, lent = FairQueue(2, at_once=1), Lent(Connection(), 0.0)
    waiting = partial(queue.wait, 30, takes_lent=True)
    (task,) = await begun(waiting())
    # Two were lent until now; the one that is to be kept is not there yet.
    assert not queue.hand_on(lent)
    queue.put_nowait("kept")
    (also,) = await begun(waiting())
    assert queue.hand_on(lent)
    assert await task == lent
    also.cancel()


async def test_r38_what_is_handed_to_who_is_gone_goes_back_where_nobody_else_waits():
    queue, lent = FairQueue(1), Lent(Connection(), 0.0)
    (task,) = await begun(queue.wait(30, takes_lent=True))
    assert queue.hand_on(lent)
    task.cancel()
    await asyncio.wait([task])
    assert lent.pooled.is_back
