"""Ways into an account by passkey: which of them is the last one, and what of failed ones is noted."""

import pytest
from chassis.ids import uuid7
from testkit.authenticator import ORIGIN, Authenticator, encode

PASSKEYS = "/api/v1/auth/passkeys"
IDENTITY = """
    INSERT INTO auth.oidc_identity (id, account_id, provider, issuer, subject, created_at)
    VALUES (:id, :owner, :provider, 'https://issuer.example', :subject, now())
"""
REFUSED = """
    SELECT subject_id, details FROM auth.audit_event
    WHERE action = 'login' AND outcome = 'refused' AND device = :device ORDER BY id
"""


@pytest.fixture
async def passkey(api, login):
    """An authenticator whose passkey is registered for `login`, and that passkey's path."""
    authenticator = Authenticator()
    begun = (await api.post(f"{PASSKEYS}/register/options", headers=login.headers)).json()["data"]
    body = {"challenge_id": begun["challenge_id"], "credential": authenticator.create(begun["public_key"])}
    made = await api.post(f"{PASSKEYS}/register", json=body, headers=login.headers)
    return authenticator, made.headers["location"]


@pytest.mark.parametrize(("provider", "status"), [("gone", 409), ("nowhere", 200)])
async def test_an_identity_of_a_provider_that_has_gone_is_no_way_in(api, login, passkey, rows, provider, status):
    _, path = passkey
    await rows("UPDATE auth.account SET password_hash = NULL WHERE id = :id", id=login.account.id)
    await rows(IDENTITY, id=uuid7(), owner=login.account.id, provider=provider, subject=uuid7().hex)
    assert (await api.delete(path, headers=login.headers)).status_code == status


async def test_failed_logins_by_passkey_are_noted_with_whose_it_is(api, login, passkey, rows):
    authenticator, _ = passkey
    device = f"Tests/{uuid7().hex}"

    async def enter(**changed):
        begun = (await api.post(f"{PASSKEYS}/login/options", json={})).json()["data"]
        credential = {**authenticator.get(begun["public_key"]), **changed}
        body = {"challenge_id": begun["challenge_id"], "credential": credential}
        answer = await api.post(f"{PASSKEYS}/login", json=body, headers={"user-agent": device})
        return answer.status_code

    unknown = encode(uuid7().bytes)
    assert await enter(id=unknown, rawId=unknown) == 401
    authenticator.origin = "https://evil.example"
    assert await enter() == 401
    authenticator.origin = ORIGIN
    assert await enter() == 200
    why = {"methods": ["passkey"], "refusal": "INVALID_PASSKEY"}
    assert await rows(REFUSED, device=device) == [(None, why), (login.account.id, why)]
