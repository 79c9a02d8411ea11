"""Access tokens (R1, R2) and the keys that sign them (R3)."""

import asyncio
import json
import re
from base64 import urlsafe_b64decode
from datetime import timedelta

import jwt
import pytest
from auth_service.db import ROOT
from auth_service.scheduler import jobs
from auth_service.tokens import service as tokens
from chassis.db.engine import open_database
from chassis.db.migrations import upgrade
from chassis.db.transactions import transaction
from chassis.sealing import KeyRing, SealError
from chassis.tokens import AccessTokenVerifier
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from pydantic import SecretStr
from testkit.databases import migrated_database

RING_KEYS = "k1:MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY="
OTHER_KEYS = "k2:MTIzNDU2Nzg5MGFiY2RlZjAxMjM0NTY3ODlhYmNkZWY="
RING = KeyRing.parse(RING_KEYS)
UUID7 = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")
KEYS = "SELECT state, count(*) FROM auth.signing_key GROUP BY state ORDER BY state"


def segments(token):
    return [json.loads(urlsafe_b64decode(part + "==")) for part in token.split(".")[:2]]


async def published(api):
    keys = (await api.get("/.well-known/jwks.json")).json()["keys"]
    return {key["kid"]: Ed25519PublicKey.from_public_bytes(urlsafe_b64decode(key["x"] + "=")) for key in keys}


async def verified(api, token):
    """Verify as the gateway does, with nothing but the published keys."""
    keys = await published(api)
    options = {"issuer": "taskloom", "audience": "taskloom-api", "max_lifetime": 86_400}
    return AccessTokenVerifier(**options, key_of=keys.get).verify(token)


async def rotate(database):
    async with transaction(database) as session:
        await tokens.rotate_keys(session, RING, access_ttl=timedelta(days=1))


async def test_r1_header_and_claims_of_an_access_token_are_exactly_these(api, login, rows):
    header, claims = segments(login.tokens["access_token"])
    assert header == {"alg": "EdDSA", "typ": "at+jwt", "kid": header["kid"]}
    assert header["kid"] in await published(api)
    ((session_id,),) = await rows("SELECT id FROM auth.session WHERE user_id = :id", id=login.account.id)
    assert claims == {
        "iss": "taskloom",
        "aud": "taskloom-api",
        "sub": str(login.account.id),
        "sid": str(session_id),
        "jti": claims["jti"],
        "iat": claims["iat"],
        "nbf": claims["iat"],
        "exp": claims["iat"] + 86_400,
        "scope": "",
        "roles": ["user"],
        "ver": 1,
    }
    assert UUID7.fullmatch(claims["jti"])
    assert len(login.tokens["access_token"]) < 1024


async def test_r1_every_token_has_an_id_of_its_own(api, login, log_in):
    other = await log_in(login.account)
    refreshed = await api.post("/api/v1/auth/refresh", json={"refresh_token": other.tokens["refresh_token"]})
    all_tokens = [login.tokens["access_token"], other.tokens["access_token"], refreshed.json()["data"]["access_token"]]
    claims = [segments(token)[1] for token in all_tokens]
    assert len({one["jti"] for one in claims}) == 3
    assert claims[1]["sid"] == claims[2]["sid"] != claims[0]["sid"]


async def test_r1_the_lifetime_is_a_setting(open_api, account):
    async with open_api(access_token_ttl=900) as hardened:
        data = (await hardened.post("/api/v1/auth/login", json=account.credentials)).json()["data"]
    _, claims = segments(data["access_token"])
    assert claims["exp"] - claims["iat"] == 900


async def test_r2_the_token_verifies_with_the_published_keys_and_says_who_it_is(api, login):
    found = await verified(api, login.tokens["access_token"])
    assert (found.principal.user_id, found.principal.session_id) == (login.account.id, login.session_id)
    assert found.principal.roles == {"user"}
    assert found.principal.scopes == frozenset()


async def test_r3_two_keys_are_published_for_five_minutes_and_no_private_half(api):
    answer = await api.get("/.well-known/jwks.json")
    assert answer.headers["cache-control"] == "public, max-age=300"
    keys = answer.json()["keys"]
    assert len(keys) >= 2
    for key in keys:
        assert sorted(key) == ["alg", "crv", "kid", "kty", "use", "x"]
        assert (key["kty"], key["crv"], key["use"], key["alg"]) == ("OKP", "Ed25519", "sig", "EdDSA")
        assert len(urlsafe_b64decode(key["x"] + "=")) == 32


async def test_r3_the_private_half_is_sealed_and_opens_only_in_its_place(rows):
    found = await rows("SELECT kid, public_key, private_key_sealed FROM auth.signing_key WHERE state <> 'retired'")
    assert len(found) == 2
    (kid, public, sealed), (other_kid, _, _) = found
    raw = RING.open(sealed, place=f"signing_key|private_key_sealed|{kid}")
    assert Ed25519PrivateKey.from_private_bytes(raw).public_key().public_bytes_raw() == public
    with pytest.raises(SealError):
        RING.open(sealed, place=f"signing_key|private_key_sealed|{other_kid}")


async def test_r3_a_rotation_signs_with_the_next_key_and_old_tokens_stay_valid(api, open_api, login, command, rows):
    old = login.tokens["access_token"]
    before = await published(api)
    ((upcoming,),) = await rows("SELECT kid FROM auth.signing_key WHERE state = 'next'")
    assert (await command("rotate-keys"))[::2] == (0, "")
    after = await published(api)
    assert before.keys() < after.keys()
    assert await rows(KEYS) == [("current", 1), ("next", 1), ("retired", len(after) - 2)]
    async with open_api() as restarted:
        answer = await restarted.post("/api/v1/auth/login", json=login.account.credentials)
    new = answer.json()["data"]["access_token"]
    assert segments(new)[0]["kid"] == upcoming != segments(old)[0]["kid"]
    assert upcoming in before
    for token in (old, new):
        assert (await verified(api, token)).principal.user_id == login.account.id
    old_kid = segments(old)[0]["kid"]
    ((kept,),) = await rows(
        "SELECT published_until - now() BETWEEN '24:59:00' AND '25:00:00' FROM auth.signing_key WHERE kid = :k",
        k=old_kid,
    )
    assert kept
    await rows("UPDATE auth.signing_key SET published_until = now() WHERE kid = :k", k=old_kid)
    assert old_kid not in await published(api)


async def test_r3_rotations_at_once_come_one_after_the_other(database, rows):
    (before,) = [count for state, count in await rows(KEYS) if state == "retired"] or [0]
    await asyncio.gather(*(rotate(database) for _ in range(5)))
    assert await rows(KEYS) == [("current", 1), ("next", 1), ("retired", before + 5)]


async def test_r3_a_rotation_is_in_the_audit_and_nobody_is_said_to_have_done_it(command, rows):
    noted = """SELECT outcome, actor_id, subject_id, credential_id, address, device, details FROM auth.audit_event
               WHERE action = 'signing_keys.rotated' ORDER BY id"""
    before = await rows(noted)
    assert (await command("rotate-keys"))[::2] == (0, "")
    assert await rows(noted) == [*before, ("success", None, None, None, None, None, {})]


async def run_rotation(database, settings):
    (job,) = (job for job in jobs(settings) if job.name == "rotate-keys")
    async with transaction(database) as session:
        await job.run(session)


KIDS = "SELECT kid FROM auth.signing_key WHERE state <> 'retired' ORDER BY state"
LAST_ROTATED = "UPDATE auth.signing_key SET created_at = now() - make_interval(days => :days) WHERE state = 'next'"


async def test_r3_the_current_key_signs_for_thirty_days_and_then_the_next_one_does(api, database, make_settings, rows):
    await rows(LAST_ROTATED, days=29)
    (_, upcoming) = before = await rows(KIDS)
    await run_rotation(database, make_settings())
    assert await rows(KIDS) == before
    await rows(LAST_ROTATED, days=30)
    await asyncio.gather(*(run_rotation(database, make_settings()) for _ in range(4)))
    (current, new) = await rows(KIDS)
    assert current == upcoming
    assert new not in before
    # The key was made long before it began to sign: its thirty days begin with that.
    await rows("UPDATE auth.signing_key SET created_at = now() - interval '60 d' WHERE state = 'current'")
    await run_rotation(database, make_settings())
    assert await rows(KIDS) == [current, new]
    assert {kid for (kid,) in [*before, new]} <= (await published(api)).keys()


async def test_r3_how_long_a_key_signs_is_a_setting_and_zero_is_for_ever(database, make_settings, rows):
    await rows(LAST_ROTATED, days=3000)
    before = await rows(KIDS)
    await run_rotation(database, make_settings(key_rotation_days=0))
    assert await rows(KIDS) == before
    await rows(LAST_ROTATED, days=2)
    await run_rotation(database, make_settings(key_rotation_days=3))
    assert await rows(KIDS) == before
    await run_rotation(database, make_settings(key_rotation_days=2))
    assert (await rows(KIDS))[0] == before[1]


@pytest.mark.parametrize("days", [0, 30])
async def test_r3_a_retired_key_is_deleted_when_its_last_token_has_expired(database, make_settings, rows, days):
    await rotate(database)
    await rotate(database)
    retired = "SELECT kid FROM auth.signing_key WHERE state = 'retired' ORDER BY created_at DESC"
    (dead, *others) = await rows(retired)
    await rows("UPDATE auth.signing_key SET published_until = now() WHERE kid = :k", k=dead[0])
    await rows(
        "UPDATE auth.signing_key SET published_until = now() + interval '1 min' WHERE state = 'retired' AND kid <> :k",
        k=dead[0],
    )
    await run_rotation(database, make_settings(key_rotation_days=days))
    assert await rows(retired) == others


@pytest.fixture(scope="module")
def new_database_settings(postgres_url, worker_id):
    return migrated_database(postgres_url, f"auth_new_{worker_id}", lambda url: upgrade(ROOT, url=url))


async def test_r3_processes_that_start_at_once_make_one_pair(new_database_settings, open_api):
    database = open_database(new_database_settings, application_name="auth-tests-new")

    async def start():
        async with open_api(on=database) as client:
            return (await client.get("/.well-known/jwks.json")).json()["keys"]

    starts = await asyncio.gather(*(start() for _ in range(6)))
    await database.close()
    assert all(keys == starts[0] for keys in starts)
    assert len(starts[0]) == 2


async def test_r67_a_service_that_can_not_open_its_key_does_not_start(open_api):
    """Another encryption key than the one that sealed: better no start than an error at every login."""
    with pytest.raises(SealError):
        async with open_api(encryption_keys=SecretStr(OTHER_KEYS)):
            pass


async def test_r3_a_new_encryption_key_beside_the_old_one_changes_nothing(open_api, account):
    async with open_api(encryption_keys=SecretStr(f"{OTHER_KEYS},{RING_KEYS}")) as client:
        answer = await client.post("/api/v1/auth/login", json=account.credentials)
    assert answer.status_code == 200
    assert jwt.get_unverified_header(answer.json()["data"]["access_token"])["alg"] == "EdDSA"
