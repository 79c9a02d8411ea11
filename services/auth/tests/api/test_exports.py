"""Taking one's data along: all of it, and nothing that lets anybody in."""

import json

from auth_service.exports.rules import NOT_TOLD, told_columns
from auth_service.leaving.repository import owned_rows
from auth_service.users.models import Account
from chassis.clock import utcnow
from chassis.db.base import table_of
from chassis.ids import uuid7

EXPORT = "/api/v1/users/me/export"
HERE = {"x-client-address": "203.0.113.7", "user-agent": "phone"}


def codes(answer):
    return answer.status_code, [error["code"] for error in answer.json()["errors"]]


async def test_all_that_is_held_about_a_user_is_in_one_document(api, account, log_in, enrol, rows):
    login = await log_in(account, **HERE)
    await enrol(login)
    before = utcnow()
    answer = await api.post(EXPORT, headers=login.headers)
    assert (answer.status_code, answer.headers["cache-control"]) == (200, "no-store")
    data = answer.json()["data"]
    assert set(data) == {"exported_at", "profile", "records", "audit", "cut"}
    assert data["cut"] == []
    assert data["exported_at"] >= before.strftime("%Y-%m-%dT%H:%M:%S")
    assert (data["profile"]["id"], data["profile"]["email"]) == (str(account.id), account.email)
    records = data["records"]
    assert {"session", "api_token", "totp", "recovery_code", "passkey", "oidc_identity", "known_network"} <= set(
        records
    )
    [session] = records["session"]
    assert (session["id"], session["device"], session["address"]) == (str(login.session_id), "phone", "203.0.113.7")
    assert [one["network"] for one in records["known_network"]] == ["203.0.113.0/24"]
    assert len(records["totp"]) == 1
    assert (len(records["recovery_code"]), set(records["recovery_code"][0])) == (10, {"user_id", "used_at"})
    assert "idempotency_key" not in records
    assert [entry["action"] for entry in data["audit"]][:2] == ["account.data_exported", "totp.enabled"]
    assert data["audit"][-1]["action"] == "account.registered"
    noted = "SELECT count(*) FROM auth.audit_event WHERE subject_id = :id AND action = 'account.data_exported'"
    assert await rows(noted, id=account.id) == [(1,)]


async def test_nothing_in_an_export_lets_anybody_in(api, account, log_in, enrol, rows):
    login = await log_in(account)
    factor = await enrol(login)
    text = json.dumps((await api.post(EXPORT, headers=login.headers)).json())
    [(password_hash,)] = await rows("SELECT password_hash FROM auth.account WHERE id = :id", id=account.id)
    [(sealed,)] = await rows("SELECT secret_sealed FROM auth.totp WHERE user_id = :id", id=account.id)
    secrets = [password_hash, sealed, factor.seed, *factor.recovery_codes, *login.tokens.values(), account.password]
    assert [one for one in secrets if isinstance(one, str) and len(one) > 8 and one in text] == []


def test_no_column_that_sounds_like_a_secret_is_told():
    row = dict.fromkeys(table_of(Account).c.keys())
    row |= {"id": uuid7(), "email": "a@example.com", "email_canonical": "a@example.com"}
    told = {
        (table.name, column.name)
        for table, _ in owned_rows(row)
        if table.name not in NOT_TOLD
        for column in told_columns(table)
    }
    assert ("session", "device") in told
    words = ("secret", "seal", "hash", "digest", "password", "cipher", "private", "pepper")
    assert {one for one in told if any(word in one[1] for word in words)} == set()


async def test_what_others_did_with_the_own_address_is_not_in_an_export(api, login, sign_up, log_in, rows):
    mine, other = login.account, await log_in(await sign_up())
    await rows(
        "INSERT INTO auth.link_token (id, account_id, kind, hash, email, email_canonical, session_id, created_at,"
        " expires_at) VALUES (:id, :owner, 'change_email', :hash, :email, :email, :session, now(), now())",
        id=uuid7(),
        owner=other.account.id,
        hash=uuid7().bytes,
        email=mine.email,
        session=other.session_id,
    )
    here = {"x-client-address": "198.51.100.9", "user-agent": "mallory"}
    forgot = await api.post("/api/v1/auth/password/forgot", json={"email": mine.email}, headers=here)
    assert forgot.status_code == 202
    answer = await api.post(EXPORT, headers=login.headers)
    strange = (str(other.account.id), str(other.session_id), "198.51.100.9", "mallory")
    assert [one for one in strange if one in answer.text] == []
    assert answer.json()["data"]["records"]["link_token"] == []
    assert "mail_request" not in answer.json()["data"]["records"]


async def test_an_export_says_what_there_is_more_of(api, login, rows):
    many = """
        INSERT INTO auth.audit_event (id, occurred_at, action, outcome, subject_id, request_id, details)
        SELECT gen_random_uuid(), now(), 'login', 'success', :id, 'r', '{}' FROM generate_series(1, 10000)
    """
    await rows(many, id=login.account.id)
    data = (await api.post(EXPORT, headers=login.headers)).json()["data"]
    assert (len(data["audit"]), data["cut"]) == (10_000, ["audit"])
    await rows("DELETE FROM auth.audit_event WHERE subject_id = :id AND request_id = 'r'", id=login.account.id)


async def test_no_copy_of_an_export_is_kept(api, login, rows):
    for _ in range(2):
        answer = await api.post(EXPORT, headers={**login.headers, "idempotency-key": "once"})
        assert (answer.status_code, "idempotency-replayed" in answer.headers) == (200, False)
    assert await rows("SELECT count(*) FROM auth.idempotency_key WHERE caller_id = :id", id=login.account.id) == [(0,)]


async def test_somebody_elses_data_is_not_in_an_export(api, login, sign_up, log_in):
    other = await sign_up()
    await log_in(other)
    text = (await api.post(EXPORT, headers=login.headers)).text
    assert (str(login.account.id) in text, str(other.id) in text, other.email in text) == (True, False, False)


async def test_an_export_403_without_a_recent_proof_or_with_an_api_token(api, login, rows, test_gateway):
    token = test_gateway.token_headers(login.account.id, "admin:*", "tasks:read")
    assert codes(await api.post(EXPORT, headers=token)) == (403, ["SESSION_REQUIRED"])
    old = "UPDATE auth.session SET authenticated_at = now() - interval '1 hour' WHERE id = :id"
    await rows(old, id=login.session_id)
    assert codes(await api.post(EXPORT, headers=login.headers)) == (403, ["STEP_UP_REQUIRED"])
    noted = "SELECT count(*) FROM auth.audit_event WHERE subject_id = :id AND action = 'account.data_exported'"
    assert await rows(noted, id=login.account.id) == [(0,)]
