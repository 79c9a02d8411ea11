"""Passkeys (WebAuthn): registered, used to log in, as a second factor and to step up, renamed, removed."""

import asyncio
from uuid import UUID

import pyotp
import pytest
from auth_service.scheduler import jobs
from chassis.clock import utcnow
from chassis.db.transactions import transaction
from chassis.ids import uuid7
from testkit.authenticator import BE, BS, ORIGIN, UP, UV, Authenticator, decode, encode

PASSKEYS = "/api/v1/auth/passkeys"
BEGIN, REGISTER = f"{PASSKEYS}/register/options", f"{PASSKEYS}/register"
BEGIN_LOGIN, LOGIN = f"{PASSKEYS}/login/options", f"{PASSKEYS}/login"
BY_PASSWORD, COMPLETE = "/api/v1/auth/login", "/api/v1/auth/login/mfa"
STEP_UP, BEGIN_STEP_UP = "/api/v1/auth/step-up", "/api/v1/auth/step-up/options"
LONG_AGO = """
    UPDATE auth.session SET authenticated_at = now() - interval '11 min', second_factor_at = now() - interval '11 min'
    WHERE id = :id
"""
MAILS = """
    SELECT data->'resource'->>'kind' FROM auth.outbox WHERE data->>'entity_type' = 'account_mail'
    AND data->'resource'->>'user_id' = :id ORDER BY event_id
"""
LEFT = """
    SELECT (SELECT count(*) FROM auth.login_ticket WHERE user_id = :id),
        (SELECT count(*) FROM auth.passkey_challenge WHERE user_id = :id),
        (SELECT count(*) FROM auth.otp_tries WHERE user_id = :id), (SELECT count(*) FROM auth.totp WHERE user_id = :id)
"""
EXPIRE = [
    "UPDATE auth.login_ticket SET expires_at = now() - interval '1 s' WHERE user_id = :id",
    "UPDATE auth.passkey_challenge SET expires_at = now() - interval '1 s' WHERE user_id = :id",
]
AUDIT = "SELECT action, outcome, details FROM auth.audit_event WHERE subject_id = :id ORDER BY id"


def codes(answer):
    return answer.status_code, [error["code"] for error in answer.json()["errors"]]


@pytest.fixture
def begin(api):
    async def begin(path, headers=None):
        body = {"json": {}} if path == BEGIN_LOGIN else {}
        answer = await api.post(path, headers=headers, **body)
        assert answer.status_code == 200, answer.text
        assert answer.headers["cache-control"] == "no-store"
        return answer.json()["data"]

    return begin


@pytest.fixture
def register(api, begin):
    """Registers a passkey; what is given beside are lies of the authenticator or its browser."""

    async def register(login, authenticator, *, name="My phone", **lies):
        begun = await begin(BEGIN, login.headers)
        credential = authenticator.create(begun["public_key"], **lies)
        body = {"challenge_id": begun["challenge_id"], "credential": credential, "name": name}
        return await api.post(REGISTER, json=body, headers=login.headers)

    return register


@pytest.fixture
async def passkey(login, register):
    """An authenticator whose passkey is registered for `login`."""
    authenticator = Authenticator()
    assert (await register(login, authenticator)).status_code == 201
    return authenticator


@pytest.fixture
def enter(api, begin):
    """Logs in by passkey alone."""

    async def enter(authenticator, **lies):
        begun = await begin(BEGIN_LOGIN)
        credential = authenticator.get(begun["public_key"], **lies)
        return await api.post(LOGIN, json={"challenge_id": begun["challenge_id"], "credential": credential})

    return enter


@pytest.fixture
def mails(rows):
    async def mails(account):
        return [kind for (kind,) in await rows(MAILS, id=str(account.id))]

    return mails


@pytest.mark.parametrize("algorithm", ["ES256", "EdDSA"])
@pytest.mark.usefixtures("confirmed")
async def test_a_passkey_is_registered_and_logs_in_without_a_password(
    api, account, log_in, register, enter, rows, mails, algorithm
):
    other, login = await log_in(account), await log_in(account)
    authenticator = Authenticator(algorithm)
    answer = await register(login, authenticator)
    assert answer.status_code == 201
    data = answer.json()["data"]
    assert answer.headers["location"] == f"{PASSKEYS}/{data['id']}"
    assert (data["name"], data["transports"], data["last_used_at"]) == ("My phone", ["internal", "hybrid"], None)
    left = await rows("SELECT id, second_factor_at IS NOT NULL FROM auth.session WHERE user_id = :id", id=account.id)
    assert left == [(login.session_id, True)]
    assert other.session_id != login.session_id
    assert await mails(account) == ["passkey_added"]
    entered = await enter(authenticator)
    assert entered.status_code == 200
    assert entered.json()["data"]["user"]["id"] == str(account.id)
    query = "SELECT methods, second_factor_at = authenticated_at FROM auth.session WHERE user_id = :id ORDER BY id DESC"
    assert (await rows(query, id=account.id))[0] == (["passkey"], True)
    (listed,) = (await api.get(PASSKEYS, headers=login.headers)).json()["data"]
    assert listed["last_used_at"] is not None
    assert (await rows(AUDIT, id=account.id))[-1] == ("login", "success", {"methods": ["passkey"]})


async def test_the_options_are_as_promised_and_name_nobody(login, begin, register):
    first = await begin(BEGIN, login.headers)
    options = first["public_key"]
    assert options["rp"] == {"name": "Taskloom", "id": "localhost"}
    assert decode(options["user"]["id"]) == login.account.id.bytes
    assert len(decode(options["challenge"])) == 32
    assert options["attestation"] == "none"
    assert options["authenticatorSelection"]["residentKey"] == "preferred"
    assert {one["alg"] for one in options["pubKeyCredParams"]} == {-8, -7, -257}
    assert options["excludeCredentials"] == []
    authenticator = Authenticator()
    await register(login, authenticator)
    second = await begin(BEGIN, login.headers)
    assert [one["id"] for one in second["public_key"]["excludeCredentials"]] == [encode(authenticator.credential_id)]
    public = (await begin(BEGIN_LOGIN))["public_key"]
    assert public.pop("challenge") not in (options["challenge"], second["public_key"]["challenge"])
    assert public == {
        "timeout": 300_000,
        "rpId": "localhost",
        "allowCredentials": [],
        "userVerification": "required",
    }


async def test_the_password_asks_for_the_passkey_then(api, login, passkey, rows):
    """As a second factor the passkey need not verify its user, since the password did."""
    refused = await api.post(BY_PASSWORD, json=login.account.credentials)
    assert codes(refused) == (401, ["MFA_REQUIRED"])
    data = refused.json()["data"]
    assert data["methods"] == ["passkey"]
    assert [one["id"] for one in data["passkey"]["allowCredentials"]] == [encode(passkey.credential_id)]
    assert data["passkey"]["userVerification"] == "preferred"
    passkey.flags = UP
    body = {"mfa_token": data["mfa_token"], "credential": passkey.get(data["passkey"])}
    answer = await api.post(COMPLETE, json=body)
    assert answer.status_code == 200
    query = "SELECT methods FROM auth.session WHERE user_id = :id ORDER BY id DESC"
    assert (await rows(query, id=login.account.id))[0] == (["password", "passkey"],)
    assert codes(await api.post(COMPLETE, json=body)) == (401, ["INVALID_MFA_TOKEN"])


async def test_a_passkey_that_was_refused_as_a_second_factor_has_had_its_try(api, login, passkey, rows):
    data = (await api.post(BY_PASSWORD, json=login.account.credentials)).json()["data"]
    passkey.origin = "https://evil.example"
    body = {"mfa_token": data["mfa_token"], "credential": passkey.get(data["passkey"])}
    assert codes(await api.post(COMPLETE, json=body)) == (401, ["INVALID_PASSKEY"])
    passkey.origin = ORIGIN
    body["credential"] = passkey.get(data["passkey"])
    assert codes(await api.post(COMPLETE, json=body)) == (401, ["INVALID_PASSKEY"])
    refusals = [row for row in await rows(AUDIT, id=login.account.id) if row[1] == "refused"]
    assert refusals[-1] == ("login", "refused", {"methods": ["passkey"], "refusal": "INVALID_PASSKEY"})


@pytest.mark.parametrize("both", [True, False])
async def test_the_second_step_takes_either_a_code_or_a_passkey(api, login, passkey, both):
    data = (await api.post(BY_PASSWORD, json=login.account.credentials)).json()["data"]
    more = {"otp": "123456", "credential": passkey.get(data["passkey"])} if both else {}
    answer = await api.post(COMPLETE, json={"mfa_token": data["mfa_token"], **more})
    assert codes(answer) == (422, ["ONE_PROOF"])


async def test_step_up_by_passkey(api, login, passkey, begin, rows):
    await rows(LONG_AGO, id=login.session_id)
    refused = await api.post(BEGIN, headers=login.headers)
    assert codes(refused) == (403, ["STEP_UP_REQUIRED"])
    assert refused.json()["data"] == {"methods": ["passkey"]}
    begun = await begin(BEGIN_STEP_UP, login.headers)
    body = {"challenge_id": begun["challenge_id"], "credential": passkey.get(begun["public_key"])}
    assert (await api.post(STEP_UP, json=body, headers=login.headers)).status_code == 200
    assert (await api.post(BEGIN, headers=login.headers)).status_code == 200
    assert (await rows(AUDIT, id=login.account.id))[-1] == ("session.step_up", "success", {"methods": ["passkey"]})
    again = await api.post(STEP_UP, json=body, headers=login.headers)
    assert codes(again) == (401, ["INVALID_PASSKEY"])


async def test_step_up_options_409_without_a_passkey(api, login):
    assert codes(await api.post(BEGIN_STEP_UP, headers=login.headers)) == (409, ["NO_SECOND_FACTOR"])


@pytest.mark.usefixtures("confirmed")
async def test_a_passkey_is_listed_renamed_and_removed_by_its_owner_alone(
    api, login, passkey, sign_up, log_in, rows, mails
):
    stranger = await log_in(await sign_up())
    (listed,) = (await api.get(PASSKEYS, headers=login.headers)).json()["data"]
    path = f"{PASSKEYS}/{listed['id']}"
    assert (await api.get(PASSKEYS, headers=stranger.headers)).json()["data"] == []
    for method, body in (("PATCH", {"json": {"name": "Mine"}}), ("DELETE", {})):
        answer = await api.request(method, path, headers=stranger.headers, **body)
        assert codes(answer) == (404, ["NOT_FOUND"])
    renamed = await api.patch(path, json={"name": " Key "}, headers=login.headers)
    assert renamed.json()["data"] == {**listed, "name": "Key"}
    assert (await api.patch(path, json={}, headers=login.headers)).json()["data"]["name"] == "Key"
    assert codes(await api.patch(f"{PASSKEYS}/{uuid7()}", json={}, headers=login.headers)) == (404, ["NOT_FOUND"])
    other = await log_in_by_passkey(api, passkey)
    assert (await api.delete(path, headers={**login.headers, "prefer": "return=minimal"})).status_code == 204
    assert await rows("SELECT id FROM auth.session WHERE user_id = :id", id=login.account.id) == [(login.session_id,)]
    assert other != str(login.session_id)
    assert (await mails(login.account))[-1] == "passkey_removed"
    assert codes(await api.delete(path, headers=login.headers)) == (404, ["NOT_FOUND"])
    assert (await api.post(BY_PASSWORD, json=login.account.credentials)).status_code == 200
    actions = [action for action, *_ in await rows(AUDIT, id=login.account.id) if action.startswith("passkey")]
    assert actions == ["passkey.added", "passkey.changed", "passkey.removed"]


async def log_in_by_passkey(api, authenticator):
    begun = (await api.post(BEGIN_LOGIN, json={})).json()["data"]
    body = {"challenge_id": begun["challenge_id"], "credential": authenticator.get(begun["public_key"])}
    answer = await api.post(LOGIN, json=body)
    assert answer.status_code == 200
    return answer.json()["data"]["access_token"]


async def test_the_last_way_into_an_account_without_a_password_stays(api, login, passkey, register, rows):
    await rows("UPDATE auth.account SET password_hash = NULL WHERE id = :id", id=login.account.id)
    (listed,) = (await api.get(PASSKEYS, headers=login.headers)).json()["data"]
    path = f"{PASSKEYS}/{listed['id']}"
    assert codes(await api.delete(path, headers=login.headers)) == (409, ["LAST_CREDENTIAL"])
    assert (await register(login, Authenticator())).status_code == 201
    assert (await api.delete(path, headers=login.headers)).status_code == 200
    assert len((await api.get(PASSKEYS, headers=login.headers)).json()["data"]) == 1


async def test_at_most_twenty_passkeys(api, login, passkey, rows):
    more = """
        INSERT INTO auth.passkey (id, user_id, credential_id, public_key, sign_count, transports, backup_eligible,
            backed_up, name, created_at)
        SELECT gen_random_uuid(), user_id, decode(md5(:id || n::text), 'hex'), public_key, 0, '{}', false, false, 'x',
            now() FROM auth.passkey, generate_series(1, 19) n WHERE user_id = CAST(:id AS uuid)
    """
    await rows(more, id=str(login.account.id))
    assert codes(await api.post(BEGIN, headers=login.headers)) == (409, ["TOO_MANY_PASSKEYS"])


async def test_flags_of_copies_are_kept_and_followed(login, register, enter, rows):
    authenticator = Authenticator(flags=UP | UV | BE)
    await register(login, authenticator)
    query = "SELECT backup_eligible, backed_up FROM auth.passkey WHERE user_id = :id"
    assert await rows(query, id=login.account.id) == [(True, False)]
    authenticator.flags |= BS
    assert (await enter(authenticator)).status_code == 200
    assert await rows(query, id=login.account.id) == [(True, True)]


@pytest.mark.usefixtures("confirmed")
async def test_a_counter_that_does_not_rise_is_refused_noted_and_told(login, register, enter, rows, mails):
    authenticator = Authenticator(counts=True, counter=5)
    await register(login, authenticator)
    assert (await enter(authenticator)).status_code == 200
    for back in (5, 0):
        authenticator.counter = back
        assert codes(await enter(authenticator)) == (401, ["INVALID_PASSKEY"])
    suspect = [row for row in await rows(AUDIT, id=login.account.id) if row[0] == "passkey.suspect"]
    assert [(row[1], row[2]["counter"], row[2]["known"]) for row in suspect] == [("refused", 6, 6), ("refused", 1, 6)]
    assert (await mails(login.account))[-2:] == ["passkey_suspect", "passkey_suspect"]
    authenticator.counter = 6
    assert (await enter(authenticator)).status_code == 200


async def test_a_disabled_account_is_told_only_to_who_has_its_passkey(login, passkey, enter, rows):
    await rows("UPDATE auth.account SET status = 'disabled' WHERE id = :id", id=login.account.id)
    assert codes(await enter(passkey)) == (403, ["ACCOUNT_DISABLED"])
    imposter = Authenticator(credential_id=passkey.credential_id, user_handle=passkey.user_handle)
    assert codes(await enter(imposter)) == (401, ["INVALID_PASSKEY"])


def flipped(text, at=-1):
    raw = bytearray(decode(text))
    raw[at] ^= 1
    return encode(bytes(raw))


LIES = {
    "another origin": {"origin": "https://evil.example"},
    "an origin that only begins alike": {"origin": f"{ORIGIN}.evil.example"},
    "another relying party": {"rp_id": "evil.example"},
    "nobody was present": {"flags": UV},
    "the user was not verified": {"flags": UP},
    "copied without being copyable": {"flags": UP | UV | BS},
    "in a frame of another site": {"cross_origin": True},
    "a user handle of somebody else": {"user_handle": bytes(16)},
    "a user handle that is none": {"user_handle": b"x"},
}
REPLACED = {
    "of a registration": {"client_data": {"type": "webauthn.create"}},
    "another challenge": {"client_data": {"challenge": encode(bytes(32))}},
    "no challenge": {"client_data": {"challenge": None}},
    "a challenge that is a list": {"client_data": {"challenge": [1]}},
    "an origin that is an object": {"client_data": {"origin": {}}},
    "client data that is no JSON": {"response": {"clientDataJSON": encode(b"{")}},
    "client data that is a list": {"response": {"clientDataJSON": encode(b"[]")}},
    "client data that is no UTF-8": {"response": {"clientDataJSON": encode(b'{"a":"\xff"}')}},
    "client data of great depth": {"response": {"clientDataJSON": encode(b"[" * 5000)}},
    "no base64 at all": {"response": {"clientDataJSON": "A"}},
    "authenticator data cut short": {"response": {"authenticatorData": encode(bytes(20))}},
    "authenticator data with more behind": {"response": {"authenticatorData": encode(bytes(200))}},
    "extensions that are no CBOR": {
        "response": {"authenticatorData": encode(bytes(32) + b"\x85" + bytes(4) + b"\xff")}
    },
    "an empty signature": {"response": {"signature": "AA"}},
    "no user handle": {"response": {"userHandle": None}},
    "another id than rawId": {"id": encode(bytes(32))},
    "an unknown credential": {"id": encode(bytes(32)), "rawId": encode(bytes(32))},
}


@pytest.mark.parametrize("name", LIES)
async def test_login_401_for_what_an_authenticator_must_not_say(login, passkey, enter, rows, name):
    for field, value in LIES[name].items():
        setattr(passkey, field, value)
    assert codes(await enter(passkey)) == (401, ["INVALID_PASSKEY"])
    assert await rows("SELECT count(*) FROM auth.session WHERE user_id = :id", id=login.account.id) == [(1,)]


@pytest.mark.parametrize("name", REPLACED)
async def test_login_401_for_what_was_replaced_on_the_way(login, passkey, enter, name):
    assert codes(await enter(passkey, **dict(REPLACED[name]))) == (401, ["INVALID_PASSKEY"])
    assert (await enter(passkey)).status_code == 200


@pytest.mark.parametrize("part", ["clientDataJSON", "authenticatorData", "signature"])
@pytest.mark.parametrize("at", [0, 33, -1])
async def test_login_401_for_one_bit_that_was_changed(api, begin, passkey, part, at):
    begun = await begin(BEGIN_LOGIN)
    credential = passkey.get(begun["public_key"])
    credential["response"][part] = flipped(credential["response"][part], at)
    body = {"challenge_id": begun["challenge_id"], "credential": credential}
    assert codes(await api.post(LOGIN, json=body)) == (401, ["INVALID_PASSKEY"])


async def test_a_challenge_works_once_of_many_parallel_uses_and_for_five_minutes(api, begin, passkey, rows):
    begun = await begin(BEGIN_LOGIN)
    body = {"challenge_id": begun["challenge_id"], "credential": passkey.get(begun["public_key"])}
    answers = await asyncio.gather(*(api.post(LOGIN, json=body) for _ in range(10)))
    assert sorted(answer.status_code for answer in answers) == [200] + [401] * 9
    late = await begin(BEGIN_LOGIN)
    await rows("UPDATE auth.passkey_challenge SET expires_at = now() WHERE id = :id", id=UUID(late["challenge_id"]))
    body = {"challenge_id": late["challenge_id"], "credential": passkey.get(late["public_key"])}
    assert codes(await api.post(LOGIN, json=body)) == (401, ["INVALID_PASSKEY"])
    body = {"challenge_id": str(uuid7()), "credential": passkey.get(late["public_key"])}
    assert codes(await api.post(LOGIN, json=body)) == (401, ["INVALID_PASSKEY"])


async def test_a_challenge_is_for_its_purpose_and_account(api, login, begin, passkey, sign_up, log_in, register):
    """A challenge of a step-up or of a registration logs nobody in, nor the other way round."""
    for path in (BEGIN_STEP_UP, BEGIN):
        begun = await begin(path, login.headers)
        body = {"challenge_id": begun["challenge_id"], "credential": passkey.get(begun["public_key"])}
        assert codes(await api.post(LOGIN, json=body)) == (401, ["INVALID_PASSKEY"])
    begun = await begin(BEGIN_LOGIN)
    body = {"challenge_id": begun["challenge_id"], "credential": passkey.get(begun["public_key"])}
    assert codes(await api.post(STEP_UP, json=body, headers=login.headers)) == (401, ["INVALID_PASSKEY"])
    begun = await begin(BEGIN, login.headers)
    body = {"challenge_id": begun["challenge_id"], "credential": passkey.get(begun["public_key"])}
    assert codes(await api.post(STEP_UP, json=body, headers=login.headers)) == (401, ["INVALID_PASSKEY"])
    other = await log_in(await sign_up())
    theirs = Authenticator()
    await register(other, theirs)
    begun = await begin(BEGIN_STEP_UP, other.headers)
    for key in (passkey, theirs):
        body = {"challenge_id": begun["challenge_id"], "credential": key.get(begun["public_key"])}
        assert codes(await api.post(STEP_UP, json=body, headers=login.headers)) == (401, ["INVALID_PASSKEY"])
    begun = await begin(BEGIN_STEP_UP, login.headers)
    body = {"challenge_id": begun["challenge_id"], "credential": theirs.get(begun["public_key"])}
    assert codes(await api.post(STEP_UP, json=body, headers=login.headers)) == (401, ["INVALID_PASSKEY"])


NOT_ACCEPTED = {
    "another origin": ({"origin": "https://evil.example"}, {}),
    "another relying party": ({"rp_id": "evil.example"}, {}),
    "nobody was present": ({"flags": UV}, {}),
    "copied without being copyable": ({"flags": UP | UV | BS}, {}),
    "in a frame of another site": ({"cross_origin": True}, {}),
    "of a login": ({}, {"client_data": {"type": "webauthn.get"}}),
    "another challenge": ({}, {"client_data": {"challenge": encode(bytes(32))}}),
    "another id than attested": ({}, {"id": encode(bytes(32)), "rawId": encode(bytes(32))}),
    "an empty credential id": ({"credential_id": b""}, {"id": "AA", "rawId": "AA"}),
    "no CBOR": ({}, {"response": {"attestationObject": encode(b"\xff\xff")}}),
    "CBOR of great depth": ({}, {"response": {"attestationObject": encode(b"\x81" * 12_000)}}),
    "CBOR that says it is huge": ({}, {"response": {"attestationObject": encode(b"\x9b" + b"\x7f" + b"\xff" * 7)}}),
    "CBOR of another shape": ({}, {"response": {"attestationObject": encode(b"\x01")}}),
    "an unknown attestation": ({}, {"attestation": {"fmt": "self-made"}}),
    "an attestation with a statement": ({}, {"attestation": {"attStmt": {"sig": b"x"}}}),
    "authenticator data cut short": ({}, {"attestation": {"authData": bytes(40)}}),
    "authenticator data that is text": ({}, {"attestation": {"authData": "x"}}),
    "a packed attestation without a signature": ({}, {"attestation": {"fmt": "packed", "attStmt": {"alg": -7}}}),
}


@pytest.mark.parametrize("name", NOT_ACCEPTED)
async def test_register_422_for_what_is_no_answer_to_the_challenge(api, login, register, rows, name):
    said, lies = NOT_ACCEPTED[name]
    answer = await register(
        login,
        Authenticator(**said),
        **{key: dict(value) if isinstance(value, dict) else value for key, value in lies.items()},
    )
    assert codes(answer) == (422, ["PASSKEY_NOT_ACCEPTED"])
    assert await rows("SELECT id FROM auth.passkey WHERE user_id = :id", id=login.account.id) == []
    query = "SELECT has_second_factor FROM auth.account WHERE id = :id"
    assert await rows(query, id=login.account.id) == [(False,)]


async def test_register_422_for_a_challenge_that_was_used_expired_or_is_somebody_elses(
    api, login, begin, sign_up, log_in, rows
):
    other = await log_in(await sign_up())
    theirs, late, mine = [await begin(BEGIN, one.headers) for one in (other, login, login)]
    await rows("UPDATE auth.passkey_challenge SET expires_at = now() WHERE id = :id", id=UUID(late["challenge_id"]))
    bodies = [
        {"challenge_id": one["challenge_id"], "credential": Authenticator().create(one["public_key"])}
        for one in (theirs, late, mine, mine)
    ]
    statuses = [codes(await api.post(REGISTER, json=body, headers=login.headers)) for body in bodies]
    refused = (422, ["PASSKEY_NOT_ACCEPTED"])
    assert statuses == [refused, refused, (201, []), refused]


async def test_register_409_for_a_credential_that_is_registered(login, passkey, register, sign_up, log_in):
    assert codes(await register(login, passkey)) == (409, ["PASSKEY_TAKEN"])
    other = await log_in(await sign_up())
    assert codes(await register(other, passkey)) == (409, ["PASSKEY_TAKEN"])


MALFORMED = {
    "no base64url": (("response", "signature"), "a+b/c=", "credential.response.signature", "INVALID_FORMAT"),
    "oversized": (("response", "authenticatorData"), "A" * 16_385, "credential.response.authenticatorData", "TOO_LONG"),
    "an oversized id": (("rawId",), "A" * 1365, "credential.rawId", "TOO_LONG"),
    "empty": (("response", "clientDataJSON"), "", "credential.response.clientDataJSON", "INVALID_FORMAT"),
    "another type": (("type",), "password", "credential.type", "NOT_ALLOWED"),
    "an unknown field": (("response", "more"), "x", "credential.response.more", "UNKNOWN_FIELD"),
    "a number": (("rawId",), 7, "credential.rawId", "WRONG_TYPE"),
}


@pytest.mark.parametrize("name", MALFORMED)
async def test_login_422_for_what_has_not_the_form(api, begin, passkey, name):
    (*path, last), value, field, code = MALFORMED[name]
    begun = await begin(BEGIN_LOGIN)
    credential = passkey.get(begun["public_key"])
    target = credential
    for step in path:
        target = target[step]
    target[last] = value
    answer = await api.post(LOGIN, json={"challenge_id": begun["challenge_id"], "credential": credential})
    assert answer.status_code == 422
    assert [(one["field"], one["code"]) for one in answer.json()["errors"]] == [(field, code)]


@pytest.mark.parametrize("path", [BEGIN, REGISTER])
async def test_a4_registering_needs_a_recent_proof(api, login, begin, rows, path):
    begun = await begin(BEGIN, login.headers)
    await rows(LONG_AGO, id=login.session_id)
    credential = Authenticator().create(begun["public_key"])
    body = {"json": {"challenge_id": begun["challenge_id"], "credential": credential}} if path == REGISTER else {}
    assert codes(await api.post(path, headers=login.headers, **body)) == (403, ["STEP_UP_REQUIRED"])
    assert await rows("SELECT id FROM auth.passkey WHERE user_id = :id", id=login.account.id) == []


async def test_removing_one_factor_leaves_the_other(api, login, passkey, enrol, rows):
    """TOTP beside a passkey: the account has a second factor until both are gone, and recovery codes as long."""
    await enrol(login)
    has = "SELECT has_second_factor, (SELECT count(*) FROM auth.recovery_code WHERE user_id = :id) FROM auth.account"
    assert (await api.delete("/api/v1/auth/mfa/totp", headers=login.headers)).status_code == 200
    assert await rows(f"{has} WHERE id = :id", id=login.account.id) == [(True, 10)]
    (listed,) = (await api.get(PASSKEYS, headers=login.headers)).json()["data"]
    assert (await api.delete(f"{PASSKEYS}/{listed['id']}", headers=login.headers)).status_code == 200
    assert await rows(f"{has} WHERE id = :id", id=login.account.id) == [(False, 0)]


async def test_removing_both_factors_at_once_leaves_none(api, login, passkey, enrol, rows):
    await enrol(login)
    (listed,) = (await api.get(PASSKEYS, headers=login.headers)).json()["data"]
    paths = ["/api/v1/auth/mfa/totp", f"{PASSKEYS}/{listed['id']}"]
    answers = await asyncio.gather(*(api.delete(path, headers=login.headers) for path in paths))
    assert sorted(answer.status_code for answer in answers) == [200, 200]
    query = "SELECT has_second_factor FROM auth.account WHERE id = :id"
    assert await rows(query, id=login.account.id) == [(False,)]


async def test_confirming_codes_while_the_passkey_is_removed_leaves_a_second_factor(api, login, passkey, rows):
    secret = (await api.post("/api/v1/auth/mfa/totp", headers=login.headers)).json()["data"]["secret"]
    (listed,) = (await api.get(PASSKEYS, headers=login.headers)).json()["data"]
    body = {"code": pyotp.TOTP(secret).at(utcnow())}
    confirmed, removed = await asyncio.gather(
        api.post("/api/v1/auth/mfa/totp/confirm", json=body, headers=login.headers),
        api.delete(f"{PASSKEYS}/{listed['id']}", headers=login.headers),
    )
    assert (confirmed.status_code, removed.status_code) == (200, 200)
    has = "SELECT has_second_factor, (SELECT count(*) FROM auth.recovery_code WHERE user_id = :id) FROM auth.account"
    assert await rows(f"{has} WHERE id = :id", id=login.account.id) == [(True, 10)]


async def test_removing_codes_while_a_passkey_is_added_leaves_a_second_factor(api, login, enrol, begin, rows):
    await enrol(login)
    begun = await begin(BEGIN, login.headers)
    credential = Authenticator().create(begun["public_key"])
    body = {"challenge_id": begun["challenge_id"], "credential": credential}
    answers = await asyncio.gather(
        api.delete("/api/v1/auth/mfa/totp", headers=login.headers),
        api.post(REGISTER, json=body, headers=login.headers),
    )
    assert [answer.status_code for answer in answers] == [200, 201]
    query = "SELECT has_second_factor FROM auth.account WHERE id = :id"
    assert await rows(query, id=login.account.id) == [(True,)]


async def test_what_has_expired_is_purged_and_nothing_else(
    api, login, passkey, begin, enrol, rows, make_settings, database
):
    factor = await enrol(login)
    await api.post(BY_PASSWORD, json={**login.account.credentials, "otp": "00000"})
    for _ in range(2):
        await api.post(BY_PASSWORD, json=login.account.credentials)

    async def purge():
        for job in jobs(make_settings()):
            if job.name in {
                "purge-login-tickets",
                "purge-passkey-challenges",
                "purge-otp-tries",
                "purge-unconfirmed-totp",
            }:
                async with transaction(database) as session:
                    await job.run(session)
        return (await rows(LEFT, id=login.account.id))[0]

    assert await purge() == (2, 2, 1, 1)
    for statement in EXPIRE:
        await rows(statement, id=login.account.id)
    await rows("UPDATE auth.otp_tries SET began_at = now() - interval '6 min' WHERE user_id = :id", id=login.account.id)
    assert await purge() == (0, 0, 0, 1)
    assert len(factor.recovery_codes) == 10
