"""Refresh tokens: what they are (R4), and what happens to one that comes back (R5)."""

import asyncio
import hashlib
import json
import re
from contextlib import AsyncExitStack

import jwt
import pytest
from chassis.db.engine import open_database
from chassis.secret_tokens import REFRESH_TOKEN
from sqlalchemy import text
from testkit.waiting import eventually

FORM = re.compile(r"tlm_rt_[0-9A-Za-z]{43}[0-9A-Za-z]{6}")
BACK_DATE = """
    UPDATE auth.refresh_token SET replaced_at = replaced_at - make_interval(secs => :s) WHERE session_id = :id
"""
SESSION = "SELECT count(*) FROM auth.session WHERE id = :id"
WAITING = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"


def codes(answer):
    return answer.status_code, [error["code"] for error in answer.json()["errors"]]


@pytest.fixture
def refresh(api):
    async def refresh(token):
        return await api.post("/api/v1/auth/refresh", json={"refresh_token": token})

    return refresh


@pytest.fixture
def later(rows):
    """Lets seconds pass for the refresh tokens of a session."""

    async def later(login, seconds):
        await rows(BACK_DATE, s=seconds, id=login.session_id)

    return later


def token_of(answer):
    assert answer.status_code == 200, answer.text
    return answer.json()["data"]["refresh_token"]


async def test_r4_a_refresh_gives_a_new_pair_of_the_same_session(refresh, login, rows, events):
    answer = await refresh(login.tokens["refresh_token"])
    assert answer.status_code == 200
    assert answer.headers["cache-control"] == "no-store"
    data = answer.json()["data"]
    assert sorted(data) == sorted(login.tokens)
    assert (data["expires_in"], data["refresh_expires_in"], data["user"]) == (86400, 14 * 86400, login.tokens["user"])
    assert FORM.fullmatch(data["refresh_token"])
    assert data["refresh_token"] != login.tokens["refresh_token"]
    assert await rows("SELECT count(*) FROM auth.session WHERE user_id = :id", id=login.account.id) == [(1,)]
    assert await events(login.account.id) == ["user.registered.v1", "session.started.v1"]


async def test_r4_only_the_hash_of_a_token_is_stored(refresh, login, rows):
    first = login.tokens["refresh_token"]
    second = token_of(await refresh(first))
    stored = await rows("SELECT * FROM auth.refresh_token WHERE session_id = :id", id=login.session_id)
    assert {row[0] for row in stored} == {hashlib.sha256(token.encode()).digest() for token in (first, second)}
    everything = await rows("SELECT * FROM auth.outbox WHERE stream_id = :id", id=login.session_id)
    text = json.dumps([*stored, *everything], default=str)
    assert first not in text
    assert second not in text
    assert first[7:30] not in text


async def test_r5_a_lost_answer_is_given_again_within_ten_seconds(refresh, login, later):
    first = login.tokens["refresh_token"]
    second = token_of(await refresh(first))
    await later(login, 9)
    assert token_of(await refresh(first)) == second
    third = token_of(await refresh(second))
    assert third not in (first, second)


@pytest.mark.usefixtures("confirmed")
async def test_r5_the_token_before_after_ten_seconds_ends_the_session(refresh, login, later, rows, events, api):
    first = login.tokens["refresh_token"]
    second = token_of(await refresh(first))
    await later(login, 11)
    reused = await refresh(first)
    assert codes(reused) == (401, ["REFRESH_REUSED"])
    assert reused.headers["www-authenticate"] == "Bearer"
    assert await rows(SESSION, id=login.session_id) == [(0,)]
    assert await rows("SELECT count(*) FROM auth.refresh_token WHERE session_id = :id", id=login.session_id) == [(0,)]
    marks = await rows(
        "SELECT kind, expires_at - now() BETWEEN '24:00:20' AND '24:00:30' FROM auth.revocation WHERE subject = :id",
        id=login.session_id,
    )
    assert marks == [("session", True)]
    assert await events(login.account.id) == [
        "user.registered.v1",
        "session.started.v1",
        "session.compromised.v1",
        "account_mail.requested.v1",
    ]
    for token in (first, second):
        assert codes(await refresh(token)) == (401, ["INVALID_REFRESH_TOKEN"])


@pytest.mark.usefixtures("confirmed")
async def test_r5_the_owner_is_told_by_mail_once_that_somebody_has_a_copy(api, refresh, login, mails_about):
    first = login.tokens["refresh_token"]
    token_of(await refresh(token_of(await refresh(first))))
    headers = {"user-agent": "Thief/1.0"}
    answers = [await api.post("/api/v1/auth/refresh", json={"refresh_token": first}, headers=headers) for _ in range(2)]
    assert [codes(answer)[1] for answer in answers] == [["REFRESH_REUSED"], ["INVALID_REFRESH_TOKEN"]]
    (mail,) = await mails_about(login.account.id)
    assert (mail["kind"], mail["to"], mail["token_sealed"]) == ("session_compromised", login.account.email, None)
    assert mail["device"] == "Thief/1.0"


async def test_a_refresh_during_a_change_of_roles_tells_the_new_ones(refresh, login, rows, database):
    async def waits():
        return await rows(WAITING) == [(1,)]

    async with database.writer.begin() as other:
        change = "UPDATE auth.account SET roles = '{user,admin}' WHERE id = :id"
        await other.execute(text(change), {"id": login.account.id})
        sent = asyncio.create_task(refresh(login.tokens["refresh_token"]))
        await eventually(waits)
    token = (await sent).json()["data"]["access_token"]
    assert jwt.decode(token, options={"verify_signature": False})["roles"] == ["admin", "user"]
    await rows("UPDATE auth.account SET roles = '{user}' WHERE id = :id", id=login.account.id)


async def test_r5_any_older_token_ends_the_session_at_once(refresh, login, log_in, rows):
    other = await log_in(login.account)
    first = login.tokens["refresh_token"]
    third = token_of(await refresh(token_of(await refresh(first))))
    assert codes(await refresh(first)) == (401, ["REFRESH_REUSED"])
    assert codes(await refresh(third)) == (401, ["INVALID_REFRESH_TOKEN"])
    assert await rows(SESSION, id=login.session_id) == [(0,)]
    assert (await refresh(other.tokens["refresh_token"])).status_code == 200


@pytest.fixture
async def three_apis(open_api, database_settings):
    """Three instances of the service, each with connections of its own to the one database."""
    patient = database_settings.model_copy(update={"write_wait_seconds": 60.0})
    databases = [open_database(patient, application_name=f"auth-tests-{n}") for n in range(3)]
    async with AsyncExitStack() as stack:
        yield [await stack.enter_async_context(open_api(on=database)) for database in databases]
    for database in databases:
        await database.close()


async def test_r5_two_hundred_refreshes_at_once_over_three_instances_give_one_successor(
    three_apis, refresh, login, rows
):
    body = {"refresh_token": login.tokens["refresh_token"]}
    calls = [three_apis[n % 3].post("/api/v1/auth/refresh", json=body) for n in range(200)]
    answers = await asyncio.gather(*calls)
    (successor,) = {token_of(answer) for answer in answers}
    assert len({answer.json()["data"]["access_token"] for answer in answers}) == 200
    assert await rows("SELECT count(*) FROM auth.refresh_token WHERE session_id = :id", id=login.session_id) == [(2,)]
    assert (await refresh(successor)).status_code == 200


async def test_r5_reuses_at_once_end_the_session_once(refresh, login, later, events):
    token_of(await refresh(login.tokens["refresh_token"]))
    await later(login, 11)
    answers = await asyncio.gather(*(refresh(login.tokens["refresh_token"]) for _ in range(10)))
    found = sorted(codes(answer)[1][0] for answer in answers)
    assert found == ["INVALID_REFRESH_TOKEN"] * 9 + ["REFRESH_REUSED"]
    assert (await events(login.account.id)).count("session.compromised.v1") == 1


async def test_r4_a_session_ends_when_it_is_idle_for_two_weeks(refresh, login, rows):
    ((idle,),) = await rows(
        "SELECT idle_expires_at - last_used_at FROM auth.session WHERE id = :id", id=login.session_id
    )
    assert idle.total_seconds() == 14 * 86400
    await rows("UPDATE auth.session SET idle_expires_at = now() WHERE id = :id", id=login.session_id)
    assert codes(await refresh(login.tokens["refresh_token"])) == (401, ["INVALID_REFRESH_TOKEN"])


async def test_r4_a_session_ends_thirty_days_after_the_login_however_it_is_used(refresh, login, rows):
    ((whole,),) = await rows("SELECT expires_at - created_at FROM auth.session WHERE id = :id", id=login.session_id)
    assert whole.total_seconds() == 30 * 86400
    await rows("UPDATE auth.session SET expires_at = now() + interval '1 hour' WHERE id = :id", id=login.session_id)
    answer = await refresh(login.tokens["refresh_token"])
    assert 3590 <= answer.json()["data"]["refresh_expires_in"] <= 3600
    assert lifetime(answer) == answer.json()["data"]["expires_in"] == answer.json()["data"]["refresh_expires_in"]
    await rows("UPDATE auth.session SET expires_at = now() WHERE id = :id", id=login.session_id)
    assert codes(await refresh(token_of(answer))) == (401, ["INVALID_REFRESH_TOKEN"])


def lifetime(answer):
    claims = jwt.decode(answer.json()["data"]["access_token"], options={"verify_signature": False})
    return claims["exp"] - claims["iat"]


@pytest.mark.parametrize(("idle", "absolute"), [(600, 7200), (7200, 600)])
async def test_r4_no_access_token_outlives_its_session(open_api, account, idle, absolute):
    async with open_api(refresh_idle_ttl=idle, refresh_absolute_ttl=absolute) as api:
        answer = await api.post("/api/v1/auth/login", json=account.credentials)
    assert (lifetime(answer), answer.json()["data"]["expires_in"]) == (600, 600)


@pytest.mark.parametrize("mend", [str.lower, str.swapcase, lambda t: t[:-1], lambda t: t + "0", lambda t: t[:-1] + "!"])
async def test_r4_a_changed_token_is_401_and_spends_nothing(refresh, login, mend):
    token = login.tokens["refresh_token"]
    assert codes(await refresh(mend(token))) == (401, ["INVALID_REFRESH_TOKEN"])
    assert (await refresh(token)).status_code == 200


@pytest.mark.parametrize(
    "token", ["", "x", "tlm_rt_", "tlm_rt_" + "0" * 49, "\u00e9" * 56, "tlm_rt_" + "\u0660" * 49, "a" * 200]
)
async def test_r4_what_is_no_token_is_401_never_500(refresh, token):
    assert codes(await refresh(token)) == (401, ["INVALID_REFRESH_TOKEN"])


async def test_r4_a_well_formed_token_that_nobody_was_given_is_401(refresh):
    assert codes(await refresh(REFRESH_TOKEN.new())) == (401, ["INVALID_REFRESH_TOKEN"])


async def test_a_token_longer_than_any_is_422(refresh):
    assert codes(await refresh("a" * 201)) == (422, ["TOO_LONG"])


async def test_an_access_token_is_no_refresh_token(api, refresh, login):
    answer = await refresh(login.tokens["access_token"])
    assert codes(answer) == (422, ["TOO_LONG"])
