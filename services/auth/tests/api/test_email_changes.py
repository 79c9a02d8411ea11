"""Another address: by whom it may be asked for, and what ends the asking (R11)."""

import hashlib

import pytest
from chassis.ids import uuid7

EMAIL, VERIFY = "/api/v1/auth/email/change", "/api/v1/auth/verify-email"
RESET = "/api/v1/auth/password/reset"
INVALID = (422, [("token", "LINK_TOKEN_INVALID")])
CLOSE = """
    INSERT INTO auth.account_failures (account_digest, failures, blocked_at, last_at) VALUES (:d, 100, now(), now())
"""
ROWS = "SELECT count(*) FROM auth.account_failures WHERE account_digest = :d"
LATER = "UPDATE auth.mail_budget SET last_at = last_at - interval '2 min' WHERE account_id = :id"
FULL = """
    UPDATE auth.mail_budget
    SET sent_at = array_fill(now() - interval '20 min', ARRAY[5]), last_at = now() - interval '20 min'
    WHERE account_id = :id
"""
ASKED = "SELECT count(*) FROM auth.audit_event WHERE subject_id = :id AND action = 'email.change_requested'"
ADDRESS = "SELECT email FROM auth.account WHERE id = :id"


def codes(answer):
    return answer.status_code, [(error["field"], error["code"]) for error in answer.json()["errors"]]


def digest(email):
    return hashlib.sha256(email.encode()).digest()


@pytest.fixture
def new():
    return f"{uuid7().hex}@example.com"


@pytest.fixture
def ask(api):
    async def ask(login, email, **headers):
        body = {"email": email, "password": login.account.password}
        return await api.post(EMAIL, json=body, headers={**login.headers, **headers})

    return ask


@pytest.fixture
def asked(ask, mails):
    """Asks for another address, and returns the token that is mailed there."""

    async def asked(login, email):
        assert (await ask(login, email)).status_code == 202
        return [mail.token for mail in await mails(email) if mail.kind == "confirm_email_change"][-1]

    return asked


async def test_a_second_change_within_a_minute_is_429_and_gives_up_the_first_mailbox(
    api, login, ask, asked, new, mails, rows
):
    token, second = await asked(login, new), f"{uuid7().hex}@example.com"
    answer = await ask(login, second, **{"idempotency-key": "second"})
    assert codes(answer) == (429, [(None, "TOO_MANY_MAILS")])
    assert 50 <= int(answer.headers["retry-after"]) <= 60
    assert await mails(second) == []
    await rows(FULL, id=login.account.id)
    assert 2390 <= int((await ask(login, second, **{"idempotency-key": "second"})).headers["retry-after"]) <= 2400
    assert await rows(ASKED, id=login.account.id) == [(1,)]
    assert (await api.post(VERIFY, json={"token": token})).status_code == 422


ENDS = {
    "logout": ("POST", "/api/v1/auth/logout"),
    "logout-all": ("POST", "/api/v1/auth/logout-all"),
    "ended": ("DELETE", "/api/v1/auth/sessions/{session_id}"),
}


@pytest.mark.parametrize("name", ENDS)
async def test_a_change_ends_with_the_session_that_asked_for_it(api, account, log_in, asked, new, rows, name):
    """A thief's change must not outlive what the owner does against the thief."""
    thief, owner = await log_in(account), await log_in(account)
    token = await asked(thief, new)
    method, path = ENDS[name]
    by = thief if name == "logout" else owner
    ended = await api.request(method, path.format(session_id=thief.session_id), headers=by.headers)
    assert ended.status_code in (200, 204)
    assert codes(await api.get(VERIFY, params={"token": token})) == INVALID
    assert codes(await api.post(VERIFY, json={"token": token})) == INVALID
    assert await rows(ADDRESS, id=account.id) == [(account.email,)]


async def test_a_second_factor_ends_the_changes_that_other_sessions_asked_for(api, account, log_in, enrol, asked, new):
    thief, owner = await log_in(account), await log_in(account)
    token = await asked(thief, new)
    await enrol(owner)
    assert codes(await api.post(VERIFY, json={"token": token})) == INVALID


async def test_r11_a_link_in_the_old_mailbox_resets_no_password_after_the_change(api, login, asked, new, mails):
    assert (await api.post("/api/v1/auth/password/forgot", json={"email": login.account.email})).status_code == 202
    *_, in_old_mailbox = await mails(login.account.email)
    assert in_old_mailbox.kind == "reset_password"
    assert (await api.get(RESET, params={"token": in_old_mailbox.token})).status_code == 200
    assert (await api.post(VERIFY, json={"token": await asked(login, new)})).status_code == 200
    assert codes(await api.get(RESET, params={"token": in_old_mailbox.token})) == INVALID
    answer = await api.post(RESET, json={"token": in_old_mailbox.token, "password": "amber-lantern-41"})
    assert codes(answer) == INVALID
    credentials = {"email": new, "password": login.account.password}
    assert (await api.post("/api/v1/auth/login", json=credentials)).status_code == 200


@pytest.mark.parametrize("action", ["disable", "force-password-reset"])
async def test_what_an_administrator_does_ends_all_links_from_before(
    api, login, asked, new, sign_up, make_admin, test_gateway, mails, rows, action
):
    (confirmation,) = await mails(login.account.email)
    tokens = [await asked(login, new), confirmation.token]
    admin = await sign_up()
    await make_admin(admin)
    path = f"/api/v1/admin/users/{login.account.id}"
    headers = test_gateway.headers(admin.id, roles=["user", "admin"])
    assert (await api.post(f"{path}/{action}", headers=headers)).status_code == 200
    await api.post(f"{path}/enable", headers=headers)
    assert [codes(await api.post(VERIFY, json={"token": one})) for one in tokens] == [INVALID] * 2
    assert await rows(ADDRESS, id=login.account.id) == [(login.account.email,)]


async def test_r11_a_forced_reset_is_mailed_however_many_mails_others_asked_for(
    api, account, sign_up, make_admin, test_gateway, mails
):
    assert (await api.post("/api/v1/auth/password/forgot", json={"email": account.email})).status_code == 202
    *_, asked_by_somebody = await mails(account.email)
    admin = await sign_up()
    await make_admin(admin)
    headers = test_gateway.headers(admin.id, roles=["user", "admin"])
    path = f"/api/v1/admin/users/{account.id}/force-password-reset"
    assert (await api.post(path, headers=headers)).status_code == 200
    *_, before, forced = await mails(account.email)
    assert (before.kind, forced.kind) == ("reset_password", "reset_password_forced")
    assert codes(await api.get(RESET, params={"token": asked_by_somebody.token})) == INVALID
    assert (await api.get(RESET, params={"token": forced.token})).status_code == 200


async def test_r10_what_was_tried_on_either_address_of_a_change_closes_neither(
    api, login, sign_up, new_address, asked, new, rows
):
    token, old = await asked(login, new), login.account.email
    for email in (old, new):
        await rows(CLOSE, d=digest(email))
    assert (await api.post(VERIFY, json={"token": token})).status_code == 200
    assert [await rows(ROWS, d=digest(email)) for email in (old, new)] == [[(0,)], [(0,)]]
    body, here = {"email": new, "password": login.account.password}, {"x-client-address": new_address()}
    assert (await api.post("/api/v1/auth/login", json=body, headers=here)).status_code == 200


async def test_r10_a_change_to_a_taken_address_opens_no_closed_account(api, login, sign_up, asked, rows):
    other = await sign_up()
    token = await asked(login, other.email)
    await rows(CLOSE, d=digest(other.email))
    assert codes(await api.post(VERIFY, json={"token": token})) == (409, [(None, "EMAIL_TAKEN")])
    assert await rows(ROWS, d=digest(other.email)) == [(1,)]
