"""Leaving: deactivate, delete, take back, and who may not."""

import asyncio
from datetime import timedelta

import pytest
from chassis.clock import rfc3339, utcnow
from chassis.ids import uuid7
from sqlalchemy import text
from testkit.authenticator import Authenticator
from testkit.waiting import eventually

ME = "/api/v1/users/me"
DEACTIVATE = "/api/v1/users/me/deactivate"
REACTIVATE = "/api/v1/auth/reactivate"
LOGIN = "/api/v1/auth/login"
ACCOUNT = "SELECT status, deletes_at, version FROM auth.account WHERE id = :id"
SESSIONS = "SELECT count(*) FROM auth.session WHERE user_id = :id"
MARKS = "SELECT count(*) FROM auth.revocation WHERE subject = :id AND kind = 'user'"
NOTED = "SELECT action, actor_id FROM auth.audit_event WHERE subject_id = :id AND action LIKE 'account.%' ORDER BY id"


def codes(answer):
    return answer.status_code, [error["code"] for error in answer.json()["errors"]]


@pytest.mark.usefixtures("confirmed")
async def test_deactivating_ends_all_sessions_and_is_told_mailed_and_noted(
    api, account, log_in, rows, events, mails_about
):
    login, _other = await log_in(account), await log_in(account)
    answer = await api.post(DEACTIVATE, headers=login.headers)
    assert (answer.status_code, answer.headers["etag"], answer.headers["cache-control"]) == (200, '"2"', "no-store")
    assert (answer.json()["data"]["status"], answer.json()["data"]["deletes_at"]) == ("deactivated", None)
    assert await rows(SESSIONS, id=account.id) == [(0,)]
    assert await rows(MARKS, id=account.id) == [(1,)]
    told = await events(account.id)
    assert told.count("user.deactivated.v1") == 1
    assert told.count("session.revoked.v1") == 2
    assert [(mail["kind"], mail["to"]) for mail in await mails_about(account.id)] == [
        ("account_deactivated", account.email)
    ]
    assert (await rows(NOTED, id=account.id))[1:] == [("account.deactivated", account.id)]
    assert codes(await api.post(LOGIN, json=account.credentials)) == (403, ["ACCOUNT_DEACTIVATED"])
    refresh = {"refresh_token": login.tokens["refresh_token"]}
    assert codes(await api.post("/api/v1/auth/refresh", json=refresh)) == (401, ["INVALID_REFRESH_TOKEN"])


@pytest.mark.usefixtures("confirmed")
async def test_deleting_says_when_and_ends_all_sessions(api, login, rows, events, mails_about):
    account = login.account
    before = utcnow()
    answer = await api.request("DELETE", ME, headers=login.headers)
    data = answer.json()["data"]
    [(status, deletes_at, version)] = await rows(ACCOUNT, id=account.id)
    assert (answer.status_code, data["status"], status, version) == (200, "deleting", "deleting", 2)
    assert before + timedelta(days=30) <= deletes_at <= utcnow() + timedelta(days=30)
    assert data["deletes_at"] == rfc3339(deletes_at)
    assert await rows(SESSIONS, id=account.id) == [(0,)]
    assert (await events(account.id)).count("user.deletion_scheduled.v1") == 1
    [mail] = await mails_about(account.id)
    assert (mail["kind"], mail["details"]) == ("deletion_scheduled", {"deletes_at": rfc3339(deletes_at)})
    assert (await rows(NOTED, id=account.id))[1:] == [("account.deletion_requested", account.id)]
    assert codes(await api.post(LOGIN, json=account.credentials)) == (403, ["ACCOUNT_DELETING"])


async def test_r33_deleting_412_for_a_stale_version(api, login, rows, events):
    await api.patch(ME, json={"display_name": "Ada L."}, headers=login.headers)
    stale = await api.request("DELETE", ME, headers={**login.headers, "if-match": '"1"'})
    assert codes(stale) == (412, ["VERSION_CONFLICT"])
    assert stale.json()["data"]["current"]["version"] == 2
    assert await rows(ACCOUNT, id=login.account.id) == [("active", None, 2)]
    assert await rows(SESSIONS, id=login.account.id) == [(1,)]
    bad = await api.request("DELETE", ME, headers={**login.headers, "if-match": "2"})
    assert codes(bad) == (400, ["IF_MATCH_MALFORMED"])
    assert (await events(login.account.id)).count("user.deletion_scheduled.v1") == 0
    assert (await api.request("DELETE", ME, headers={**login.headers, "if-match": '"2"'})).status_code == 200


async def test_deleting_204_where_no_answer_is_wanted(api, login, rows):
    answer = await api.request("DELETE", ME, headers={**login.headers, "prefer": "return=minimal"})
    assert (answer.status_code, answer.content, answer.headers["preference-applied"]) == (204, b"", "return=minimal")
    assert (await rows(ACCOUNT, id=login.account.id))[0][0] == "deleting"


async def test_the_grace_is_a_setting(open_api, login, rows):
    async with open_api(deletion_grace_days=1) as api:
        assert (await api.request("DELETE", ME, headers=login.headers)).status_code == 200
    [(_, deletes_at, _)] = await rows(ACCOUNT, id=login.account.id)
    assert timedelta(hours=23) < deletes_at - utcnow() <= timedelta(days=1)


@pytest.mark.parametrize(("method", "path"), [("POST", DEACTIVATE), ("DELETE", ME)])
async def test_leaving_403_without_a_recent_proof_or_with_an_api_token(
    api, login, rows, events, test_gateway, method, path
):
    await rows(
        "UPDATE auth.session SET authenticated_at = now() - interval '1 hour' WHERE id = :id", id=login.session_id
    )
    assert codes(await api.request(method, path, headers=login.headers)) == (403, ["STEP_UP_REQUIRED"])
    token = test_gateway.token_headers(login.account.id, "admin:*", "tasks:write")
    assert codes(await api.request(method, path, headers=token)) == (403, ["SESSION_REQUIRED"])
    no_session = login.account.headers(uuid7())
    assert codes(await api.request(method, path, headers=no_session)) == (403, ["STEP_UP_REQUIRED"])
    assert await rows(ACCOUNT, id=login.account.id) == [("active", None, 1)]
    assert (await events(login.account.id)).count("session.revoked.v1") == 0


@pytest.mark.parametrize(("method", "path"), [("POST", DEACTIVATE), ("DELETE", ME)])
async def test_leaving_409_for_the_last_administrator(api, only_admin, log_in, sign_up, make_admin, rows, method, path):
    login = await log_in(only_admin)
    assert codes(await api.request(method, path, headers=login.headers)) == (409, ["LAST_ADMIN"])
    assert await rows(ACCOUNT, id=only_admin.id) == [("active", None, 1)]
    assert await rows(SESSIONS, id=only_admin.id) == [(1,)]
    second = await sign_up()
    await make_admin(second)
    await rows("UPDATE auth.account SET status = 'disabled' WHERE id = :id", id=second.id)
    assert codes(await api.request(method, path, headers=login.headers)) == (409, ["LAST_ADMIN"])
    await rows("UPDATE auth.account SET status = 'active' WHERE id = :id", id=second.id)
    assert (await api.request(method, path, headers=login.headers)).status_code == 200


async def test_of_the_last_two_administrators_who_leave_at_once_one_stays(
    api, only_admin, log_in, sign_up, make_admin, rows
):
    second = await sign_up()
    await make_admin(second)
    logins = [await log_in(one) for one in (only_admin, second)]
    answers = await asyncio.gather(*(api.post(DEACTIVATE, headers=one.headers) for one in logins))
    assert sorted(answer.status_code for answer in answers) == [200, 409]
    query = "SELECT count(*) FROM auth.account WHERE 'admin' = ANY (roles) AND status = 'active'"
    assert await rows(query) == [(1,)]


@pytest.mark.parametrize(("method", "path"), [("POST", DEACTIVATE), ("DELETE", ME)])
async def test_who_is_no_administrator_waits_for_none(api, login, sign_up, make_admin, database, method, path):
    admin = await sign_up()
    await make_admin(admin)
    async with database.writer.begin() as connection:
        held = text("SELECT 1 FROM auth.account WHERE id = :id FOR UPDATE").bindparams(id=admin.id)
        await connection.execute(held)
        assert (await api.request(method, path, headers=login.headers)).status_code == 200


@pytest.mark.parametrize(("method", "path"), [("POST", DEACTIVATE), ("DELETE", ME)])
async def test_who_became_an_administrator_while_leaving_has_to_come_again(
    api, login, make_admin, database, rows, method, path
):
    """The other administrators were not held, so this might be the last one."""
    account = login.account
    async with database.writer.begin() as connection:
        promoted = text("UPDATE auth.account SET roles = '{user,admin}' WHERE id = :id").bindparams(id=account.id)
        await connection.execute(promoted)
        leaving = asyncio.create_task(api.request(method, path, headers=login.headers))

        async def waits():
            query = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE '%account%'"
            return (await rows(query))[0][0] > 0

        await eventually(waits)
    assert codes(await leaving) == (401, ["UNAUTHENTICATED"])
    assert (await rows(ACCOUNT, id=account.id))[0][0] == "active"


@pytest.mark.parametrize(("method", "path"), [("POST", DEACTIVATE), ("DELETE", ME)])
async def test_an_account_that_was_disabled_meanwhile_can_not_be_left(api, login, rows, method, path):
    """Else its owner could take it back."""
    await rows("UPDATE auth.account SET status = 'disabled' WHERE id = :id", id=login.account.id)
    assert codes(await api.request(method, path, headers=login.headers)) == (401, ["UNAUTHENTICATED"])
    assert await rows(ACCOUNT, id=login.account.id) == [("disabled", None, 1)]


@pytest.mark.parametrize(("method", "path"), [("POST", DEACTIVATE), ("DELETE", ME)])
@pytest.mark.usefixtures("confirmed")
async def test_a_left_account_is_taken_back_by_its_password(api, login, rows, events, mails_about, method, path):
    account = login.account
    assert (await api.request(method, path, headers=login.headers)).status_code == 200
    wrong = {**account.credentials, "password": "not-this-one-77"}
    assert codes(await api.post(REACTIVATE, json=wrong)) == (401, ["INVALID_CREDENTIALS"])
    assert (await rows(ACCOUNT, id=account.id))[0][0] != "active"
    answer = await api.post(REACTIVATE, json=account.credentials)
    assert (answer.status_code, answer.headers["cache-control"]) == (200, "no-store")
    assert answer.json()["data"]["user"]["status"] == "active"
    assert await rows(ACCOUNT, id=account.id) == [("active", None, 3)]
    assert (await events(account.id)).count("user.reactivated.v1") == 1
    assert [mail["kind"] for mail in await mails_about(account.id)][1:] == ["account_reactivated"]
    assert (await rows(NOTED, id=account.id))[-1] == ("account.reactivated", account.id)
    again = await api.post(REACTIVATE, json=account.credentials)
    assert again.status_code == 200
    assert (await events(account.id)).count("user.reactivated.v1") == 1
    assert (await api.post(LOGIN, json=account.credentials)).status_code == 200


async def test_reactivate_401_alike_for_unknown_accounts_and_429_after_too_many_failures(api, account):
    unknown = {"email": f"{uuid7().hex}@example.com", "password": "not-this-one-77"}
    known = {**account.credentials, "password": "not-this-one-77"}
    for body in (unknown, known):
        answers = [codes(await api.post(REACTIVATE, json=body)) for _ in range(7)]
        assert answers == [(401, ["INVALID_CREDENTIALS"])] * 6 + [(429, ["TOO_MANY_LOGIN_FAILURES"])]
    login = await api.post(LOGIN, json=account.credentials)
    assert codes(login) == (429, ["TOO_MANY_LOGIN_FAILURES"])


async def test_reactivate_opens_nothing_that_an_administrator_has_closed(api, account, rows, events):
    await rows("UPDATE auth.account SET status = 'disabled' WHERE id = :id", id=account.id)
    assert codes(await api.post(REACTIVATE, json=account.credentials)) == (403, ["ACCOUNT_DISABLED"])
    assert await rows(ACCOUNT, id=account.id) == [("disabled", None, 1)]
    assert await events(account.id) == ["user.registered.v1"]


async def test_a_left_account_whose_password_has_to_be_another_says_so_and_comes_back_after_a_reset(
    api, account, rows, mails
):
    await rows(
        "UPDATE auth.account SET status = 'deactivated', password_reset_required = true WHERE id = :id", id=account.id
    )
    assert codes(await api.post(LOGIN, json=account.credentials)) == (403, ["ACCOUNT_DEACTIVATED"])
    assert codes(await api.post(REACTIVATE, json=account.credentials)) == (403, ["PASSWORD_RESET_REQUIRED"])
    assert await rows(ACCOUNT, id=account.id) == [("deactivated", None, 1)]
    noted = (
        "SELECT details->>'refusal' FROM auth.audit_event WHERE subject_id = :id AND outcome = 'refused' ORDER BY id"
    )
    assert await rows(noted, id=account.id) == [("ACCOUNT_DEACTIVATED",), ("PASSWORD_RESET_REQUIRED",)]
    assert (await api.post("/api/v1/auth/password/forgot", json={"email": account.email})).status_code == 202
    token = (await mails(account.email))[-1].token
    body = {"token": token, "password": "another-harbor-78"}
    assert (await api.post("/api/v1/auth/password/reset", json=body)).status_code < 300
    again = await api.post(REACTIVATE, json={"email": account.email, "password": "another-harbor-78"})
    assert again.status_code == 200
    assert (await rows(ACCOUNT, id=account.id))[0][0] == "active"


async def test_reactivate_401_when_the_time_has_come(api, login, rows):
    await api.request("DELETE", ME, headers=login.headers)
    await rows("UPDATE auth.account SET deletes_at = now() WHERE id = :id", id=login.account.id)
    assert codes(await api.post(REACTIVATE, json=login.account.credentials)) == (401, ["INVALID_CREDENTIALS"])
    assert (await rows(ACCOUNT, id=login.account.id))[0][0] == "deleting"


@pytest.mark.parametrize(("method", "path"), [("POST", DEACTIVATE), ("DELETE", ME)])
async def test_a_left_account_is_taken_back_by_its_password_and_passkey(api, login, rows, events, method, path):
    passkey, account = await passkey_of(api, login), login.account
    assert (await api.request(method, path, headers=login.headers)).status_code == 200
    data = (await api.post(REACTIVATE, json=account.credentials)).json()["data"]
    assert sorted(data) == ["challenge_id", "expires_at", "methods", "mfa_token", "passkey"]
    proof = {"challenge_id": data["challenge_id"], "credential": passkey.get(data["passkey"])}
    wrong = {**account.credentials, "password": "not-this-one-77"}
    assert codes(await api.post(REACTIVATE, json={**wrong, **proof})) == (401, ["INVALID_CREDENTIALS"])
    both = {**account.credentials, **proof, "otp": "123456"}
    assert codes(await api.post(REACTIVATE, json=both)) == (422, ["ONE_PROOF"])
    answer = await api.post(REACTIVATE, json={**account.credentials, **proof})
    assert answer.status_code == 200, answer.text
    assert await rows(ACCOUNT, id=account.id) == [("active", None, 3)]
    assert (await events(account.id)).count("user.reactivated.v1") == 1
    query = "SELECT methods, second_factor_at IS NOT NULL FROM auth.session WHERE user_id = :id"
    assert await rows(query, id=account.id) == [(["password", "passkey"], True)]


async def test_reactivate_401_for_a_passkey_that_does_not_answer_the_challenge(api, login, rows):
    passkey, account = await passkey_of(api, login), login.account
    await api.post(DEACTIVATE, headers=login.headers)
    data = (await api.post(REACTIVATE, json=account.credentials)).json()["data"]
    body = {**account.credentials, "challenge_id": data["challenge_id"], "credential": passkey.get(data["passkey"])}
    for bad in ({**body, "challenge_id": str(uuid7())}, {k: v for k, v in body.items() if k != "challenge_id"}):
        assert codes(await api.post(REACTIVATE, json=bad)) == (401, ["INVALID_PASSKEY"])
    passkey.origin = "https://evil.example"
    bad = {**body, "credential": passkey.get(data["passkey"])}
    assert codes(await api.post(REACTIVATE, json=bad)) == (401, ["INVALID_PASSKEY"])
    assert codes(await api.post(REACTIVATE, json=body)) == (401, ["INVALID_PASSKEY"]), "the challenge is used up"
    assert (await rows(ACCOUNT, id=account.id))[0][0] == "deactivated"


async def passkey_of(api, login):
    path, passkey = "/api/v1/auth/passkeys/register", Authenticator()
    begun = (await api.post(f"{path}/options", headers=login.headers)).json()["data"]
    body = {"challenge_id": begun["challenge_id"], "credential": passkey.create(begun["public_key"])}
    assert (await api.post(path, json=body, headers=login.headers)).status_code == 201
    return passkey


async def test_reactivate_asks_for_a_second_factor_before_anything_is_opened(api, login, enrol, rows, events):
    factor = await enrol(login)
    account = login.account
    open_one = await api.post(REACTIVATE, json=account.credentials)
    assert codes(open_one) == (401, ["MFA_REQUIRED"])
    await rows("UPDATE auth.account SET status = 'deactivated' WHERE id = :id", id=account.id)
    without = await api.post(REACTIVATE, json=account.credentials)
    assert codes(without) == (401, ["MFA_REQUIRED"])
    ticket = {"mfa_token": without.json()["data"]["mfa_token"], "otp": factor.code()}
    assert codes(await api.post("/api/v1/auth/login/mfa", json=ticket)) == (403, ["ACCOUNT_DEACTIVATED"])
    assert codes(await api.post(REACTIVATE, json={**account.credentials, "otp": "000000"})) == (401, ["INVALID_OTP"])
    assert (await rows(ACCOUNT, id=account.id))[0][0] == "deactivated"
    assert (await events(account.id)).count("user.reactivated.v1") == 0
    answer = await api.post(REACTIVATE, json={**account.credentials, "otp": factor.code()})
    assert answer.status_code == 200
    assert (await rows(ACCOUNT, id=account.id))[0][0] == "active"
