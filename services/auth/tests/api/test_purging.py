"""The periodic work: what has run out is deleted, and nothing else."""

from datetime import timedelta

import pytest
from chassis.clock import utcnow
from chassis.ids import uuid7
from sqlalchemy import text


@pytest.fixture
def run_jobs(all_jobs, run_job):
    async def run_jobs():
        for job in all_jobs:
            await run_job(job.name)

    return run_jobs


def test_the_jobs_and_how_often_they_run(all_jobs):
    assert [(job.name, job.seconds) for job in all_jobs] == [
        ("blank-successors", 60.0),
        ("purge-refresh-tokens", 60.0),
        ("purge-sessions", 60.0),
        ("purge-login-failures", 3600.0),
        ("purge-api-tokens", 3600.0),
        ("purge-address-failures", 60.0),
        ("purge-account-failures", 3600.0),
        ("purge-known-networks", 3600.0),
        ("purge-oidc-flows", 3600.0),
        ("purge-login-tickets", 60.0),
        ("purge-passkey-challenges", 60.0),
        ("purge-otp-tries", 60.0),
        ("purge-unconfirmed-totp", 60.0),
        ("purge-links", 3600.0),
        ("purge-mail-budgets", 3600.0),
        ("purge-revocations", 3600.0),
        ("purge-idempotency-keys", 3600.0),
        ("purge-outbox", 3600.0),
        ("purge-inbox", 3600.0),
        ("handle-mail-requests", 0.5),
        ("finish-deletions", 60.0),
        ("forget-events", 60.0),
        ("purge-audit", 3600.0),
        ("rotate-keys", 86_400.0),
        ("reseal-totp-seeds", 3600.0),
    ]


@pytest.mark.parametrize(
    ("query", "index"),
    [
        (
            "auth.refresh_token WHERE successor_sealed IS NOT NULL AND replaced_at < now()",
            "ix_refresh_token_replaced_at",
        ),
        ("auth.totp WHERE confirmed_at IS NULL AND created_at < now()", "ix_totp_pending"),
    ],
)
async def test_what_is_looked_for_every_minute_has_an_index(database, query, index):
    async with database.writer.begin() as connection:
        await connection.execute(text("SET LOCAL enable_seqscan = off"))
        plan = (await connection.execute(text(f"EXPLAIN SELECT FROM {query} LIMIT 1000"))).scalars().all()
    assert index in "\n".join(plan)


async def test_no_transaction_deletes_or_blanks_more_than_a_thousand_rows(login, log_in, rows, run_job):
    """A session that was refreshed very often, and marks of a great many."""
    await run_job("purge-revocations")
    await rows(
        "INSERT INTO auth.revocation (kind, subject, expires_at) "
        "SELECT 'session', gen_random_uuid(), now() - interval '1 h' FROM generate_series(1, 1500)"
    )
    assert await run_job("purge-revocations") == 2
    assert await rows("SELECT count(*) FROM auth.revocation WHERE expires_at < now()") == [(0,)]
    other = await log_in(login.account)
    await run_job("blank-successors")
    await rows(
        "INSERT INTO auth.refresh_token (hash, session_id, replaced_at, successor_sealed) "
        "SELECT sha256(gen_random_uuid()::text::bytea), :id, now() - interval '1 h', 'sealed' "
        "FROM generate_series(1, 2500)",
        id=login.session_id,
    )
    count = "SELECT count(*), count(successor_sealed) FROM auth.refresh_token WHERE session_id = :id"
    assert await run_job("blank-successors") == 3
    assert await rows(count, id=login.session_id) == [(2501, 0)]
    await rows("UPDATE auth.session SET idle_expires_at = now() WHERE id = :id", id=login.session_id)
    await run_job("purge-sessions")
    assert await rows(count, id=login.session_id) == [(2501, 0)]
    assert await run_job("purge-refresh-tokens") == 3
    assert await rows(count, id=login.session_id) == [(0, 0)]
    await run_job("purge-sessions")
    alive = await rows("SELECT id FROM auth.session WHERE user_id = :u", u=login.account.id)
    assert alive == [(other.session_id,)]
    assert await rows(count, id=other.session_id) == [(1, 0)]


async def test_sessions_that_have_run_out_go_with_their_tokens(api, login, log_in, rows, run_jobs):
    dead = await log_in(login.account)
    await api.post("/api/v1/auth/refresh", json={"refresh_token": dead.tokens["refresh_token"]})
    await rows("UPDATE auth.session SET idle_expires_at = now() WHERE id = :id", id=dead.session_id)
    await run_jobs()
    assert await rows("SELECT id FROM auth.session WHERE user_id = :u", u=login.account.id) == [(login.session_id,)]
    assert await rows("SELECT count(*) FROM auth.refresh_token WHERE session_id = :id", id=dead.session_id) == [(0,)]


async def test_r5_a_sealed_successor_is_blanked_after_ten_seconds(api, login, log_in, rows, run_jobs):
    fresh = await log_in(login.account)
    for one in (login, fresh):
        await api.post("/api/v1/auth/refresh", json={"refresh_token": one.tokens["refresh_token"]})
    await rows(
        "UPDATE auth.refresh_token SET replaced_at = replaced_at - interval '11 s' WHERE session_id = :id",
        id=login.session_id,
    )
    await run_jobs()
    query = "SELECT count(successor_sealed), count(successor_hash) FROM auth.refresh_token WHERE session_id = :id"
    assert await rows(query, id=login.session_id) == [(0, 1)]
    assert await rows(query, id=fresh.session_id) == [(1, 1)]
    reused = await api.post("/api/v1/auth/refresh", json={"refresh_token": login.tokens["refresh_token"]})
    assert reused.json()["errors"][0]["code"] == "REFRESH_REUSED"


async def test_old_failures_marks_answers_and_sent_events_go(api, login, rows, run_jobs):
    await api.post("/api/v1/auth/login", json={"email": f"{uuid7().hex}@example.com", "password": "not this one"})
    await api.post("/api/v1/auth/logout", headers={**login.headers, "idempotency-key": "k"})
    mine = {"id": login.account.id, "sid": login.session_id}
    old = utcnow() - timedelta(days=8)
    await run_jobs()
    remaining = [
        ("SELECT count(*) > 0 FROM auth.login_failure", {}),
        ("SELECT count(*) > 0 FROM auth.revocation WHERE subject = :sid", {"sid": mine["sid"]}),
        ("SELECT count(*) > 0 FROM auth.idempotency_key WHERE caller_id = :id", {"id": mine["id"]}),
        ("SELECT count(*) > 0 FROM auth.outbox WHERE stream_id = :sid", {"sid": mine["sid"]}),
    ]
    assert [await rows(query, **names) for query, names in remaining] == [[(True,)]] * 4
    await rows("UPDATE auth.login_failure SET last_at = :old", old=old)
    await rows("UPDATE auth.revocation SET expires_at = :old WHERE subject = :sid", old=old, sid=mine["sid"])
    await rows("UPDATE auth.idempotency_key SET created_at = :old WHERE caller_id = :id", old=old, id=mine["id"])
    await rows(
        "UPDATE auth.outbox SET state = 'sent', sent_at = :old WHERE type = 'session.revoked.v1' AND stream_id = :sid",
        old=old,
        sid=mine["sid"],
    )
    await run_jobs()
    assert [await rows(query, **names) for query, names in remaining] == [[(False,)]] * 3 + [[(True,)]]
    query = "SELECT type FROM auth.outbox WHERE stream_id = :sid"
    assert await rows(query, sid=mine["sid"]) == [("session.started.v1",)]


async def test_r48_events_that_came_in_are_known_for_fourteen_days(rows, run_job):
    old = (
        "INSERT INTO auth.inbox (consumer, event_id, received_at) SELECT 'a consumer', gen_random_uuid(),"
        " now() - make_interval(days => :days) FROM generate_series(1, :count)"
    )
    await rows(old, days=15, count=1500)
    await rows(old, days=13, count=3)
    assert await run_job("purge-inbox") == 2
    assert await rows("SELECT count(*) FROM auth.inbox WHERE consumer = 'a consumer'") == [(3,)]
