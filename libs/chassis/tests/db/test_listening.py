"""R46: who waits to be told is told, whatever happens to the connection that it hears by."""

import asyncio

import pytest
from chassis.db.listening import keep_listening
from sqlalchemy import text
from testkit.waiting import eventually


@pytest.fixture
async def database(open_with):
    """Lets a transaction do nothing for longer: a busy machine may stand still between its statements."""
    async with open_with(idle_seconds=120) as found:
        yield found


@pytest.fixture
async def listener(database):
    """Listens to `news`; the fixture gives what was heard, and how often it began."""
    stop, heard, begun = asyncio.Event(), [], []
    running = asyncio.create_task(
        keep_listening(database, "news", stop, heard=heard.append, began=lambda: begun.append(len(heard)))
    )
    yield heard, begun
    stop.set()
    async with asyncio.timeout(2):
        await running


async def say(database, payload):
    async with database.writer.begin() as connection:
        await connection.execute(text("SELECT pg_notify('news', :payload)"), {"payload": payload})


async def test_r46_a_listener_whose_connection_ends_begins_again_and_says_so(database, listener):
    heard, begun = listener
    await eventually(lambda: _is(begun == [0]))
    await say(database, "one")
    await eventually(lambda: _is(heard == ["one"]))
    listening = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE 'LISTEN%news%'"
    async with database.writer.begin() as connection:
        assert (await connection.execute(text(listening))).scalars().all() == [True]
    await eventually(lambda: _is(begun == [0, 1]))
    await say(database, "two")
    await eventually(lambda: _is(heard == ["one", "two"]))


async def test_r46_what_listens_does_not_go_back_into_the_pool(open_with):
    async with open_with(pool_size=1) as database:
        stop, begun = asyncio.Event(), asyncio.Event()
        running = asyncio.create_task(keep_listening(database, "news", stop, heard=lambda _: None, began=begun.set))
        await asyncio.wait_for(begun.wait(), 5)
        stop.set()
        await running
        async with database.writer.connect() as connection:
            assert (await connection.execute(text("SELECT count(*) FROM pg_listening_channels()"))).scalar_one() == 0


async def _is(true):
    return true
