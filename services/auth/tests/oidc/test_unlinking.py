"""Unlinking an identity beside its other uses."""

import asyncio

from chassis.ids import uuid7
from sqlalchemy import text
from testkit.waiting import eventually

WAITING = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"
OF_ACCOUNT = "SELECT id FROM auth.oidc_identity WHERE account_id = :id"
PASSKEY = """
    INSERT INTO auth.passkey (id, user_id, credential_id, public_key, sign_count, transports, backup_eligible,
        backed_up, name, created_at)
    VALUES (:key, :id, :credential, '', 0, '{}', false, false, 'x', now())
"""


def codes(answer):
    return answer.status_code, [error["code"] for error in answer.json()["errors"]]


async def linked(sso, provider, login):
    flow = await sso.start_link(login)
    answer = await sso.complete(flow, provider.authorize(flow["authorization_url"]))
    return f"/api/v1/auth/oidc/identities/{answer.json()['data']['id']}"


async def test_a_login_by_an_identity_that_is_unlinked_meanwhile_is_refused(
    sso, provider, enter, login, rows, database, counts
):
    await linked(sso, provider, login)
    before = await counts()

    async def waits():
        return await rows(WAITING) == [(1,)]

    async with database.writer.begin() as other:
        hold = "SELECT FROM auth.account WHERE id = :id FOR UPDATE"
        await other.execute(text(hold), {"id": login.account.id})
        entering = asyncio.create_task(enter())
        await eventually(waits)
        await other.execute(text("DELETE FROM auth.oidc_identity WHERE account_id = :id"), {"id": login.account.id})
    assert codes(await entering) == (401, ["OIDC_REFUSED"])
    sessions, accounts, identities = before
    assert await counts() == (sessions, accounts, identities - 1)


async def test_a_login_that_waits_for_its_second_factor_ends_with_the_identity(
    sso, provider, enter, login, enrol, rows
):
    path = await linked(sso, provider, login)
    factor = await enrol(login)
    by_password = (await sso.api.post("/api/v1/auth/login", json=login.account.credentials)).json()["data"]
    by_identity = (await enter()).json()["data"]
    assert (await sso.api.delete(path, headers=login.headers)).status_code == 200
    body = {"mfa_token": by_identity["mfa_token"], "otp": factor.code()}
    assert codes(await sso.api.post("/api/v1/auth/login/mfa", json=body)) == (401, ["INVALID_MFA_TOKEN"])
    body["mfa_token"] = by_password["mfa_token"]
    assert (await sso.api.post("/api/v1/auth/login/mfa", json=body)).status_code == 200


async def test_a_passkey_is_a_way_in_without_the_identity(sso, provider, login, rows):
    path = await linked(sso, provider, login)
    await rows("UPDATE auth.account SET password_hash = NULL WHERE id = :id", id=login.account.id)
    assert codes(await sso.api.delete(path, headers=login.headers)) == (409, ["OIDC_LAST_WAY_IN"])
    await rows(PASSKEY, key=uuid7(), id=login.account.id, credential=uuid7().bytes)
    assert (await sso.api.delete(path, headers=login.headers)).status_code == 200
    assert await rows(OF_ACCOUNT, id=login.account.id) == []
