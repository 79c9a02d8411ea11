"""Forgetting what is old, however much there is of it, and nothing else."""

import asyncio

import pytest
from chassis.background import Job, JobRunner
from chassis.inbox import claiming
from chassis.outbox import purging
from sqlalchemy import func, select, text
from testkit.sample import INBOX, OUTBOX
from testkit.waiting import eventually

OLD = 2_500
FILL_OUTBOX = """
INSERT INTO sample.outbox (event_id, type, occurred_at, state, sent_at, stream_id, sequence, subject, data)
SELECT gen_random_uuid(), 'thing.made.v1', now(), :state, now() - :age * interval '1 day',
       gen_random_uuid(), 1, gen_random_uuid(), '{}'
FROM generate_series(1, :count)
"""
FILL_INBOX = """
INSERT INTO sample.inbox (consumer, event_id, received_at)
SELECT 'c', gen_random_uuid(), now() - :age * interval '1 day' FROM generate_series(1, :count)
"""


@pytest.fixture
def left(database):
    async def left(table):
        async with database.reader.connect() as connection:
            return (await connection.execute(select(func.count()).select_from(table))).scalar_one()

    return left


async def fill(database, statement, *rows):
    async with database.writer.begin() as connection:
        for row in rows:
            await connection.execute(text(statement), row)


async def purged_by_one_run(database, purge, table, left, *, expected):
    """Run a job that comes once an hour; its transactions may delete 1,000 rows each."""
    stop, deleted, before = asyncio.Event(), [], await left(table)

    async def work(session):
        more = await purge(session, table)
        deleted.append(before - sum(deleted) - (await session.scalar(select(func.count()).select_from(table))))
        return more

    running = asyncio.ensure_future(JobRunner(database, "sample", Job("purge", 3600, work)).run(stop))

    async def done():
        return await left(table) == expected

    await eventually(done)
    stop.set()
    await running
    return deleted


async def test_r45_sent_events_are_forgotten_after_a_week_a_thousand_at_a_time(database, left):
    kept = [{"state": state, "age": age, "count": 1} for state, age in (("sent", 6), ("new", 8), ("parked", 8))]
    await fill(database, FILL_OUTBOX, {"state": "sent", "age": 8, "count": OLD}, *kept)
    assert await purged_by_one_run(database, purging.purge, OUTBOX, left, expected=3) == [1000, 1000, 500]


async def test_r48_the_inbox_is_forgotten_after_two_weeks_a_thousand_at_a_time(database, left):
    await fill(database, FILL_INBOX, {"age": 15, "count": OLD}, {"age": 13, "count": 1})
    assert await purged_by_one_run(database, claiming.purge, INBOX, left, expected=1) == [1000, 1000, 500]
