"""Logging in to an account with a second factor (A4, R13): nothing of it shows before the password is right."""

import asyncio
import hashlib

import pytest

LOGIN = "/api/v1/auth/login"
COMPLETE = "/api/v1/auth/login/mfa"
FORM = "/api/v1/auth/token"
WRONG = "not-this-one-77"
LOGINS = """
    SELECT outcome, details FROM auth.audit_event WHERE subject_id = :id AND action = 'login' ORDER BY id
"""


def codes(answer):
    return answer.status_code, [error["code"] for error in answer.json()["errors"]]


@pytest.fixture
async def factor(login, enrol, rows):
    """The second factor of `account`, whose earlier logins are forgotten."""
    made = await enrol(login)
    await rows("DELETE FROM auth.audit_event WHERE subject_id = :id", id=login.account.id)
    return made


@pytest.fixture
def log_in_with(api, account):
    async def log_in_with(otp=None, **changed):
        body = {**account.credentials, **changed, **({} if otp is None else {"otp": otp})}
        return await api.post(LOGIN, json=body)

    return log_in_with


@pytest.fixture
def ticket(log_in_with):
    async def ticket():
        return (await log_in_with()).json()["data"]["mfa_token"]

    return ticket


async def test_login_401_mfa_required_with_what_is_needed_next(log_in_with, factor, account, rows):
    answer = await log_in_with()
    assert codes(answer) == (401, ["MFA_REQUIRED"])
    assert answer.headers["cache-control"] == "no-store"
    data = answer.json()["data"]
    assert list(data) == ["mfa_token", "methods", "passkey", "challenge_id", "expires_at"]
    assert (data["methods"], data["passkey"]) == (["totp", "recovery_code"], None)
    kept = await rows("SELECT hash FROM auth.login_ticket WHERE user_id = :id", id=account.id)
    assert kept == [(hashlib.sha256(data["mfa_token"].encode()).digest(),)]
    assert await rows(LOGINS, id=account.id) == [("refused", {"methods": ["password"], "refusal": "MFA_REQUIRED"})]


@pytest.mark.parametrize("form", ["plain", "grouped"])
async def test_login_200_with_a_code_and_the_session_says_so(api, log_in_with, factor, account, rows, form):
    code = factor.code()
    answer = await log_in_with(code if form == "plain" else f"{code[:3]} {code[3:]}")
    assert answer.status_code == 200
    assert answer.json()["data"]["user"]["id"] == str(account.id)
    query = "SELECT methods, second_factor_at = authenticated_at FROM auth.session WHERE user_id = :id ORDER BY id DESC"
    assert (await rows(query, id=account.id))[0] == (["password", "totp"], True)
    assert await rows(LOGINS, id=account.id) == [("success", {"methods": ["password", "totp"]})]


async def test_no_oracle_wrong_passwords_get_the_same_answer_whatever_else_is_sent(
    api, log_in_with, factor, account, sign_up
):
    plain = await sign_up()
    answers = [
        await log_in_with(password=WRONG),
        await log_in_with(factor.code(), password=WRONG),
        await log_in_with("000000", password=WRONG),
        await log_in_with(factor.recovery_codes[0], password=WRONG),
        await api.post(LOGIN, json={**plain.credentials, "password": WRONG, "otp": "123456"}),
    ]
    seen = {
        (*codes(one)[1], one.status_code, one.json()["message"], str(one.json()["data"]), str(sorted(one.headers)))
        for one in answers
    }
    assert len(seen) == 1
    assert codes(answers[0]) == (401, ["INVALID_CREDENTIALS"])
    assert (await log_in_with(factor.code())).status_code == 200, "a wrong password uses no code up"


async def test_an_account_without_a_second_factor_logs_in_as_before_with_or_without_a_code(log_in_with, account):
    assert (await log_in_with()).status_code == 200
    assert (await log_in_with("123456")).status_code == 200


async def test_what_stands_against_the_account_comes_before_the_second_factor(log_in_with, factor, account, rows):
    await rows("UPDATE auth.account SET status = 'disabled' WHERE id = :id", id=account.id)
    for otp in (None, factor.code(), "000000"):
        assert codes(await log_in_with(otp)) == (403, ["ACCOUNT_DISABLED"])
    assert await rows("SELECT hash FROM auth.login_ticket WHERE user_id = :id", id=account.id) == []


async def test_r13_a_code_works_once_of_50_parallel_uses(log_in_with, factor, account, rows):
    """The others are refused, as wrong for the tries that are free and as too many after these."""
    code = factor.code()
    answers = await asyncio.gather(*(log_in_with(code) for _ in range(50)))
    assert sum(answer.status_code == 200 for answer in answers) == 1
    refused = sorted(codes(answer)[1][0] for answer in answers if answer.status_code != 200)
    assert set(refused) <= {"INVALID_OTP", "TOO_MANY_OTP_TRIES", "LOGIN_BUSY"}
    assert await rows("SELECT count(*) FROM auth.session WHERE user_id = :id", id=account.id) == [(2,)]


async def test_r13_a_code_and_all_before_it_work_no_more(log_in_with, factor):
    assert (await log_in_with(factor.code(+1))).status_code == 200
    assert codes(await log_in_with(factor.code(+1))) == (401, ["INVALID_OTP"])
    assert codes(await log_in_with(factor.code())) == (401, ["INVALID_OTP"])


async def test_r13_429_after_five_wrong_codes_for_right_and_wrong_ones_alike(log_in_with, factor, account, rows):
    for wrong in ("00000", "abc", factor.recovery_codes[0][:-1], "A" * 64, ""):
        assert codes(await log_in_with(wrong)) == (401, ["INVALID_OTP"])
    for otp in (factor.code(), factor.recovery_codes[0], "00000"):
        refused = await log_in_with(otp)
        assert codes(refused) == (429, ["TOO_MANY_OTP_TRIES"])
        assert 290 <= int(refused.headers["retry-after"]) <= 300
    await rows("UPDATE auth.otp_tries SET began_at = began_at - interval '5 min' WHERE user_id = :id", id=account.id)
    assert (await log_in_with(factor.code())).status_code == 200
    assert [row[0] for row in await rows(LOGINS, id=account.id)] == ["refused"] * 5 + ["success"]


async def test_a_wrong_code_is_no_wrong_password_and_forgets_none(log_in_with, factor, account, rows):
    failures = "SELECT failures FROM auth.login_failure WHERE account_digest = :d"
    digest = hashlib.sha256(account.email.encode()).digest()
    for _ in range(2):
        await log_in_with(password=WRONG)
    assert codes(await log_in_with("00000")) == (401, ["INVALID_OTP"])
    assert codes(await log_in_with()) == (401, ["MFA_REQUIRED"])
    assert await rows(failures, d=digest) == [(2,)]
    assert (await log_in_with(factor.code())).status_code == 200
    assert await rows(failures, d=digest) == []


@pytest.mark.usefixtures("confirmed")
async def test_r13_each_recovery_code_works_once_in_any_form_and_its_owner_is_told(log_in_with, factor, account, rows):
    first, second, third = factor.recovery_codes[:3]
    for form in (first, second.lower(), third.replace("-", "")):
        assert (await log_in_with(form)).status_code == 200
    for used in (first, second.upper()):
        assert codes(await log_in_with(used)) == (401, ["INVALID_OTP"])
    mails = """
        SELECT data->'resource'->'details' FROM auth.outbox
        WHERE data->'resource'->>'kind' = 'recovery_code_used' AND data->'resource'->>'user_id' = :id ORDER BY event_id
    """
    assert [row[0] for row in await rows(mails, id=str(account.id))] == [{"left": "9"}, {"left": "8"}, {"left": "7"}]
    query = "SELECT methods FROM auth.session WHERE user_id = :id ORDER BY id DESC LIMIT 1"
    assert await rows(query, id=account.id) == [(["password", "recovery_code"],)]


async def test_r13_a_recovery_code_works_once_of_many_parallel_uses(log_in_with, factor):
    answers = await asyncio.gather(*(log_in_with(factor.recovery_codes[0]) for _ in range(10)))
    assert sum(answer.status_code == 200 for answer in answers) == 1


async def test_the_second_step_by_ticket_gives_one_session(api, ticket, factor, account, rows):
    body = {"mfa_token": await ticket(), "otp": factor.code()}
    answer = await api.post(COMPLETE, json=body)
    assert answer.status_code == 200
    assert answer.headers["cache-control"] == "no-store"
    assert answer.json()["data"]["user"]["id"] == str(account.id)
    again = {**body, "otp": factor.recovery_codes[0]}
    assert codes(await api.post(COMPLETE, json=again)) == (401, ["INVALID_MFA_TOKEN"])


async def test_a_ticket_works_once_of_many_parallel_uses(api, ticket, factor, account, rows):
    token = await ticket()
    bodies = [{"mfa_token": token, "otp": code} for code in factor.recovery_codes]
    answers = await asyncio.gather(*(api.post(COMPLETE, json=body) for body in bodies))
    assert sorted(answer.status_code for answer in answers) == [200] + [401] * 9
    left = "SELECT count(*) FROM auth.recovery_code WHERE user_id = :id AND used_at IS NULL"
    assert await rows(left, id=account.id) == [(9,)]


async def test_a_wrong_code_leaves_the_ticket_for_the_next_try(api, ticket, factor):
    token = await ticket()
    assert codes(await api.post(COMPLETE, json={"mfa_token": token, "otp": "00000"})) == (401, ["INVALID_OTP"])
    assert (await api.post(COMPLETE, json={"mfa_token": token, "otp": factor.code()})).status_code == 200


async def test_r13_tries_by_ticket_and_by_login_are_counted_together(api, ticket, log_in_with, factor):
    token = await ticket()
    for _ in range(3):
        assert codes(await api.post(COMPLETE, json={"mfa_token": token, "otp": "00000"})) == (401, ["INVALID_OTP"])
    for _ in range(2):
        assert codes(await log_in_with("00000")) == (401, ["INVALID_OTP"])
    body = {"mfa_token": token, "otp": factor.code()}
    assert codes(await api.post(COMPLETE, json=body)) == (429, ["TOO_MANY_OTP_TRIES"])


VOID = {
    "after five minutes": "UPDATE auth.login_ticket SET expires_at = now() WHERE user_id = :id",
    "after the password was changed": "UPDATE auth.account SET password_hash = password_hash || ' ' WHERE id = :id",
}


@pytest.mark.parametrize("when", VOID)
async def test_a_ticket_is_void(api, ticket, factor, account, rows, when):
    token = await ticket()
    await rows(VOID[when], id=account.id)
    body = {"mfa_token": token, "otp": factor.code()}
    assert codes(await api.post(COMPLETE, json=body)) == (401, ["INVALID_MFA_TOKEN"])


@pytest.mark.parametrize("token", ["", "tlm_mfa_", "x" * 200, "tlm_rt_" + "0" * 49])
async def test_an_invented_ticket_is_401(api, factor, token):
    answer = await api.post(COMPLETE, json={"mfa_token": token, "otp": factor.code()})
    assert codes(answer) == (401, ["INVALID_MFA_TOKEN"])


async def test_a_ticket_is_of_its_account(api, ticket, factor, sign_up, log_in, enrol):
    """A code of somebody else completes nothing."""
    other = await enrol(await log_in(await sign_up()))
    body = {"mfa_token": await ticket(), "otp": other.code()}
    assert codes(await api.post(COMPLETE, json=body)) == (401, ["INVALID_OTP"])


async def test_a_ticket_does_not_help_an_account_that_was_disabled_meanwhile(api, ticket, factor, account, rows):
    token = await ticket()
    await rows("UPDATE auth.account SET status = 'disabled' WHERE id = :id", id=account.id)
    body = {"mfa_token": token, "otp": factor.code()}
    assert codes(await api.post(COMPLETE, json=body)) == (403, ["ACCOUNT_DISABLED"])


async def test_the_form_takes_a_code_too(api, factor, account):
    form = {"username": account.email, "password": account.password}
    refused = await api.post(FORM, data=form)
    assert codes(refused) == (401, ["MFA_REQUIRED"])
    assert refused.json()["error"] == "invalid_grant"
    assert refused.json()["data"]["methods"] == ["totp", "recovery_code"]
    wrong = await api.post(FORM, data={**form, "otp": "00000"})
    assert codes(wrong) == (401, ["INVALID_OTP"])
    assert (await api.post(FORM, data={**form, "otp": factor.code()})).status_code == 200


@pytest.mark.parametrize(
    ("body", "field", "code"),
    [
        ({"mfa_token": "x"}, None, "ONE_PROOF"),
        ({"otp": "x"}, "mfa_token", "REQUIRED"),
        ({"mfa_token": 1, "otp": "x"}, "mfa_token", "WRONG_TYPE"),
        ({"mfa_token": "x", "otp": "x" * 65}, "otp", "TOO_LONG"),
        ({"mfa_token": "x" * 201, "otp": "x"}, "mfa_token", "TOO_LONG"),
        ({"mfa_token": "x", "otp": "x", "more": 1}, "more", "UNKNOWN_FIELD"),
    ],
)
async def test_bad_second_steps_are_422(api, body, field, code):
    answer = await api.post(COMPLETE, json=body)
    assert answer.status_code == 422
    assert [(one["field"], one["code"]) for one in answer.json()["errors"]] == [(field, code)]


async def test_taking_an_account_back_needs_the_second_factor_too(api, factor, account, rows):
    await rows("UPDATE auth.account SET status = 'deactivated' WHERE id = :id", id=account.id)
    refused = await api.post("/api/v1/auth/reactivate", json=account.credentials)
    assert codes(refused) == (401, ["MFA_REQUIRED"])
    wrong = {**account.credentials, "otp": "00000"}
    assert codes(await api.post("/api/v1/auth/reactivate", json=wrong)) == (401, ["INVALID_OTP"])
    assert await rows("SELECT status FROM auth.account WHERE id = :id", id=account.id) == [("deactivated",)]
    right = {**account.credentials, "otp": factor.code()}
    assert (await api.post("/api/v1/auth/reactivate", json=right)).status_code == 200
    query = "SELECT methods FROM auth.session WHERE user_id = :id ORDER BY id DESC LIMIT 1"
    assert await rows(query, id=account.id) == [(["password", "totp"],)]
