"""Links by mail (R11): signing up, confirming, resending, and what nobody learns from the answers."""

import asyncio
import json
from datetime import datetime

import pytest
from chassis.ids import uuid7

PASSWORD = "violet-harbor-77"
HERE = {"x-client-address": "203.0.113.7", "user-agent": "phone", "x-request-id": "a-request-of-mine"}
ACCOUNTS = "SELECT count(*) FROM auth.account WHERE email_canonical = :e"
AUDIT = "SELECT action FROM auth.audit_event WHERE subject_id = :id ORDER BY id"
LATER = "UPDATE auth.mail_budget SET sent_at = array_fill(now() - interval '2 min', ARRAY[cardinality(sent_at)]), \
last_at = now() - interval '2 min' WHERE account_id = :id"
REQUESTS = "SELECT kind, attempts FROM auth.mail_request WHERE email_canonical = :e ORDER BY id"
NO_TOKEN = "A" * 43
VERIFY, RESEND = "/api/v1/auth/verify-email", "/api/v1/auth/verify-email/resend"


def codes(answer):
    return answer.status_code, [(error["field"], error["code"]) for error in answer.json()["errors"]]


INVALID = (422, [("token", "LINK_TOKEN_INVALID")])


def new_email():
    return f"{uuid7().hex}@example.com"


def registration(email, password=PASSWORD):
    return {"email": email, "password": password, "display_name": "Ada"}


def shape(answer):
    """All of an answer that a caller sees, apart from ids and times."""
    body = answer.content.replace(answer.headers["x-request-id"].encode(), b"ID")
    headers = {name: value for name, value in answer.headers.items() if name not in ("x-request-id", "server-timing")}
    return answer.status_code, body, headers


@pytest.fixture
async def strict(open_api):
    async with open_api(email_verification="required") as client:
        yield client


async def test_a_sign_up_mails_a_link_that_confirms_the_address_once(api, account, mails, rows, events):
    (mail,) = await mails(account.email)
    assert mail.kind == "verify_email"
    answer = await api.post(VERIFY, json={"token": mail.token})
    assert (answer.status_code, answer.json()["data"]) == (200, {"email": account.email, "verified": True})
    assert answer.headers["cache-control"] == "no-store"
    me = (await api.get("/api/v1/users/me", headers=account.headers())).json()["data"]
    assert (me["email_verified"], me["version"]) == (True, 2)
    assert codes(await api.post(VERIFY, json={"token": mail.token})) == INVALID
    assert await events(account.id) == ["user.registered.v1", "account_mail.requested.v1", "user.updated.v1"]
    assert await rows(AUDIT, id=account.id) == [("account.registered",), ("email.verified",)]


async def test_a_link_that_is_opened_tells_what_it_is_and_confirms_nothing(api, account, mails, rows):
    """Whoever opens it, perhaps a program that looks for viruses in mails, is not its owner for that."""
    (mail,) = await mails(account.email)
    ((expires_at,),) = await rows("SELECT expires_at FROM auth.link_token WHERE account_id = :id", id=account.id)
    for _ in range(2):
        answer = await api.get(VERIFY, params={"token": mail.token})
        data = answer.json()["data"]
        assert (answer.status_code, datetime.fromisoformat(data.pop("expires_at"))) == (200, expires_at)
        confirm_by = "POST /api/v1/auth/verify-email {token}"
        assert data == {"valid": True, "kind": "verify_email", "confirm_by": confirm_by}
        assert answer.headers["cache-control"] == "no-store"
    assert (await api.head(VERIFY, params={"token": mail.token})).status_code == 200
    assert await rows("SELECT email_verified_at FROM auth.account WHERE id = :id", id=account.id) == [(None,)]
    assert (await api.post(VERIFY, json={"token": mail.token})).status_code == 200
    assert codes(await api.get(VERIFY, params={"token": mail.token})) == INVALID


async def test_r11_of_fifty_uses_at_once_one_succeeds(api, account, mails, events):
    (mail,) = await mails(account.email)
    answers = await asyncio.gather(*(api.post(VERIFY, json={"token": mail.token}) for _ in range(50)))
    assert sorted(answer.status_code for answer in answers) == [200] + [422] * 49
    assert (await events(account.id)).count("user.updated.v1") == 1


@pytest.mark.parametrize(
    "token",
    [NO_TOKEN, "", "x", "A" * 42, "A" * 44, "A" * 5000, "\u00e4" * 43, "A" * 42 + "=", "A" * 42 + " ", "A" * 42 + "\n"],
)
@pytest.mark.parametrize("way", ["verify", "open", "look", "reset"])
async def test_r11_a_token_that_is_none_is_422(api, token, way):
    reset = "/api/v1/auth/password/reset"
    send = {
        "verify": lambda: api.post(VERIFY, json={"token": token}),
        "open": lambda: api.get(VERIFY, params={"token": token}),
        "look": lambda: api.get(reset, params={"token": token}),
        "reset": lambda: api.post(reset, json={"token": token, "password": PASSWORD}),
    }
    assert codes(await send[way]()) == INVALID


async def test_r11_a_changed_old_or_foreign_token_does_nothing(api, account, mails, rows):
    (mail,) = await mails(account.email)
    for at in (0, 21, 42):
        other = "A" if mail.token[at] != "A" else "B"
        changed = mail.token[:at] + other + mail.token[at + 1 :]
        assert codes(await api.post(VERIFY, json={"token": changed})) == INVALID
    reset = {"token": mail.token, "password": "green-lantern-orbit-9"}
    assert codes(await api.post("/api/v1/auth/password/reset", json=reset)) == INVALID
    assert codes(await api.get("/api/v1/auth/password/reset", params={"token": mail.token})) == INVALID
    await rows("UPDATE auth.link_token SET expires_at = now() WHERE account_id = :id", id=account.id)
    assert codes(await api.post(VERIFY, json={"token": mail.token})) == INVALID
    assert await rows("SELECT used_at FROM auth.link_token WHERE account_id = :id", id=account.id) == [(None,)]


@pytest.mark.parametrize("status", ["disabled", "deleted"])
async def test_a_link_of_an_account_that_nobody_can_use_does_nothing(api, account, mails, rows, status):
    (mail,) = await mails(account.email)
    await rows("UPDATE auth.account SET status = :s WHERE id = :id", s=status, id=account.id)
    assert codes(await api.post(VERIFY, json={"token": mail.token})) == INVALID
    assert await rows("SELECT email_verified_at FROM auth.account WHERE id = :id", id=account.id) == [(None,)]


async def test_r11_tokens_are_stored_by_their_digest_and_live_a_day(account, mails, rows):
    await mails(account.email)
    query = """
        SELECT octet_length(hash), extract(epoch FROM expires_at - created_at)::int, email_canonical
        FROM auth.link_token WHERE account_id = :id
    """
    assert await rows(query, id=account.id) == [(32, 86_400, account.email)]


async def test_r11_a_resent_link_replaces_the_one_before(api, account, mails, rows):
    await mails(account.email)
    await rows(LATER, id=account.id)
    answer = await api.post(RESEND, json={"email": account.email.upper()})
    assert (answer.status_code, answer.json()["data"]) == (202, {"accepted": True})
    first, second = await mails(account.email)
    assert (first.kind, second.kind) == ("verify_email", "verify_email")
    assert codes(await api.post(VERIFY, json={"token": first.token})) == INVALID
    assert (await api.post(VERIFY, json={"token": second.token})).status_code == 200
    await rows(LATER, id=account.id)
    await api.post(RESEND, json={"email": account.email})
    assert len(await mails(account.email)) == 2


async def test_r11_an_account_gets_one_mail_a_minute_and_five_an_hour(api, account, mails, rows):
    for expected in (1, 2, 3, 4, 5, 5):
        for _ in range(3):
            assert (await api.post(RESEND, json={"email": account.email})).status_code == 202
        assert len(await mails(account.email)) == expected
        await rows(LATER, id=account.id)
    assert len(await mails(account.email)) == 5
    hour = "UPDATE auth.mail_budget SET sent_at[1] = now() - interval '1 h' WHERE account_id = :id"
    await rows(hour, id=account.id)
    await api.post(RESEND, json={"email": account.email})
    assert len(await mails(account.email)) == 6


async def test_r11_nobody_learns_from_an_answer_whether_there_is_an_account(strict, api, account, statements, rows):
    """The same status, bytes, headers and statements, for a known address and for one of nobody."""
    forgot = "/api/v1/auth/password/forgot"
    for client, path, body in (
        (api, forgot, {}),
        (api, RESEND, {}),
        (strict, "/api/v1/auth/register", {"password": PASSWORD, "display_name": "Ada"}),
    ):
        seen = []
        for email in (account.email, new_email()):
            statements.clear()
            answer = await client.post(path, json={"email": email, **body})
            seen.append((shape(answer), list(statements)))
        assert seen[0] == seen[1], path
        assert seen[0][0][0] == 202
        assert [one.split()[:3] for one in seen[0][1]] == [["INSERT", "INTO", "auth.mail_request"]]
    assert len(await rows(REQUESTS, e=account.email)) == 4


async def test_r11_required_a_sign_up_makes_the_account_later_and_the_link_opens_it(strict, api, mails, rows, events):
    email = new_email()
    answer = await strict.post("/api/v1/auth/register", json=registration(email), headers=HERE)
    assert (answer.status_code, answer.json()["data"]) == (202, {"accepted": True})
    assert await rows(ACCOUNTS, e=email) == [(0,)]
    credentials = {"email": email, "password": PASSWORD}
    (mail,) = await mails(email)
    ((user_id,),) = await rows("SELECT id FROM auth.account WHERE email_canonical = :e", e=email)
    assert await events(user_id) == ["user.registered.v1", "account_mail.requested.v1"]
    refused = await strict.post("/api/v1/auth/login", json=credentials)
    assert codes(refused) == (401, [(None, "INVALID_CREDENTIALS")])
    assert (await strict.post(VERIFY, json={"token": mail.token})).status_code == 200
    assert (await strict.post("/api/v1/auth/login", json=credentials)).status_code == 200
    query = "SELECT address, device, request_id FROM auth.audit_event WHERE subject_id = :id ORDER BY id LIMIT 1"
    assert await rows(query, id=user_id) == [("203.0.113.7", "phone", "a-request-of-mine")]
    assert mail.event["data"]["request_id"] == "a-request-of-mine"
    assert mail.event["traceparent"][:36]
    assert await rows(REQUESTS, e=email) == []


async def test_r11_required_a_sign_up_does_not_tell_by_the_next_login_whether_there_was_an_account(
    strict, account, mails, rows, new_address, statements
):
    """Somebody signs up with an address, known or not, and tries the password that they chose themselves."""
    await rows("UPDATE auth.account SET email_verified_at = now() WHERE id = :id", id=account.id)
    chosen, seen = "another-harbor-99", {}
    for email in (account.email, new_email()):
        assert (await strict.post("/api/v1/auth/register", json=registration(email, chosen))).status_code == 202
        await mails(email)
        here, seen[email] = {"x-client-address": new_address()}, []
        for path in ["login"] * 4 + ["reactivate"] * 4:
            statements.clear()
            body = {"email": email, "password": chosen}
            answer = await strict.post(f"/api/v1/auth/{path}", json=body, headers=here)
            seen[email].append((shape(answer), list(statements)))
    known, unknown = seen.values()
    assert [status for (status, *_), _ in known] == [401] * 6 + [429] * 2
    assert known == unknown


async def test_r11_required_a_taken_address_tells_its_owner_and_changes_nothing(strict, account, mails, rows, events):
    await mails(account.email)
    hashed = await rows("SELECT password_hash, display_name FROM auth.account WHERE id = :id", id=account.id)
    body = {**registration(account.email.upper(), "another-harbor-99"), "display_name": "Eve"}
    for _ in range(2):
        assert (await strict.post("/api/v1/auth/register", json=body)).status_code == 202
    assert [mail.kind for mail in await mails(account.email)] == ["verify_email", "already_registered"]
    assert await rows("SELECT password_hash, display_name FROM auth.account WHERE id = :id", id=account.id) == hashed
    assert await rows(ACCOUNTS, e=account.email) == [(1,)]
    assert (await events(account.id)).count("user.registered.v1") == 1


@pytest.mark.parametrize(
    ("email", "password", "refused"),
    [
        ("nobody", PASSWORD, [("email", "EMAIL_INVALID")]),
        (f"{'a' * 65}@example.com", PASSWORD, [("email", "EMAIL_INVALID")]),
        ("ada.lovelace1815@example.com", "ada.lovelace1815", [("password", "PASSWORD_BREACHED")]),
        ("ada@example.com", "\U0001f511" * 1024, [("password", "PASSWORD_LENGTH")]),
    ],
)
async def test_r11_required_bad_input_is_422_as_ever(strict, rows, email, password, refused):
    before = await rows("SELECT count(*) FROM auth.mail_request")
    assert codes(await strict.post("/api/v1/auth/register", json=registration(email, password))) == (422, refused)
    assert await rows("SELECT count(*) FROM auth.mail_request") == before


async def test_required_sign_ups_of_one_address_at_once_make_one_account(strict, mails, rows):
    email = new_email()
    louder = email.replace(email.partition("@")[0], email.partition("@")[0].upper())
    forms = [email, louder] * 8
    answers = await asyncio.gather(*(strict.post("/api/v1/auth/register", json=registration(one)) for one in forms))
    assert {answer.status_code for answer in answers} == {202}
    kinds = [mail.kind for form in (email, louder) for mail in await mails(form)]
    assert sorted(kinds) == ["already_registered", "verify_email"]
    assert await rows(ACCOUNTS, e=email) == [(1,)]


async def test_one_request_that_fails_stops_no_other_and_is_given_up_after_five_times(
    api, account, sign_up, mails, rows, capfd
):
    bad, good = new_email(), await sign_up()
    await mails(good.email)
    await rows(LATER, id=good.id)
    await api.post(RESEND, json={"email": bad})
    await rows("UPDATE auth.mail_request SET kind = 'unheard of' WHERE email_canonical = :e", e=bad)
    await api.post(RESEND, json={"email": good.email})
    assert len(await mails(good.email)) == 2
    assert await rows(REQUESTS, e=bad) == [("unheard of", 1)]
    due = "UPDATE auth.mail_request SET not_before = now() WHERE email_canonical = :e"
    for attempts in (2, 3, 4):
        await rows(due, e=bad)
        await mails(good.email)
        assert await rows(REQUESTS, e=bad) == [("unheard of", attempts)]
    await rows(due, e=bad)
    await mails(good.email)
    assert await rows(REQUESTS, e=bad) == []
    assert capfd.readouterr().out.count("mail_request.failed") == 5


async def test_each_request_is_done_in_a_transaction_of_its_own(api, account, sign_up, run_job, rows):
    """Whoever holds one account's row waits for no other's: two in a circle would be a deadlock."""
    await run_job("handle-mail-requests")
    for one in (account, await sign_up()):
        await api.post(RESEND, json={"email": one.email})
    await api.post(RESEND, json={"email": new_email()})
    assert await run_job("handle-mail-requests") == 5
    assert await rows("SELECT count(*) FROM auth.mail_request WHERE not_before <= now()") == [(0,)]


async def test_a_request_that_nobody_waits_for_any_more_is_dropped(api, account, mails, rows):
    await mails(account.email)
    await rows(LATER, id=account.id)
    await api.post(RESEND, json={"email": account.email})
    await rows("UPDATE auth.mail_request SET created_at = now() - interval '61 min' WHERE email = :e", e=account.email)
    assert len(await mails(account.email)) == 1
    assert await rows(REQUESTS, e=account.email) == []


async def test_r11_the_host_of_a_request_is_nowhere_in_a_mail(api, mails, rows):
    email = new_email()
    evil = {"host": "evil.example", "x-forwarded-host": "evil.example", "forwarded": "host=evil.example"}
    assert (await api.post("/api/v1/auth/register", json=registration(email), headers=evil)).status_code == 201
    await mails(email)
    await rows("UPDATE auth.mail_budget SET last_at = now() - interval '2 min', sent_at = '{}'")
    for path in (RESEND, "/api/v1/auth/password/forgot"):
        answer = await api.post(path, json={"email": email}, headers=evil)
        assert "evil.example" not in answer.text + json.dumps(dict(answer.headers))
    found = await mails(email)
    assert [mail.kind for mail in found] == ["verify_email", "verify_email", "reset_password"]
    assert not [mail for mail in found if "evil.example" in json.dumps(mail.event)]
