"""Proving again who is logged in, before what is sensitive (A4)."""

import hashlib
from datetime import datetime, timedelta

import pytest
from chassis.clock import utcnow

STEP_UP = "/api/v1/auth/step-up"
TOTP = "/api/v1/auth/mfa/totp"
LONG_AGO = """
    UPDATE auth.session SET authenticated_at = now() - interval '11 min',
        second_factor_at = second_factor_at - interval '11 min'
    WHERE id = :id
"""
AUDIT = """
    SELECT outcome, credential_id, details FROM auth.audit_event
    WHERE subject_id = :id AND action = 'session.step_up' ORDER BY id
"""


def codes(answer):
    return answer.status_code, [error["code"] for error in answer.json()["errors"]]


@pytest.fixture
def step_up(api):
    async def step_up(login, **body):
        return await api.post(STEP_UP, json=body, headers=login.headers)

    return step_up


@pytest.fixture
async def stale(login, rows):
    """A session whose login is long ago."""
    await rows(LONG_AGO, id=login.session_id)
    return login


async def test_step_up_200_by_password_opens_what_is_sensitive(api, stale, step_up, rows):
    assert codes(await api.post(TOTP, headers=stale.headers)) == (403, ["STEP_UP_REQUIRED"])
    answer = await step_up(stale, password=stale.account.password)
    assert answer.status_code == 200
    assert answer.headers["cache-control"] == "no-store"
    end = datetime.fromisoformat(answer.json()["data"]["proven_until"])
    assert timedelta(seconds=595) < end - utcnow() <= timedelta(seconds=600)
    assert (await api.post(TOTP, headers=stale.headers)).status_code == 200
    noted = await rows(AUDIT, id=stale.account.id)
    assert noted == [("success", stale.session_id, {"methods": ["password"]})]


async def test_a_step_up_is_of_its_session_alone(api, stale, log_in, step_up, rows):
    other = await log_in(stale.account)
    await rows(LONG_AGO, id=other.session_id)
    await step_up(stale, password=stale.account.password)
    assert codes(await api.post(TOTP, headers=other.headers)) == (403, ["STEP_UP_REQUIRED"])


async def test_how_long_a_proof_holds_is_a_setting(open_api, login, rows):
    async with open_api(step_up_seconds=1200) as lenient:
        await rows(LONG_AGO, id=login.session_id)
        assert (await lenient.post(TOTP, headers=login.headers)).status_code == 200


async def test_step_up_401_by_a_wrong_password_which_counts_as_at_the_login(api, stale, step_up, rows):
    digest = hashlib.sha256(stale.account.email.encode()).digest()
    for _ in range(6):
        assert codes(await step_up(stale, password="not this one")) == (401, ["INVALID_CREDENTIALS"])
    assert await rows("SELECT failures FROM auth.login_failure WHERE account_digest = :d", d=digest) == [(6,)]
    refused = await step_up(stale, password=stale.account.password)
    assert codes(refused) == (429, ["TOO_MANY_LOGIN_FAILURES"])
    assert refused.headers["retry-after"] == "1"
    assert codes(await api.post("/api/v1/auth/login", json=stale.account.credentials))[0] == 429
    assert codes(await api.post(TOTP, headers=stale.headers)) == (403, ["STEP_UP_REQUIRED"])
    noted = [row[:2] for row in await rows(AUDIT, id=stale.account.id)]
    assert noted == [("refused", stale.session_id)] * 6
    await rows("UPDATE auth.login_failure SET blocked_until = now() WHERE account_digest = :d", d=digest)
    assert (await step_up(stale, password=stale.account.password)).status_code == 200
    assert await rows("SELECT failures FROM auth.login_failure WHERE account_digest = :d", d=digest) == []


@pytest.mark.parametrize("body", [{}, {"otp": "123456"}])
async def test_step_up_403_says_what_is_needed(stale, step_up, body):
    answer = await step_up(stale, **body)
    assert codes(answer) == (403, ["STEP_UP_REQUIRED"])
    assert answer.json()["data"] == {"methods": ["password"]}


@pytest.mark.parametrize("method", ["totp", "recovery_code"])
async def test_step_up_by_the_second_factor(api, login, enrol, step_up, rows, method):
    factor = await enrol(login)
    await rows(LONG_AGO, id=login.session_id)
    assert codes(await api.delete(TOTP, headers=login.headers)) == (403, ["STEP_UP_REQUIRED"])
    otp = factor.code() if method == "totp" else factor.recovery_codes[0]
    assert (await step_up(login, otp=otp)).status_code == 200
    assert (await rows(AUDIT, id=login.account.id))[0] == ("success", login.session_id, {"methods": [method]})
    again = await step_up(login, otp=otp)
    assert codes(again) == (401, ["INVALID_OTP"]), "a code works once, here too"
    assert (await api.delete(TOTP, headers=login.headers)).status_code == 200


async def test_a_password_is_no_step_up_where_there_is_a_second_factor(api, login, enrol, step_up, rows):
    await enrol(login)
    await rows(LONG_AGO, id=login.session_id)
    answer = await step_up(login, password=login.account.password)
    assert codes(answer) == (403, ["STEP_UP_REQUIRED"])
    assert answer.json()["data"] == {"methods": ["totp", "recovery_code"]}
    assert codes(await api.delete(TOTP, headers=login.headers)) == (403, ["STEP_UP_REQUIRED"])


async def test_r13_step_up_429_after_five_wrong_codes_here_or_at_the_login(api, login, enrol, step_up):
    factor = await enrol(login)
    for _ in range(3):
        assert codes(await step_up(login, otp="00000")) == (401, ["INVALID_OTP"])
    for _ in range(2):
        body = {**login.account.credentials, "otp": "00000"}
        assert codes(await api.post("/api/v1/auth/login", json=body)) == (401, ["INVALID_OTP"])
    refused = await step_up(login, otp=factor.code())
    assert codes(refused) == (429, ["TOO_MANY_OTP_TRIES"])
    assert 290 <= int(refused.headers["retry-after"]) <= 300


async def test_a_lost_answer_of_a_step_up_comes_again(api, login, enrol, rows):
    factor = await enrol(login)
    headers = {**login.headers, "idempotency-key": "the-same"}
    body = {"otp": factor.code()}
    first, second = [await api.post(STEP_UP, json=body, headers=headers) for _ in range(2)]
    assert (first.status_code, second.status_code) == (200, 200)
    assert second.headers["idempotency-replayed"] == "true"
    assert first.json()["data"] == second.json()["data"]


@pytest.mark.parametrize(
    ("body", "field", "code"),
    [
        ({"otp": "x" * 65}, "otp", "TOO_LONG"),
        ({"password": "x" * 1025}, "password", "TOO_LONG"),
        ({"otp": None}, "otp", "NOT_NULLABLE"),
        ({"password": 1}, "password", "WRONG_TYPE"),
        ({"pass": "x"}, "pass", "UNKNOWN_FIELD"),
    ],
)
async def test_bad_step_ups_are_422(login, step_up, body, field, code):
    answer = await step_up(login, **body)
    assert answer.status_code == 422
    assert [(one["field"], one["code"]) for one in answer.json()["errors"]] == [(field, code)]
