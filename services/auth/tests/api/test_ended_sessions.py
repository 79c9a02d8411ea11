"""A session that is ended while a request of it waits for the account does nothing any more."""

import asyncio

import pyotp
import pytest
from chassis.clock import utcnow
from chassis.ids import uuid7
from sqlalchemy import text
from testkit.authenticator import Authenticator
from testkit.waiting import eventually

PASSKEYS = "/api/v1/auth/passkeys"
TOTP, CODES = "/api/v1/auth/mfa/totp", "/api/v1/auth/mfa/recovery-codes"
HOLD = "SELECT FROM auth.account WHERE id = :id FOR UPDATE"
WAITING = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"
TRACES = """
    SELECT (SELECT count(*) FROM auth.passkey WHERE user_id = :id),
        (SELECT array_agg(t) FROM auth.totp t WHERE user_id = :id),
        (SELECT array_agg(c ORDER BY c.hash) FROM auth.recovery_code c WHERE user_id = :id),
        (SELECT count(*) FROM auth.api_token WHERE created_by = :id),
        (SELECT count(*) FROM auth.oidc_identity WHERE account_id = :id),
        (SELECT array_agg(a) FROM auth.account a WHERE id = :id),
        (SELECT count(*) FROM auth.outbox WHERE data -> 'audience' ->> 0 = CAST(:id AS text)),
        (SELECT count(*) FROM auth.audit_event WHERE subject_id = :id)
"""
IDENTITY = """
    INSERT INTO auth.oidc_identity (id, account_id, provider, issuer, subject, created_at)
    VALUES (:id, :owner, 'nowhere', 'https://nowhere.example', :subject, now())
"""


@pytest.fixture
def ended_while_waiting(api, database, rows):
    """Sends a request of a session, which ends while the request waits for an account."""

    async def ended_while_waiting(login, method, path, *, account_id=None, **body):
        async def waits():
            return await rows(WAITING) == [(1,)]

        before = await rows(TRACES, id=login.account.id)
        async with database.writer.begin() as other:
            await other.execute(text(HOLD), {"id": account_id or login.account.id})
            sent = asyncio.create_task(api.request(method, path, headers=login.headers, **body))
            await eventually(waits)
            await other.execute(text("DELETE FROM auth.session WHERE id = :id"), {"id": login.session_id})
        answer = await sent
        assert (answer.status_code, answer.json()["errors"][0]["code"]) == (401, "UNAUTHENTICATED")
        assert await rows(TRACES, id=login.account.id) == before

    return ended_while_waiting


@pytest.fixture
def begin_passkey(api):
    """Returns the body that registers a passkey."""

    async def begin_passkey(login):
        begun = (await api.post(f"{PASSKEYS}/register/options", headers=login.headers)).json()["data"]
        credential = Authenticator().create(begun["public_key"])
        return {"challenge_id": begun["challenge_id"], "credential": credential, "name": "My phone"}

    return begin_passkey


async def test_no_api_token_is_made(login, ended_while_waiting):
    body = {"name": "backup", "scopes": ["tasks:read"]}
    await ended_while_waiting(login, "POST", "/api/v1/auth/tokens", json=body)


async def test_no_token_of_a_service_account_is_made(api, login, tasks_api, ended_while_waiting):
    workspace_id = uuid7()
    tasks_api.join(login.account.id, workspace_id, "owner")
    body = {"workspace_id": str(workspace_id), "name": "CI", "role": "member"}
    made = await api.post("/api/v1/service-accounts", json=body, headers=login.headers)
    account_id = made.json()["data"]["id"]
    path, body = f"/api/v1/service-accounts/{account_id}/tokens", {"name": "backup", "scopes": ["tasks:read"]}
    await ended_while_waiting(login, "POST", path, account_id=account_id, json=body)


async def test_no_passkey_is_registered(login, begin_passkey, ended_while_waiting):
    body = await begin_passkey(login)
    await ended_while_waiting(login, "POST", f"{PASSKEYS}/register", json=body)


async def test_no_passkey_is_removed(api, login, begin_passkey, ended_while_waiting):
    made = await api.post(f"{PASSKEYS}/register", json=await begin_passkey(login), headers=login.headers)
    await ended_while_waiting(login, "DELETE", made.headers["location"])


async def test_no_one_time_codes_begin(login, ended_while_waiting):
    await ended_while_waiting(login, "POST", TOTP)


async def test_no_one_time_codes_come_into_force(api, login, ended_while_waiting):
    seed = (await api.post(TOTP, headers=login.headers)).json()["data"]["secret"]
    await ended_while_waiting(login, "POST", f"{TOTP}/confirm", json={"code": pyotp.TOTP(seed).at(utcnow())})


@pytest.mark.parametrize(("method", "path"), [("DELETE", TOTP), ("POST", CODES)])
async def test_one_time_codes_and_recovery_codes_stay(login, enrol, ended_while_waiting, method, path):
    await enrol(login)
    await ended_while_waiting(login, method, path)


async def test_no_identity_is_unlinked(login, rows, ended_while_waiting):
    identity_id = uuid7()
    await rows(IDENTITY, id=identity_id, owner=login.account.id, subject=identity_id.hex)
    await ended_while_waiting(login, "DELETE", f"/api/v1/auth/oidc/identities/{identity_id}")


@pytest.mark.parametrize(("method", "path"), [("POST", "/api/v1/users/me/deactivate"), ("DELETE", "/api/v1/users/me")])
async def test_no_account_is_left(login, ended_while_waiting, method, path):
    await ended_while_waiting(login, method, path)


async def test_an_ended_session_confirms_no_one_time_codes(api, login, rows):
    seed = (await api.post(TOTP, headers=login.headers)).json()["data"]["secret"]
    await rows("DELETE FROM auth.session WHERE id = :id", id=login.session_id)
    body = {"code": pyotp.TOTP(seed).at(utcnow())}
    assert (await api.post(f"{TOTP}/confirm", json=body, headers=login.headers)).status_code == 401
    query = "SELECT has_second_factor FROM auth.account WHERE id = :id"
    assert await rows(query, id=login.account.id) == [(False,)]


async def test_an_ended_session_is_not_proved_again(api, login, rows):
    await rows("DELETE FROM auth.session WHERE id = :id", id=login.session_id)
    answer = await api.post("/api/v1/auth/step-up", json={"password": login.account.password}, headers=login.headers)
    assert answer.status_code == 401
    query = "SELECT count(*) FROM auth.audit_event WHERE subject_id = :id AND action = 'session.step_up'"
    assert await rows(query, id=login.account.id) == [(0,)]
