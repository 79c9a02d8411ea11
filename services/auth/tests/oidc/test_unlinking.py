"""Unlinking an identity beside its other uses."""

import asyncio

from chassis.ids import uuid7
from sqlalchemy import text
from testkit.waiting import eventually

WAITING = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"
OF_ACCOUNT = "SELECT id FROM auth.oidc_identity WHERE account_id = :id"
UNLINKED = "SELECT provider, subject FROM auth.oidc_unlinked WHERE account_id = :id"
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


async def test_an_unlinked_identity_does_not_come_back_by_its_address_until_it_is_linked_again(
    sso, provider, enter, login, rows, counts, mails
):
    provider.email = login.account.email
    await rows("UPDATE auth.account SET email_verified_at = now() WHERE id = :id", id=login.account.id)
    assert (await enter()).status_code == 200
    ((identity,),) = await rows(OF_ACCOUNT, id=login.account.id)
    for own in (f"/api/v1/auth/oidc/identities/{identity}", None):
        path = own or await linked(sso, provider, login)
        assert (await sso.api.delete(path, headers=login.headers)).status_code == 200
        before, mailed = await counts(), await mails(login.account.id)
        for _ in range(2):
            answer = await enter()
            assert codes(answer) == (409, ["OIDC_IDENTITY_UNLINKED"])
            assert "/link" in answer.json()["errors"][0]["hint"]
        assert (await counts(), await mails(login.account.id)) == (before, mailed)
        assert (await sso.api.get("/api/v1/auth/oidc/identities", headers=login.headers)).json()["data"] == []
    await linked(sso, provider, login)
    assert (await enter()).json()["data"]["user"]["id"] == str(login.account.id)
    assert await rows(UNLINKED, id=login.account.id) == []


async def test_what_one_account_has_unlinked_is_open_to_another(sso, provider, enter, login, sign_up, rows):
    provider.email = login.account.email
    path = await linked(sso, provider, login)
    assert (await sso.api.delete(path, headers=login.headers)).status_code == 200
    assert await rows(UNLINKED, id=login.account.id) == [("scripted", provider.subject)]
    other = await sign_up()
    await rows("UPDATE auth.account SET email_verified_at = now() WHERE id = :id", id=other.id)
    provider.email = other.email
    assert (await enter()).json()["data"]["user"]["id"] == str(other.id)
    assert await rows(UNLINKED, id=login.account.id) == [("scripted", provider.subject)]


async def test_a_first_login_that_waits_while_the_same_identity_is_unlinked_is_refused(
    sso, provider, enter, login, rows, database, counts
):
    """Its account remembers, and is asked only when nobody changes it any more."""
    provider.email = login.account.email
    await rows("UPDATE auth.account SET email_verified_at = now() WHERE id = :id", id=login.account.id)
    before = await counts()

    async def waits():
        return await rows(WAITING) == [(1,)]

    async with database.writer.begin() as other:
        hold = "SELECT FROM auth.account WHERE id = :id FOR UPDATE"
        await other.execute(text(hold), {"id": login.account.id})
        entering = asyncio.create_task(enter())
        await eventually(waits)
        remember = "INSERT INTO auth.oidc_unlinked VALUES (:id, 'scripted', :issuer, :subject, now())"
        named = {"issuer": provider.issuer, "subject": provider.subject}
        await other.execute(text(remember), {"id": login.account.id, **named})
    assert codes(await entering) == (409, ["OIDC_IDENTITY_UNLINKED"])
    assert await counts() == before
