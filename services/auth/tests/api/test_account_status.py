"""What stands between an account and a session is told to its owner, and to nobody else."""

import pytest
from auth_service.audit.rules import AuditAction

AUDIT = """
    SELECT action, outcome, actor_id, credential_id, address, device, request_id, details
    FROM auth.audit_event WHERE subject_id = :id ORDER BY id
"""
HERE = {"x-client-address": "203.0.113.7", "user-agent": "phone", "x-request-id": "a-request-of-mine"}


def codes(answer):
    return answer.status_code, [error["code"] for error in answer.json()["errors"]]


REFUSALS = {
    "disabled": ("UPDATE auth.account SET status = 'disabled' WHERE id = :id", "ACCOUNT_DISABLED"),
    "deactivated": ("UPDATE auth.account SET status = 'deactivated' WHERE id = :id", "ACCOUNT_DEACTIVATED"),
    "deleting": ("UPDATE auth.account SET status = 'deleting' WHERE id = :id", "ACCOUNT_DELETING"),
    "reset": ("UPDATE auth.account SET password_reset_required = true WHERE id = :id", "PASSWORD_RESET_REQUIRED"),
}


@pytest.mark.parametrize("name", REFUSALS)
async def test_login_403_to_the_right_password_and_401_to_a_wrong_one(api, account, rows, name):
    change, code = REFUSALS[name]
    await rows(change, id=account.id)
    wrong = {**account.credentials, "password": "not-this-one-77"}
    assert codes(await api.post("/api/v1/auth/login", json=wrong)) == (401, ["INVALID_CREDENTIALS"])
    assert codes(await api.post("/api/v1/auth/login", json=account.credentials)) == (403, [code])
    assert await rows("SELECT count(*) FROM auth.session WHERE user_id = :id", id=account.id) == [(0,)]
    noted = [(row[0], row[1], row[7]) for row in await rows(AUDIT, id=account.id)]
    assert noted == [
        ("account.registered", "success", {}),
        ("login", "refused", {}),
        ("login", "refused", {"methods": ["password"], "refusal": code}),
    ]


@pytest.mark.parametrize("name", REFUSALS)
async def test_refresh_401_for_an_account_that_may_have_no_session(api, login, rows, name):
    change, _ = REFUSALS[name]
    await rows(change, id=login.account.id)
    body = {"refresh_token": login.tokens["refresh_token"]}
    assert codes(await api.post("/api/v1/auth/refresh", json=body)) == (401, ["INVALID_REFRESH_TOKEN"])


async def test_login_401_before_the_address_is_confirmed_where_that_is_required(open_api, account, rows):
    async with open_api(email_verification="required") as strict:
        for path in ("login", "reactivate"):
            refused = await strict.post(f"/api/v1/auth/{path}", json=account.credentials)
            assert codes(refused) == (401, ["INVALID_CREDENTIALS"])
        await rows("UPDATE auth.account SET email_verified_at = now() WHERE id = :id", id=account.id)
        answer = await strict.post("/api/v1/auth/login", json=account.credentials)
        assert answer.status_code == 200
        assert answer.json()["data"]["user"]["email_verified"] is True


async def test_what_is_done_with_an_account_is_in_the_audit_with_who_and_where_from(api, account, log_in, rows):
    login = await log_in(account, **HERE)
    headers = {**login.headers, **HERE}
    assert (await api.post("/api/v1/auth/logout", headers=headers)).status_code == 200
    registered, logged_in, logged_out = await rows(AUDIT, id=account.id)
    assert (registered[0], registered[2]) == (AuditAction.ACCOUNT_REGISTERED, account.id)
    here = ("203.0.113.7", "phone", "a-request-of-mine")
    by_session = (account.id, login.session_id)
    assert logged_in == ("login", "success", *by_session, *here, {"methods": ["password"]})
    assert logged_out == ("logout", "success", *by_session, *here, {})


async def test_a_session_shows_where_it_was_last_used_from_and_by_what_it_was_opened(api, account, log_in):
    login = await log_in(account, **HERE)
    listed = (await api.get("/api/v1/auth/sessions", headers=login.headers)).json()["data"]
    assert [(one["address"], one["device"], one["methods"]) for one in listed] == [
        ("203.0.113.7", "phone", ["password"])
    ]
    body = {"refresh_token": login.tokens["refresh_token"]}
    moved = {"x-client-address": "2001:db8::5"}
    assert (await api.post("/api/v1/auth/refresh", json=body, headers=moved)).status_code == 200
    listed = (await api.get("/api/v1/auth/sessions", headers=login.headers)).json()["data"]
    assert [one["address"] for one in listed] == ["2001:db8::5"]
