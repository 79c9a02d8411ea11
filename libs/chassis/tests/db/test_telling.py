"""R46: who listens is told of what was committed, and nobody's commit waits for that."""

import asyncio
from contextlib import asynccontextmanager
from functools import partial

import asyncpg
import pytest
from chassis.db.telling import CLOSE_SECONDS, Teller, say_after_commit
from chassis.db.transactions import transaction
from sqlalchemy import select, text
from sqlalchemy.ext.asyncio import AsyncSession, create_async_engine
from structlog.testing import capture_logs
from testkit.statements import statements_seen
from testkit.waiting import eventually

LONG = 3
ENDING = """
SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity
WHERE datname = current_database() AND query LIKE 'SELECT pg_notify(told%'
"""


@pytest.fixture
async def heard(database_url):
    """What is said on `news`, in its order."""
    said = []
    listener = await asyncpg.connect(database_url)
    await listener.add_listener("news", lambda *told: said.append(told[-1]))
    yield said
    await listener.close()


@pytest.fixture
async def resting(database):
    """Makes a teller that rests for so long between its statements."""
    made = []

    def resting(seconds):
        engine = create_async_engine(database.writer.url, isolation_level="AUTOCOMMIT")
        made.append(Teller(engine, gather_seconds=seconds))
        return made[-1]

    yield resting
    for one in made:
        await one.close()


async def test_r46_what_is_to_be_said_is_said_after_the_commit(database, heard):
    with statements_seen(database.writer) as statements:
        async with transaction(database) as session:
            await session.execute(select(1))
            say_after_commit(session, "news", "one")
            say_after_commit(session, "news", "one")
            say_after_commit(session, "news", "two")
        await eventually(lambda: _is(heard == ["one", "two"]))
    # A transaction that notifies holds up all others that do.
    assert not [one for one in statements if "notify" in one.lower()]


async def test_r46_what_is_not_committed_is_not_said(database, heard):
    with pytest.raises(RuntimeError):
        async with transaction(database) as session:
            await session.execute(select(1))
            say_after_commit(session, "news", "never")
            raise RuntimeError
    async with transaction(database) as session:
        await session.execute(select(1))
        say_after_commit(session, "news", "later")
    await eventually(lambda: _is(heard == ["later"]))


async def test_r46_a_session_that_goes_on_after_a_rollback_has_forgotten_it(database, heard):
    async with transaction(database) as session:
        await session.execute(select(1))
        say_after_commit(session, "news", "never")
        await session.rollback()
        await session.execute(select(1))
        say_after_commit(session, "news", "later")
    await eventually(lambda: _is(heard == ["later"]))


async def test_r46_a_session_without_a_teller_is_told_so_before_its_commit(database):
    async with AsyncSession(database.writer) as session:
        with pytest.raises(KeyError):
            say_after_commit(session, "news", "never")


async def test_r46_the_end_of_a_savepoint_is_no_commit(database, heard):
    async with transaction(database) as session:
        async with session.begin_nested():
            say_after_commit(session, "news", "within")
        async with transaction(database) as other:
            await other.execute(select(1))
            say_after_commit(other, "news", "before")
        await eventually(lambda: _is(heard == ["before"]))
    await eventually(lambda: _is(heard == ["before", "within"]))


async def test_r46_what_comes_soon_after_each_other_is_said_together(resting, database, heard):
    teller = resting(LONG)
    teller.say([("news", "first")])
    await eventually(lambda: _is(heard == ["first"]))
    for _ in range(5):
        teller.say([("news", "again"), ("news", "also")])
        async with database.primary.connect() as connection:
            await connection.execute(select(1))
    assert heard == ["first"]
    await eventually(lambda: _is(heard == ["first", "again", "also"]))


async def test_r46_who_closes_has_said_everything(resting, database, heard):
    teller = resting(CLOSE_SECONDS / 2)
    teller.say([("news", "first")])
    await eventually(lambda: _is(heard == ["first"]))
    teller.say([("news", "last")])
    await teller.close()
    async with database.writer.begin() as connection:
        await connection.execute(text("SELECT pg_notify('news', 'closed')"))
    await eventually(lambda: _is(heard == ["first", "last", "closed"]))


async def test_r46_a_teller_goes_on_after_its_connection_has_ended(database, open_with, heard):
    async with open_with() as other:
        for number in ("one", "two"):
            async with transaction(other) as session:
                await session.execute(select(1))
                say_after_commit(session, "news", number)
            await eventually(partial(_ends_with, heard, number))
            async with database.writer.begin() as connection:
                assert all((await connection.execute(text(ENDING))).scalars().all())


async def test_r46_what_cannot_be_said_is_logged_and_holds_nobody_up(unused_tcp_port):
    found = Teller(
        create_async_engine(f"postgresql+asyncpg://nobody@127.0.0.1:{unused_tcp_port}/none"), gather_seconds=0
    )
    with capture_logs() as lines:
        found.say([("news", "lost")])
        await found.close()
    assert [(one["event"], one["log_level"]) for one in lines] == [("telling.trouble", "warning")]


@asynccontextmanager
async def server_that(meets):
    """Give a teller of a server that does with each connection what is said."""
    server = await asyncio.start_server(meets, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    yield Teller(create_async_engine(f"postgresql+asyncpg://nobody@127.0.0.1:{port}/none"), gather_seconds=0)
    server.close()
    await server.wait_closed()


async def test_r46_a_server_that_ends_as_it_is_connected_to_is_logged(database):
    async def hang_up(reader, writer):
        await reader.read(8)
        writer.close()

    async with server_that(hang_up) as found:
        with capture_logs() as lines:
            found.say([("news", "lost")])
            await found.close()
    assert [one["event"] for one in lines] == ["telling.trouble"]


async def test_r46_a_server_that_is_silent_holds_up_no_end_for_long():
    waiting = asyncio.Event()

    async def say_nothing(reader, writer):
        waiting.set()
        await reader.read()
        writer.close()

    async with server_that(say_nothing) as found:
        found.say([("news", "lost")])
        await waiting.wait()
        async with asyncio.timeout(CLOSE_SECONDS + 20):
            await found.close()
        # And once more, which is nothing.
        await found.close()


async def _ends_with(heard, last):
    return heard[-1:] == [last]


async def _is(true):
    return true
