"""The periodic work: what has run out is deleted a batch at a time, and nothing else."""

from functools import partial

import pytest
from attachments_service.scheduler import jobs
from sqlalchemy import text
from testkit.jobs import run_to_end

OLD_ANSWERS = """
    INSERT INTO attachments.idempotency_key (caller_id, key, fingerprint, status, headers, body, created_at)
    SELECT gen_random_uuid(), n::text, ''::bytea, 200, '{}', ''::bytea, now() - make_interval(hours => :hours)
    FROM generate_series(1, :count) n
"""
OLD_EVENTS = """
    INSERT INTO attachments.inbox (consumer, event_id, received_at)
    SELECT 'a consumer', gen_random_uuid(), now() - make_interval(days => :days) FROM generate_series(1, :count)
"""


@pytest.fixture
def all_jobs(storage):
    return jobs(storage)


@pytest.fixture
def run_job(database, all_jobs):
    """Runs a job to its end; returns how many transactions that took."""
    return partial(run_to_end, database, all_jobs)


@pytest.fixture
def rows(database):
    async def rows(statement, **parameters):
        async with database.writer.begin() as connection:
            result = await connection.execute(text(statement), parameters)
            return [tuple(row) for row in result] if result.returns_rows else []

    return rows


def test_the_jobs_and_how_often_they_run(all_jobs):
    assert [(job.name, job.seconds) for job in all_jobs] == [
        ("purge-idempotency-keys", 3600.0),
        ("purge-inbox", 3600.0),
        ("purge-outbox", 3600.0),
        ("purge-workspaces", 3600.0),
        ("remove-orphans", 3600.0),
    ]


async def test_r32_answers_are_kept_for_a_day(rows, run_job):
    await rows(OLD_ANSWERS, hours=25, count=1500)
    await rows(OLD_ANSWERS, hours=23, count=3)
    assert await run_job("purge-idempotency-keys") == 2
    assert await rows("SELECT count(*) FROM attachments.idempotency_key") == [(3,)]


async def test_r48_events_that_came_in_are_known_for_fourteen_days(rows, run_job):
    await rows(OLD_EVENTS, days=15, count=1500)
    await rows(OLD_EVENTS, days=13, count=3)
    assert await run_job("purge-inbox") == 2
    assert await rows("SELECT count(*) FROM attachments.inbox") == [(3,)]


async def test_r46_sent_events_go_after_a_week_and_unsent_ones_never(rows, run_job, attach, published):
    for number in range(3):
        await attach(name=f"{number}.txt")
    unsent, old, recent = await published()
    sent = (
        "UPDATE attachments.outbox SET state = 'sent', sent_at = now() - make_interval(days => :days) WHERE event_id = "
    )
    sent += ":id"
    await rows("UPDATE attachments.outbox SET occurred_at = now() - interval '1 y'")
    await rows(sent, days=8, id=old.event_id)
    await rows(sent, days=6, id=recent.event_id)
    assert await run_job("purge-outbox") == 1
    assert [row.event_id for row in await published()] == [unsent.event_id, recent.event_id]


async def test_r60_the_job_removes_orphans_of_the_storage(run_job, attach, objects):
    await attach()
    await run_job("remove-orphans")
    assert len(objects()) == 1


OF_WORKSPACE = """
    SELECT count(*) FROM (
        SELECT workspace_id FROM attachments.attachment
        UNION ALL SELECT workspace_id FROM attachments.task_location
        UNION ALL SELECT workspace_id FROM attachments.project_place
        UNION ALL SELECT workspace_id FROM attachments.membership
        UNION ALL SELECT workspace_id FROM attachments.ended_workspace
    ) AS of_workspaces WHERE workspace_id = :w
"""


async def test_n1_what_a_deleted_workspace_had_goes_after_thirty_days(rows, run_job, attach, world):
    await attach()
    ended = "INSERT INTO attachments.ended_workspace VALUES (:w, now() - make_interval(days => :days))"
    await rows(ended, w=world.workspace_id, days=29)
    before = await rows(OF_WORKSPACE, w=world.workspace_id)
    await run_job("purge-workspaces")
    assert await rows(OF_WORKSPACE, w=world.workspace_id) == before
    await rows("UPDATE attachments.ended_workspace SET ended_at = now() - interval '31 d'")
    other = "INSERT INTO attachments.project_place VALUES (:p, :w, false, 'editor', false, 1, false)"
    await rows(other, p=world.task_id, w=world.task_id)
    await run_job("purge-workspaces")
    assert await rows(OF_WORKSPACE, w=world.workspace_id) == [(0,)]
    assert await rows("SELECT count(*) FROM attachments.project_member") == [(0,)]
    assert await rows(OF_WORKSPACE, w=world.task_id) == [(1,)]
