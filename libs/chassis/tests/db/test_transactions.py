"""One block, one transaction; R38: cancellation leaves neither half a change nor a connection behind."""

import asyncio

import pytest
from chassis.background import Job, JobRunner
from chassis.db.transactions import transaction
from chassis.errors import Conflict, PersistedError
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError
from testkit.waiting import eventually

INSERT = text("INSERT INTO thing (id) VALUES (2)")
ORPHAN = text("INSERT INTO thing (id, parent_id) VALUES (2, 99)")
SLOW_COMMIT = """
CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_sleep(0.3); RETURN NULL; END $$;
CREATE CONSTRAINT TRIGGER slow AFTER INSERT ON thing DEFERRABLE INITIALLY DEFERRED
    FOR EACH ROW EXECUTE FUNCTION slow();
"""


async def test_the_end_of_the_block_commits(database, count):
    async with transaction(database) as session:
        await session.execute(INSERT)
        assert await count() == 1
    assert await count() == 2


async def test_an_error_in_the_block_leaves_nothing(database, count):
    with pytest.raises(Conflict):
        async with transaction(database) as session:
            await session.execute(INSERT)
            raise Conflict
    assert await count() == 1


async def test_a_persisted_error_commits_and_goes_on(database, count):
    with pytest.raises(PersistedError):
        async with transaction(database) as session:
            await session.execute(INSERT)
            raise PersistedError
    assert await count() == 2


@pytest.mark.parametrize("error", [None, PersistedError()])
async def test_a_commit_that_fails_is_told(database, count, error):
    with pytest.raises(IntegrityError):
        async with transaction(database) as session:
            await session.execute(ORPHAN)
            if error is not None:
                raise error
    assert await count() == 1


@pytest.mark.parametrize("statement", ["SELECT pg_sleep(5)", "SELECT 1"])
async def test_r38_cancelled_in_the_block(database, count, statement):
    begun = asyncio.Event()

    async def work():
        async with transaction(database) as session:
            await session.execute(INSERT)
            begun.set()
            await session.execute(text(statement))
            await asyncio.Event().wait()

    task = asyncio.ensure_future(work())
    await begun.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert database.writer.pool.checkedout() == 0
    assert await count() == 1


@pytest.mark.parametrize("times", [1, 2])
async def test_r38_cancelled_in_the_commit(database, database_url, count, times):
    async with database.writer.begin() as connection:
        driver = (await connection.get_raw_connection()).driver_connection
        await driver.execute("DROP FUNCTION IF EXISTS slow CASCADE;" + SLOW_COMMIT)
    pids = []

    async def work():
        async with transaction(database) as session:
            await session.execute(INSERT)
            pids.append((await session.execute(text("SELECT pg_backend_pid()"))).scalar_one())

    async def committing():
        query = text("SELECT query FROM pg_stat_activity WHERE pid = :pid AND state = 'active'")
        async with database.reader.connect() as connection:
            return pids and (await connection.execute(query, {"pid": pids[0]})).scalar() == "COMMIT;"

    task = asyncio.ensure_future(work())
    await eventually(committing)
    for _ in range(times):
        task.cancel()
        await asyncio.sleep(0)
    with pytest.raises(asyncio.CancelledError):
        await task
    assert database.writer.pool.checkedout() == 0
    assert await count() == 2
    async with database.writer.connect() as connection:
        assert (await connection.execute(text("SELECT pg_backend_pid()"))).scalar_one() == pids[0]


async def test_of_several_replicas_one_does_a_job_at_a_time(database):
    running, most, runs, stop = 0, 0, 0, asyncio.Event()

    async def work(session):
        nonlocal running, most, runs
        running, runs = running + 1, runs + 1
        most = max(most, running)
        await session.execute(text("SELECT pg_sleep(0.02)"))
        running -= 1

    job = Job("count", 0.001, work)
    replicas = [asyncio.ensure_future(JobRunner(database, "sample", job).run(stop)) for _ in range(2)]

    async def five():
        return runs >= 5

    await eventually(five)
    stop.set()
    await asyncio.gather(*replicas)
    assert (most, running) == (1, 0)


async def test_a_job_that_fails_runs_again_in_its_time_and_leaves_nothing(database, count):
    stop, errors = asyncio.Event(), [ValueError("a bug of ours"), Conflict(), OSError("no disk")]

    async def work(session):
        await session.execute(INSERT)
        if errors:
            raise errors.pop()
        stop.set()

    await asyncio.wait_for(JobRunner(database, "sample", Job("fail", 0.01, work)).run(stop), 10)
    assert errors == []
    assert await count() == 2
