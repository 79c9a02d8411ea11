"""The periodic work: what has run out is deleted a batch at a time, and nothing else."""

from functools import partial

import pytest
from tasks_service.scheduler import JOBS, jobs
from testkit.jobs import run_to_end

OLD_ANSWERS = """
    INSERT INTO tasks.idempotency_key (caller_id, key, fingerprint, status, headers, body, created_at)
    SELECT gen_random_uuid(), n::text, ''::bytea, 200, '{}', ''::bytea, now() - make_interval(hours => :hours)
    FROM generate_series(1, :count) n
"""
OLD_EVENTS = """
    INSERT INTO tasks.inbox (consumer, event_id, received_at)
    SELECT 'a consumer', gen_random_uuid(), now() - make_interval(days => :days) FROM generate_series(1, :count)
"""


@pytest.fixture
def run_job(database):
    """Runs a job to its end; returns how many transactions that took."""
    return partial(run_to_end, database, JOBS)


def test_the_jobs_and_how_often_they_run(settings):
    assert {job.name: job.seconds for job in jobs(settings)} == {
        "purge-idempotency-keys": 3600.0,
        "purge-ended-credentials": 3600.0,
        "purge-inbox": 3600.0,
        "purge-outbox": 3600.0,
        "purge-invitations": 3600.0,
        "purge-jobs": 3600.0,
        "purge-files": 300.0,
        "purge-projects": 300.0,
        "purge-trash": 3600.0,
        "purge-workspaces": 3600.0,
    }


async def test_r32_answers_are_kept_for_a_day(api, user, rows, run_job):
    await run_job("purge-idempotency-keys")
    headers = {**user(), "idempotency-key": "k"}
    made = await api.post("/api/v1/tasks", json={"title": "a"}, headers=headers)
    await rows(OLD_ANSWERS, hours=25, count=1500)
    assert await run_job("purge-idempotency-keys") == 2
    assert await rows("SELECT count(*) FROM tasks.idempotency_key WHERE created_at < now() - interval '1 d'") == [(0,)]
    again = await api.post("/api/v1/tasks", json={"title": "a"}, headers=headers)
    assert (again.status_code, again.headers["idempotency-replayed"]) == (201, "true")
    assert again.content == made.content


async def test_r48_events_that_came_in_are_known_for_fourteen_days(rows, run_job):
    await rows("DELETE FROM tasks.inbox")
    await rows(OLD_EVENTS, days=15, count=1500)
    await rows(OLD_EVENTS, days=13, count=3)
    assert await run_job("purge-inbox") == 2
    assert await rows("SELECT count(*) FROM tasks.inbox") == [(3,)]
