"""Reads over a real streaming replica that lags, goes away, comes back and is made a primary (R41)."""

import asyncio
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from chassis.db.engine import open_database
from chassis.db.failures import explain, sqlstate
from chassis.db.replica import ReplicaNotUsed, Trail
from chassis.settings import DatabaseSettings
from chassis.web.status import STATUS_OF_KIND
from prometheus_client import REGISTRY
from pydantic import SecretStr
from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError
from testkit.databases import create_database
from testkit.standby import replicated, standby
from testkit.waiting import eventually

WHERE = text("SELECT pg_is_in_recovery(), (SELECT count(*) FROM thing)")


DELAY = "max_standby_streaming_delay=100ms"


@pytest.fixture(scope="module")
def shared_replica():
    with replicated(DELAY) as found:
        create_database(found.primary_url, "things")
        yield found


@pytest.fixture
def primary_url(shared_replica):
    return shared_replica.primary_url


@pytest.fixture
async def replica(shared_replica):
    yield shared_replica
    await shared_replica.resume()


@pytest.fixture
def open_split(primary_url):
    """Opens the primary with a replica, and watches that for the block."""

    @asynccontextmanager
    async def open_split(replica, *, is_watched=True, **options):
        settings = DatabaseSettings(
            url=SecretStr(f"{primary_url}/things"),
            replica_url=SecretStr(f"{replica.url}/things"),
            **{"pool_size": 3, "pool_wait_seconds": 5, "write_wait_seconds": 5, **options},
        )
        database = open_database(settings, application_name="chassis-replica-tests")
        async with database.writer.begin() as connection:
            await connection.execute(text("CREATE TABLE IF NOT EXISTS thing (id serial, name text)"))
            await connection.execute(text("TRUNCATE thing"))
        stop = asyncio.Event()
        watching = asyncio.create_task(database.watch_replica(stop)) if is_watched else None
        try:
            if is_watched:
                await eventually(on_replica(database))
            yield database
            assert database.reader.pool.checkedout() == 0
        finally:
            stop.set()
            if watching is not None:
                await watching
            await database.close()

    return open_split


def shown(name):
    """Return what the metrics tell."""
    return REGISTRY.get_sample_value(f"taskloom_database_replica_{name}")


async def read(database):
    """Return whether a replica answers, and how many things it has."""
    async with database.reader.connect() as connection:
        return tuple((await connection.execute(WHERE)).one())


def on_replica(database, *, wanted=True):
    async def look():
        # A replica that has just been killed is found gone by whoever asks it first.
        with suppress(SQLAlchemyError):
            return (await read(database))[0] is wanted

    return look


async def write(database):
    async with database.writer.begin() as connection:
        await connection.execute(text("INSERT INTO thing (name) VALUES ('a')"))


async def test_r41_reads_go_to_the_primary_until_the_replica_is_known_to_be_near(open_split, replica):
    async with open_split(replica, is_watched=False) as database:
        assert await read(database) == (False, 0)
        await replica.catch_up()
        await replica.pause()
        await write(database)
        primary = database.primary
        for _ in range(3):
            # It has not come to where the primary was when it was first looked at.
            await database.replica.look(primary)
            assert await read(database) == (False, 1)
        with pytest.raises(ReplicaNotUsed):
            await database.replica.check()
        await replica.resume()
        await replica.catch_up()
        await database.replica.look(primary)
        assert await read(database) == (True, 1)
        await database.replica.check()
        assert (shown("lag_seconds"), shown("used")) == (0, 1)


async def test_r41_a_replica_that_lags_is_read_from_until_it_lags_too_far(open_split, replica):
    async with open_split(replica, replica_max_lag_seconds=3) as database:
        await replica.pause()
        await write(database)
        assert await read(database) == (True, 0)
        await eventually(on_replica(database, wanted=False))
        assert await read(database) == (False, 1)
        assert shown("lag_seconds") > 3
        await replica.resume()
        await eventually(on_replica(database))
        assert await read(database) == (True, 1)


async def test_r41_a_primary_where_nothing_happens_makes_no_replica_late(open_split, replica):
    async with open_split(replica, replica_max_lag_seconds=0.5) as database:
        for _ in range(20):
            await database.replica.look(database.primary)
            assert database.replica.is_used
            await asyncio.sleep(0.05)


async def test_r41_a_replica_that_dies_costs_at_most_what_was_asked_of_it_at_that_moment(open_split, replica):
    async with open_split(replica) as database:
        slow = asyncio.create_task(sleep_on(database))
        await eventually(is_asked(database))
        replica.kill()
        with pytest.raises(SQLAlchemyError) as caught:
            await slow
        assert STATUS_OF_KIND[explain(caught.value).kind] == 503
        # Nobody has looked yet: the request itself finds it gone.
        answers = await asyncio.gather(*(read(database) for _ in range(20)))
        assert set(answers) == {(False, 0)}
        replica.start()
        await eventually(on_replica(database))


async def sleep_on(database):
    async with database.reader.connect() as connection:
        await connection.execute(text("SELECT pg_sleep(4)"))


def is_asked(database):
    query = text("SELECT count(*) FROM pg_stat_activity WHERE query LIKE 'SELECT pg_sleep%' AND state = 'active'")

    async def look():
        async with database.reader.connect() as connection:
            return (await connection.execute(query)).scalar_one()

    return look


async def test_r41_while_a_replica_is_killed_again_and_again_reads_are_answered_or_refused_with_503(
    open_split, replica
):
    async with open_split(replica, pool_size=5) as database:
        over, outcomes = asyncio.Event(), []

        async def reading():
            while not over.is_set():
                try:
                    await read(database)
                    outcomes.append(200)
                except (SQLAlchemyError, OSError) as error:
                    outcomes.append(STATUS_OF_KIND[explain(error).kind])
                await asyncio.sleep(0.005)

        readers = [asyncio.create_task(reading()) for _ in range(10)]
        try:
            for _ in range(4):
                await eventually(on_replica(database))
                await asyncio.to_thread(replica.kill)
                await asyncio.to_thread(replica.start)
            await eventually(on_replica(database))
        finally:
            over.set()
            await asyncio.gather(*readers)
        assert set(outcomes) <= {200, 503}
        assert outcomes.count(503) <= 10 * 4
        assert outcomes.count(200) > 100


async def test_r41_a_statement_that_stands_in_the_way_of_what_comes_is_refused_with_503(open_split, replica):
    async with open_split(replica) as database:
        await write(database)
        await replica.catch_up()
        slow = asyncio.create_task(sleep_on_things(database))
        await eventually(is_asked(database))
        async with database.writer.begin() as connection:
            await connection.execute(text("LOCK TABLE thing IN ACCESS EXCLUSIVE MODE"))
        with pytest.raises(SQLAlchemyError) as caught:
            await slow
        assert sqlstate(caught.value) == "40001"
        assert STATUS_OF_KIND[explain(caught.value).kind] == 503
        assert await read(database) == (True, 1)


async def sleep_on_things(database):
    async with database.reader.connect() as connection:
        await connection.execute(text("SELECT pg_sleep(4), * FROM thing"))


async def test_r41_a_replica_that_is_made_a_primary_is_not_read_from(open_split, primary_url):
    with (
        TemporaryDirectory(prefix="taskloom-standby-", ignore_cleanup_errors=True) as folder,
        standby(Path(folder), primary_url) as replica,
    ):
        async with open_split(replica) as database:
            await replica.promote()
            await eventually(is_left_out(database))
            await write(database)
            assert await read(database) == (False, 1)


def is_left_out(database):
    async def look():
        return not database.replica.is_used

    return look


async def test_r41_the_primary_itself_may_stand_for_its_replica(primary_url):
    url = SecretStr(f"{primary_url}/things")
    database = open_database(DatabaseSettings(url=url, replica_url=url), application_name="chassis-replica-tests")
    await database.replica.look(database.primary)
    assert database.replica.is_used
    await database.close()


def test_r41_lag_is_told_by_where_the_primary_was():
    trail = Trail()
    assert trail.lag(0, 5) is None
    trail.note(0, 100)
    assert trail.lag(1, 99) is None
    assert trail.lag(2, 100) == 0
    trail.note(3, 100)
    trail.note(4, 200)
    trail.note(5, 300)
    assert [trail.lag(10, position) for position in (100, 199, 200, 299, 300, 301)] == [6, 6, 5, 5, 0, 0]


def test_r41_of_a_primary_that_was_restored_nothing_is_known_until_the_replica_has_come_there():
    trail = Trail()
    trail.note(0, 1000)
    assert trail.lag(0, 1000) == 0
    trail.note(1, 500)
    trail.note(2, 600)
    assert trail.lag(3, 400) is None
    assert trail.lag(3, 500) == 1
