"""A new password: by a mailed link (R11), or by the one so far; what else ends with the old one; another address."""

import asyncio
import hashlib
from datetime import datetime

import pytest
from chassis.ids import uuid7

NEW = "green-lantern-orbit-9"
WRONG = "not this one"
RESET, FORGOT, CHANGE = "/api/v1/auth/password/reset", "/api/v1/auth/password/forgot", "/api/v1/auth/password/change"
EMAIL, VERIFY = "/api/v1/auth/email/change", "/api/v1/auth/verify-email"
INVALID = (422, [("token", "LINK_TOKEN_INVALID")])
CLOSE = """
    INSERT INTO auth.account_failures (account_digest, failures, blocked_at, last_at) VALUES (:d, 100, now(), now())
"""
ROWS = "SELECT count(*) FROM auth.account_failures WHERE account_digest = :d"
SESSIONS = "SELECT id FROM auth.session WHERE user_id = :id ORDER BY id"
MARKS = "SELECT kind FROM auth.revocation WHERE subject = :id"
FAILURES = "SELECT failures FROM auth.login_failure WHERE account_digest = :d"
AUDIT = "SELECT action, outcome FROM auth.audit_event WHERE subject_id = :id ORDER BY id"
LATER = "UPDATE auth.mail_budget SET last_at = last_at - interval '2 min' WHERE account_id = :id"
BAD = [
    ("short", "PASSWORD_LENGTH"),
    ("k" * 129, "PASSWORD_LENGTH"),
    ("\U0001f511" * 257, "PASSWORD_LENGTH"),
    ("k" * 1025, "TOO_LONG"),
    ("password", "PASSWORD_BREACHED"),
    ("Taskloom-2026!", "PASSWORD_BREACHED"),
    ("ada.lovelace1815", "PASSWORD_BREACHED"),
]


def codes(answer):
    return answer.status_code, [(error["field"], error["code"]) for error in answer.json()["errors"]]


def digest(email):
    return hashlib.sha256(email.encode()).digest()


@pytest.fixture
def log_in_by(api, new_address):
    async def log_in_by(email, password):
        body = {"email": email, "password": password}
        return await api.post("/api/v1/auth/login", json=body, headers={"x-client-address": new_address()})

    return log_in_by


@pytest.fixture
def reset_token(api, mails):
    async def reset_token(email):
        assert (await api.post(FORGOT, json={"email": email})).status_code == 202
        mail = (await mails(email))[-1]
        assert mail.kind == "reset_password"
        return mail.token

    return reset_token


async def test_r11_a_reset_replaces_the_password_and_ends_everything_else(
    api, account, log_in, log_in_by, mails, reset_token, rows
):
    login = await log_in(account)
    (confirmation,) = await mails(account.email)
    await rows(CLOSE, d=digest(account.email))
    await rows("UPDATE auth.account SET password_reset_required = true WHERE id = :id", id=account.id)
    assert (await log_in_by(account.email, account.password)).status_code == 401
    token = await reset_token(account.email)
    answer = await api.post(RESET, json={"token": token, "password": NEW})
    assert (answer.status_code, answer.json()["data"]) == (200, None)
    assert answer.headers["cache-control"] == "no-store"
    assert await rows(SESSIONS, id=account.id) == []
    assert await rows(MARKS, id=login.session_id) == [("session",)]
    assert await rows(MARKS, id=account.id) == [("user",)]
    assert await rows(FAILURES, d=digest(account.email)) == []
    assert codes(await api.post(VERIFY, json={"token": confirmation.token})) == INVALID
    assert codes(await api.post(RESET, json={"token": token, "password": NEW + "x"})) == INVALID
    assert (await log_in_by(account.email, account.password)).status_code == 401
    after = await log_in_by(account.email, NEW)
    assert (after.status_code, after.json()["data"]["user"]["email_verified"]) == (200, True)
    kinds = [mail.kind for mail in await mails(account.email)]
    assert kinds == ["verify_email", "reset_password", "password_changed"]
    actions = [row for row in await rows(AUDIT, id=account.id) if row[0].startswith("password")]
    assert actions == [("password.reset_requested", "success"), ("password.reset", "success")]


async def test_r11_a_reset_link_lives_ten_minutes_and_looking_does_not_use_it(api, account, reset_token, rows):
    token = await reset_token(account.email)
    for _ in range(2):
        answer = await api.get(RESET, params={"token": token})
        assert answer.status_code == 200
    query = "SELECT expires_at, extract(epoch FROM expires_at - created_at)::int FROM auth.link_token \
WHERE account_id = :id AND kind = 'reset_password'"
    ((expires_at, seconds),) = await rows(query, id=account.id)
    assert seconds == 600
    assert datetime.fromisoformat(answer.json()["data"]["expires_at"]) == expires_at
    await rows("UPDATE auth.link_token SET expires_at = now() WHERE account_id = :id", id=account.id)
    assert codes(await api.get(RESET, params={"token": token})) == INVALID
    assert codes(await api.post(RESET, json={"token": token, "password": NEW})) == INVALID
    assert codes(await api.post(VERIFY, json={"token": token})) == INVALID


async def test_r11_a_newer_reset_link_replaces_the_one_before(api, account, reset_token, rows):
    first = await reset_token(account.email)
    await rows(LATER, id=account.id)
    second = await reset_token(account.email)
    assert codes(await api.post(RESET, json={"token": first, "password": NEW})) == INVALID
    assert (await api.post(RESET, json={"token": second, "password": NEW})).status_code == 200


async def test_r11_of_fifty_resets_at_once_one_succeeds(api, account, log_in_by, mails, reset_token):
    token = await reset_token(account.email)
    passwords = [f"{NEW}-{number}" for number in range(50)]
    tries = (api.post(RESET, json={"token": token, "password": password}) for password in passwords)
    answers = await asyncio.gather(*tries)
    ok = [number for number, answer in enumerate(answers) if answer.status_code == 200]
    assert len(ok) == 1
    assert {answer.status_code for answer in answers} <= {200, 422, 503}
    assert (await log_in_by(account.email, passwords[ok[0]])).status_code == 200
    assert [mail.kind for mail in await mails(account.email)].count("password_changed") == 1


@pytest.mark.parametrize(("password", "code"), BAD)
async def test_r8_a_bad_password_is_refused_by_a_reset_and_the_link_stays(
    api, sign_up, reset_token, rows, password, code
):
    await rows("UPDATE auth.account SET email_canonical = id::text WHERE email_canonical LIKE 'ada.lovelace1815@%'")
    account = await sign_up("ada.lovelace1815@example.com")
    await rows("DELETE FROM auth.outbox WHERE data->'resource'->>'to' = 'ada.lovelace1815@example.com'")
    token = await reset_token(account.email)
    assert codes(await api.post(RESET, json={"token": token, "password": password})) == (422, [("password", code)])
    assert (await api.get(RESET, params={"token": token})).status_code == 200


@pytest.mark.parametrize(
    ("status", "expected"), [("disabled", 0), ("deleted", 0), ("deactivated", 1), ("deleting", 1), ("active", 1)]
)
async def test_who_gets_a_link_to_reset(api, account, mails, rows, status, expected):
    await mails(account.email)
    await rows("UPDATE auth.account SET status = :s WHERE id = :id", s=status, id=account.id)
    answer = await api.post(FORGOT, json={"email": account.email})
    assert (answer.status_code, answer.json()["data"]) == (202, {"accepted": True})
    kinds = [mail.kind for mail in await mails(account.email)]
    assert kinds == ["verify_email"] + ["reset_password"] * expected


async def test_a_change_ends_all_other_sessions_and_tells_by_mail(api, account, log_in, log_in_by, mails, rows):
    other, mine = await log_in(account), await log_in(account)
    (confirmation,) = await mails(account.email)
    body = {"current_password": account.password, "new_password": NEW}
    headers = {**mine.headers, "idempotency-key": "change-1"}
    answer = await api.post(CHANGE, json=body, headers=headers)
    assert (answer.status_code, answer.json()["data"]) == (200, None)
    assert await rows(SESSIONS, id=account.id) == [(mine.session_id,)]
    assert await rows(MARKS, id=other.session_id) == [("session",)]
    assert await rows(MARKS, id=account.id) == []
    again = await api.post(CHANGE, json=body, headers=headers)
    assert (again.status_code, again.headers["idempotency-replayed"]) == (200, "true")
    assert (await log_in_by(account.email, account.password)).status_code == 401
    assert (await log_in_by(account.email, NEW)).status_code == 200
    assert codes(await api.post(VERIFY, json={"token": confirmation.token})) == INVALID
    assert [mail.kind for mail in await mails(account.email)] == ["verify_email", "password_changed"]
    assert ("password.changed", "success") in await rows(AUDIT, id=account.id)


async def test_r11_a_reset_does_not_tell_whether_a_password_is_the_one_so_far(api, account, log_in_by, reset_token):
    """Whoever finds the link could try as many as they like, since it would stay."""
    token = await reset_token(account.email)
    assert (await api.post(RESET, json={"token": token, "password": account.password})).status_code == 200
    assert codes(await api.post(RESET, json={"token": token, "password": account.password})) == INVALID
    assert (await log_in_by(account.email, account.password)).status_code == 200


@pytest.mark.parametrize(("password", "code"), [*BAD, ("violet-harbor-77", "PASSWORD_UNCHANGED")])
async def test_r8_a_bad_password_is_refused_by_a_change(api, log_in, sign_up, rows, password, code):
    await rows("UPDATE auth.account SET email_canonical = id::text WHERE email_canonical LIKE 'ada.lovelace1815@%'")
    account = await sign_up("ada.lovelace1815@example.com")
    login = await log_in(account)
    body = {"current_password": account.password, "new_password": password}
    answer = await api.post(CHANGE, json=body, headers=login.headers)
    assert codes(answer) == (422, [("new_password", code)])
    assert (await api.post("/api/v1/auth/login", json=account.credentials)).status_code == 200


async def test_r10_wrong_tries_of_a_change_are_counted_as_failed_logins(api, account, login, new_address, rows):
    here = {"x-client-address": new_address()}
    body = {"current_password": WRONG, "new_password": NEW}
    headers = {**login.headers, **here}
    for _ in range(6):
        assert codes(await api.post(CHANGE, json=body, headers=headers)) == (403, [(None, "WRONG_PASSWORD")])
    right = {**body, "current_password": account.password}
    answer = await api.post(CHANGE, json=right, headers=headers)
    assert codes(answer) == (429, [(None, "TOO_MANY_LOGIN_FAILURES")])
    assert answer.headers["retry-after"] == "1"
    logged = await api.post("/api/v1/auth/login", json=account.credentials, headers=here)
    assert codes(logged) == (429, [(None, "TOO_MANY_LOGIN_FAILURES")])
    assert await rows(FAILURES, d=digest(account.email)) == [(6,)]
    query = "SELECT actor_id, credential_id FROM auth.audit_event WHERE subject_id = :id AND outcome = 'refused' \
AND action = 'password.changed'"
    assert await rows(query, id=account.id) == [(account.id, login.session_id)] * 6


async def test_of_fifty_changes_at_once_one_succeeds(api, account, login, log_in_by, mails):
    passwords = [f"{NEW}-{number}" for number in range(50)]
    bodies = [{"current_password": account.password, "new_password": password} for password in passwords]
    answers = await asyncio.gather(*(api.post(CHANGE, json=body, headers=login.headers) for body in bodies))
    ok = [number for number, answer in enumerate(answers) if answer.status_code == 200]
    assert len(ok) == 1
    assert {answer.status_code for answer in answers} <= {200, 403, 429, 503}
    assert (await log_in_by(account.email, passwords[ok[0]])).status_code == 200
    assert [mail.kind for mail in await mails(account.email)].count("password_changed") == 1


async def test_another_address_is_confirmed_by_its_owner_and_the_old_one_is_told(
    api, account, log_in, mails, rows, events, confirm
):
    other, mine = await log_in(account), await log_in(account)
    (confirmation,) = await mails(account.email)
    new = f"New.{uuid7().hex}@Example.org"
    body = {"email": new, "password": account.password}
    answer = await api.post(EMAIL, json=body, headers=mine.headers)
    assert (answer.status_code, answer.json()["data"]) == (202, {"accepted": True})
    stored = new.partition("@")[0] + "@example.org"
    (mail,) = await mails(stored)
    assert mail.kind == "confirm_email_change"
    me = (await api.get("/api/v1/users/me", headers=mine.headers)).json()["data"]
    assert (me["email"], me["email_verified"]) == (account.email, False)
    opened = (await api.get(VERIFY, params={"token": mail.token})).json()["data"]
    assert (opened["valid"], opened["kind"]) == (True, "change_email")
    await confirm(account)
    answer = await api.post(VERIFY, json={"token": mail.token})
    assert (answer.status_code, answer.json()["data"]) == (200, {"email": stored, "verified": True})
    assert await rows(SESSIONS, id=account.id) == [(mine.session_id,)]
    assert await rows(MARKS, id=other.session_id) == [("session",)]
    assert codes(await api.post(VERIFY, json={"token": mail.token})) == INVALID
    assert codes(await api.post(VERIFY, json={"token": confirmation.token})) == INVALID
    assert [one.kind for one in await mails(account.email)] == ["verify_email", "email_changed"]
    credentials = {"email": new.lower(), "password": account.password}
    assert (await api.post("/api/v1/auth/login", json=credentials)).status_code == 200
    assert (await api.post("/api/v1/auth/login", json=account.credentials)).status_code == 401
    assert (await events(account.id)).count("user.updated.v1") == 1
    assert ("email.changed", "success") in await rows(AUDIT, id=account.id)


async def test_an_old_address_that_nobody_confirmed_is_not_told(api, account, login, mails):
    new = f"{uuid7().hex}@example.org"
    body = {"email": new, "password": account.password}
    assert (await api.post(EMAIL, json=body, headers=login.headers)).status_code == 202
    (mail,) = await mails(new)
    assert (await api.post(VERIFY, json={"token": mail.token})).status_code == 200
    assert [one.kind for one in await mails(account.email)] == ["verify_email"]


async def test_a_change_to_a_taken_address_is_answered_the_same_and_fails_at_the_link(
    api, account, login, sign_up, mails, rows
):
    taken = await sign_up()
    await mails(taken.email)
    free = f"{uuid7().hex}@example.com"
    bodies = []
    for email in (taken.email, free):
        answer = await api.post(EMAIL, json={"email": email, "password": account.password}, headers=login.headers)
        bodies.append(answer.content.replace(answer.headers["x-request-id"].encode(), b"ID"))
        await rows(LATER, id=account.id)
    assert bodies[0] == bodies[1]
    first = (await mails(taken.email))[-1]
    assert codes(await api.post(VERIFY, json={"token": first.token})) == INVALID
    await api.post(EMAIL, json={"email": taken.email, "password": account.password}, headers=login.headers)
    last = (await mails(taken.email))[-1]
    assert last.kind == "confirm_email_change"
    assert codes(await api.post(VERIFY, json={"token": last.token})) == (409, [(None, "EMAIL_TAKEN")])
    query = "SELECT email, version FROM auth.account WHERE id = :id"
    assert await rows(query, id=account.id) == [(account.email, 1)]
    assert await rows(query, id=taken.id) == [(taken.email, 1)]


async def test_of_two_accounts_that_confirm_one_address_at_once_one_gets_it(api, sign_up, log_in, mails, rows):
    new = f"{uuid7().hex}@example.com"
    for person in [await sign_up(), await sign_up()]:
        headers = (await log_in(person)).headers
        body = {"email": new, "password": person.password}
        assert (await api.post(EMAIL, json=body, headers=headers)).status_code == 202
    answers = await asyncio.gather(*(api.post(VERIFY, json={"token": mail.token}) for mail in await mails(new)))
    assert sorted(answer.status_code for answer in answers) == [200, 409]
    assert await rows("SELECT count(*) FROM auth.account WHERE email_canonical = :e", e=new) == [(1,)]


@pytest.mark.parametrize(
    ("body", "refused"),
    [
        ({"password": "violet-harbor-77", "email": "nobody"}, (422, [("email", "EMAIL_INVALID")])),
        ({"password": "violet-harbor-77", "email": f"{'a' * 65}@example.com"}, (422, [("email", "EMAIL_INVALID")])),
        ({"password": WRONG, "email": "a@example.com"}, (403, [(None, "WRONG_PASSWORD")])),
        ({"email": "a@example.com"}, (403, [(None, "WRONG_PASSWORD")])),
    ],
)
async def test_another_address_needs_to_be_one_and_the_password(api, account, login, new_address, rows, body, refused):
    headers = {**login.headers, "x-client-address": new_address()}
    assert codes(await api.post(EMAIL, json=body, headers=headers)) == refused
    query = "SELECT count(*) FROM auth.link_token WHERE account_id = :id AND kind = 'change_email'"
    assert await rows(query, id=account.id) == [(0,)]


async def test_another_address_needs_a_recent_proof(api, account, login, rows):
    long_ago = "UPDATE auth.session SET authenticated_at = now() - interval '11 min' WHERE id = :id"
    await rows(long_ago, id=login.session_id)
    body = {"email": "a@example.com", "password": account.password}
    answer = await api.post(EMAIL, json=body, headers=login.headers)
    assert codes(answer) == (403, [(None, "STEP_UP_REQUIRED")])
    assert answer.json()["data"] == {"methods": ["password"]}


async def test_r10_the_hundredth_failure_is_mailed_once_and_a_reset_opens_the_account(
    api, account, log_in_by, mails, reset_token, rows, confirm
):
    await mails(account.email)
    await confirm(account)
    failing = "INSERT INTO auth.account_failures (account_digest, failures, last_at) VALUES (:d, 98, now())"
    await rows(failing, d=digest(account.email))
    for _ in range(4):
        assert (await log_in_by(account.email, WRONG)).status_code == 401
    assert [mail.kind for mail in await mails(account.email)] == ["verify_email", "sign_in_blocked"]
    assert ("login.blocked_from_new_networks", "refused") in await rows(AUDIT, id=account.id)
    assert (await log_in_by(account.email, account.password)).status_code == 401
    token = await reset_token(account.email)
    assert (await api.post(RESET, json={"token": token, "password": NEW})).status_code == 200
    assert (await log_in_by(account.email, NEW)).status_code == 200


async def test_r10_what_is_tried_on_an_address_of_nobody_closes_no_account_that_it_gets_later(
    log_in_by, sign_up, mails, rows
):
    email = f"{uuid7().hex}@example.com"
    await rows(CLOSE, d=digest(email))
    account = await sign_up(email)
    assert (await log_in_by(email, account.password)).status_code == 200
    nobody = f"{uuid7().hex}@example.com"
    failing = "INSERT INTO auth.account_failures (account_digest, failures, last_at) VALUES (:d, 99, now())"
    await rows(failing, d=digest(nobody))
    assert (await log_in_by(nobody, WRONG)).status_code == 401
    assert await mails(nobody) == []
    assert await rows(ROWS, d=digest(nobody)) == [(0,)]


WAYS_IN = """
    SELECT (SELECT count(*) FROM auth.totp WHERE user_id = :id),
           (SELECT count(*) FROM auth.recovery_code WHERE user_id = :id),
           (SELECT count(*) FROM auth.passkey WHERE user_id = :id),
           (SELECT count(*) FROM auth.oidc_identity WHERE account_id = :id),
           (SELECT count(*) FROM auth.api_token WHERE account_id = :id AND revoked_at IS NULL),
           (SELECT has_second_factor FROM auth.account WHERE id = :id)
"""
PASSKEY = r"""
    INSERT INTO auth.passkey (id, user_id, credential_id, public_key, sign_count, name, transports, backup_eligible,
                              backed_up, created_at)
    VALUES (:key, :id, :credential, '\x00', 0, 'stranger', '{}', false, false, now())
"""
IDENTITY = """
    INSERT INTO auth.oidc_identity (id, account_id, provider, issuer, subject, shown_email, created_at, last_used_at)
    VALUES (:key, :id, 'corp', 'https://corp.example', :subject, NULL, now(), now())
"""


@pytest.mark.parametrize("proved", [False, True])
async def test_a_reset_that_proves_the_address_leaves_no_way_in_from_before(
    api, account, log_in, enrol, reset_token, rows, mails_about, proved
):
    """Somebody signed up with another's address, and prepared to come back (pre-hijacking)."""
    if proved:
        await rows("UPDATE auth.account SET email_verified_at = now() WHERE id = :id", id=account.id)
    login = await log_in(account)
    body = {"name": "stranger", "scopes": ["tasks:read"]}
    assert (await api.post("/api/v1/auth/tokens", json=body, headers=login.headers)).status_code == 201
    await enrol(login)
    key = uuid7()
    await rows(PASSKEY, key=key, id=account.id, credential=key.bytes)
    await rows(IDENTITY, key=key, id=account.id, subject=str(key))
    token = await reset_token(account.email)
    assert (await api.post(RESET, json={"token": token, "password": NEW})).status_code == 200
    left = (1, 10, 1, 1, 1, True) if proved else (0, 0, 0, 0, 0, False)
    assert await rows(WAYS_IN, id=account.id) == [left]
    told = [mail["details"] for mail in await mails_about(account.id) if mail["kind"] == "password_changed"]
    goes_on = {"api_tokens_in_force": "1", "passkeys_in_force": "1", "identities_in_force": "1"}
    names = ("api_tokens", "passkeys", "identities", "second_factors")
    assert told == [goes_on if proved else {f"{name}_removed": "1" for name in names}]
