"""Setting up and removing one-time codes, and the recovery codes (A4, R13)."""

import asyncio
import json

import pyotp
import pytest
from auth_service.second_factors.service import check_seeds, reseal_seeds
from chassis.clock import utcnow
from chassis.db.transactions import transaction
from chassis.sealing import KeyRing, SealError

MFA = "/api/v1/auth/mfa"
RING_KEY = "k1:MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY="
TOTP = f"{MFA}/totp"
CONFIRM = f"{TOTP}/confirm"
CODES = f"{MFA}/recovery-codes"
PROVEN_LONG_AGO = """
    UPDATE auth.session SET authenticated_at = now() - interval '11 min', second_factor_at = now() - interval '11 min'
    WHERE id = :id
"""
AUDIT = """
    SELECT action, outcome, details FROM auth.audit_event WHERE subject_id = :id AND action <> 'login' ORDER BY id
"""


def codes(answer):
    return answer.status_code, [error["code"] for error in answer.json()["errors"]]


@pytest.fixture
def mails(rows):
    """The kinds of mails that were asked for, with their details."""

    async def mails(account):
        statement = "SELECT data FROM auth.outbox WHERE data->>'entity_type' = 'account_mail'"
        found = [
            data["resource"]
            for (data,) in await rows(
                f"{statement} AND data->>'audience' LIKE :id ORDER BY event_id", id=f"%{account.id}%"
            )
        ]
        assert {one["to"] for one in found} <= {account.email}
        return [(one["kind"], one["details"]) for one in found]

    return mails


@pytest.fixture
def mfa(api):
    async def mfa(login):
        answer = await api.get(MFA, headers=login.headers)
        assert answer.status_code == 200
        return answer.json()["data"]

    return mfa


async def test_r13_totp_is_pending_until_a_code_of_it_is_confirmed(api, login, mfa, rows):
    begun = await api.post(TOTP, headers=login.headers)
    assert begun.status_code == 200
    assert begun.headers["cache-control"] == "no-store"
    data = begun.json()["data"]
    assert list(data) == ["secret", "otpauth_uri", "expires_at"]
    assert pyotp.parse_uri(data["otpauth_uri"]).secret == data["secret"]
    assert await mfa(login) == {
        "enabled": False,
        "totp": False,
        "totp_confirmed_at": None,
        "passkeys": 0,
        "recovery_codes_left": 0,
        "methods": [],
    }
    assert (await api.post("/api/v1/auth/login", json=login.account.credentials)).status_code == 200
    body = {"code": pyotp.TOTP(data["secret"]).at(utcnow())}
    confirmed = await api.post(CONFIRM, json=body, headers=login.headers)
    assert confirmed.status_code == 200
    assert confirmed.headers["cache-control"] == "no-store"
    assert len(confirmed.json()["data"]["recovery_codes"]) == 10
    shown = await mfa(login)
    assert shown.pop("totp_confirmed_at") is not None
    assert shown == {
        "enabled": True,
        "totp": True,
        "passkeys": 0,
        "recovery_codes_left": 10,
        "methods": ["totp", "recovery_code"],
    }
    statement = "SELECT has_second_factor FROM auth.account WHERE id = :id"
    assert await rows(statement, id=login.account.id) == [(True,)]


async def test_r43_the_seed_is_sealed_and_the_recovery_codes_are_hashed(login, enrol, rows):
    factor = await enrol(login)
    ((sealed,),) = await rows("SELECT secret_sealed FROM auth.totp WHERE user_id = :id", id=login.account.id)
    assert sealed.startswith("v1.k1.")
    assert factor.seed not in sealed
    hashes = await rows("SELECT hash FROM auth.recovery_code WHERE user_id = :id", id=login.account.id)
    assert [len(one) for (one,) in hashes] == [32] * 10


async def test_r43_a_seed_of_another_row_opens_nothing(api, login, enrol, sign_up, log_in, rows):
    """Somebody who can write to the database moves the own seed to another account."""
    mine = await enrol(login)
    other = await log_in(await sign_up())
    await enrol(other)
    move = """
        UPDATE auth.totp SET secret_sealed = (SELECT secret_sealed FROM auth.totp WHERE user_id = :mine)
        WHERE user_id = :other
    """
    await rows(move, mine=login.account.id, other=other.account.id)
    body = {**other.account.credentials, "otp": mine.code()}
    assert codes(await api.post("/api/v1/auth/login", json=body)) == (401, ["INVALID_OTP"])


async def test_a_new_seed_replaces_one_that_was_not_confirmed(api, login):
    first, second = [(await api.post(TOTP, headers=login.headers)).json()["data"]["secret"] for _ in range(2)]
    assert first != second
    old = {"code": pyotp.TOTP(first).at(utcnow())}
    assert codes(await api.post(CONFIRM, json=old, headers=login.headers)) == (401, ["INVALID_OTP"])
    new = {"code": pyotp.TOTP(second).at(utcnow())}
    assert (await api.post(CONFIRM, json=new, headers=login.headers)).status_code == 200


async def test_confirm_409_without_a_pending_seed_or_after_ten_minutes(api, login, enrol, rows):
    body = {"code": "123456"}
    assert codes(await api.post(CONFIRM, json=body, headers=login.headers)) == (409, ["TOTP_NOT_PENDING"])
    secret = (await api.post(TOTP, headers=login.headers)).json()["data"]["secret"]
    statement = "UPDATE auth.totp SET created_at = created_at - interval '10 min' WHERE user_id = :id"
    await rows(statement, id=login.account.id)
    body = {"code": pyotp.TOTP(secret).at(utcnow())}
    assert codes(await api.post(CONFIRM, json=body, headers=login.headers)) == (409, ["TOTP_NOT_PENDING"])
    factor = await enrol(login)
    body = {"code": factor.code()}
    assert codes(await api.post(CONFIRM, json=body, headers=login.headers)) == (409, ["TOTP_NOT_PENDING"])
    assert codes(await api.post(TOTP, headers=login.headers)) == (409, ["TOTP_ALREADY_ENABLED"])


async def test_r13_confirm_429_after_five_tries_and_the_right_code_too(api, login, rows):
    secret = (await api.post(TOTP, headers=login.headers)).json()["data"]["secret"]
    for wrong in ("", "12345", "abcdef", "0" * 64, "x"):
        assert codes(await api.post(CONFIRM, json={"code": wrong}, headers=login.headers)) == (401, ["INVALID_OTP"])
    body = {"code": pyotp.TOTP(secret).at(utcnow())}
    refused = await api.post(CONFIRM, json=body, headers=login.headers)
    assert codes(refused) == (429, ["TOO_MANY_OTP_TRIES"])
    assert 290 <= int(refused.headers["retry-after"]) <= 300
    statement = "UPDATE auth.otp_tries SET began_at = began_at - interval '5 min' WHERE user_id = :id"
    await rows(statement, id=login.account.id)
    body = {"code": pyotp.TOTP(secret).at(utcnow())}
    assert (await api.post(CONFIRM, json=body, headers=login.headers)).status_code == 200
    assert await rows("SELECT tries FROM auth.otp_tries WHERE user_id = :id", id=login.account.id) == []


@pytest.mark.usefixtures("confirmed")
async def test_r6_confirming_ends_all_other_sessions_and_this_one_has_proved_both(
    api, account, log_in, enrol, rows, mails
):
    other, login = await log_in(account), await log_in(account)
    await enrol(login)
    left = await rows("SELECT id, second_factor_at IS NOT NULL FROM auth.session WHERE user_id = :id", id=account.id)
    assert left == [(login.session_id, True)]
    assert await rows("SELECT kind FROM auth.revocation WHERE subject = :id", id=other.session_id) == [("session",)]
    refresh = {"refresh_token": other.tokens["refresh_token"]}
    assert codes(await api.post("/api/v1/auth/refresh", json=refresh)) == (401, ["INVALID_REFRESH_TOKEN"])
    assert await mails(account) == [("second_factor_added", {})]
    assert (await rows(AUDIT, id=account.id))[-1] == ("totp.enabled", "success", {})
    assert (await api.delete(TOTP, headers=login.headers)).status_code == 200


@pytest.mark.parametrize("prefer", [None, "return=minimal"])
@pytest.mark.usefixtures("confirmed")
async def test_removing_totp_voids_the_recovery_codes_and_ends_other_sessions(
    api, account, log_in, enrol, mfa, rows, mails, prefer
):
    login = await log_in(account)
    factor = await enrol(login)
    body = {**account.credentials, "otp": factor.code()}
    assert (await api.post("/api/v1/auth/login", json=body)).status_code == 200
    headers = {**login.headers, **({"prefer": prefer} if prefer else {})}
    answer = await api.delete(TOTP, headers=headers)
    assert answer.status_code == (204 if prefer else 200)
    shown = await mfa(login)
    assert (shown["enabled"], shown["methods"], shown["recovery_codes_left"]) == (False, [], 0)
    assert await rows("SELECT id FROM auth.session WHERE user_id = :id", id=account.id) == [(login.session_id,)]
    assert (await mails(account))[-1] == ("second_factor_removed", {})
    assert (await rows(AUDIT, id=account.id))[-1] == ("totp.disabled", "success", {})
    assert (await api.post("/api/v1/auth/login", json=account.credentials)).status_code == 200
    assert codes(await api.delete(TOTP, headers=login.headers)) == (404, ["NOT_FOUND"])


async def test_a_pending_seed_is_nothing_to_remove(api, login):
    await api.post(TOTP, headers=login.headers)
    assert codes(await api.delete(TOTP, headers=login.headers)) == (404, ["NOT_FOUND"])


@pytest.mark.usefixtures("confirmed")
async def test_renewed_recovery_codes_void_the_old_ones(api, account, log_in, enrol, mails, rows):
    login = await log_in(account)
    assert codes(await api.post(CODES, headers=login.headers)) == (409, ["NO_SECOND_FACTOR"])
    factor = await enrol(login)
    renewed = await api.post(CODES, headers=login.headers)
    assert renewed.status_code == 200
    fresh = renewed.json()["data"]["recovery_codes"]
    assert len(set(fresh) - set(factor.recovery_codes)) == 10
    old = {**account.credentials, "otp": factor.recovery_codes[0]}
    assert codes(await api.post("/api/v1/auth/login", json=old)) == (401, ["INVALID_OTP"])
    new = {**account.credentials, "otp": fresh[0]}
    assert (await api.post("/api/v1/auth/login", json=new)).status_code == 200
    assert await mails(account) == [
        ("second_factor_added", {}),
        ("recovery_codes_renewed", {}),
        ("recovery_code_used", {"left": "9"}),
    ]
    assert [row[0] for row in await rows(AUDIT, id=account.id)][-2:] == [
        "recovery_codes.renewed",
        "recovery_code.used",
    ]


SENSITIVE = [("POST", TOTP), ("DELETE", TOTP), ("POST", CODES)]


@pytest.mark.parametrize(("method", "path"), SENSITIVE)
async def test_a4_step_up_is_asked_for_when_the_last_proof_is_old(api, login, rows, method, path):
    await rows(PROVEN_LONG_AGO, id=login.session_id)
    answer = await api.request(method, path, headers=login.headers)
    assert codes(answer) == (403, ["STEP_UP_REQUIRED"])
    assert answer.json()["data"] == {"methods": ["password"]}
    assert await rows("SELECT id FROM auth.totp WHERE user_id = :id", id=login.account.id) == []


@pytest.mark.parametrize(("method", "path"), SENSITIVE)
async def test_a4_a_proof_by_password_is_none_where_there_is_a_second_factor(api, login, enrol, rows, method, path):
    await enrol(login)
    statement = "UPDATE auth.session SET second_factor_at = NULL WHERE id = :id"
    await rows(statement, id=login.session_id)
    answer = await api.request(method, path, headers=login.headers)
    assert codes(answer) == (403, ["STEP_UP_REQUIRED"])
    assert answer.json()["data"] == {"methods": ["totp", "recovery_code"]}


async def test_parallel_confirmations_and_removals_leave_one_truth(api, login, rows):
    secret = (await api.post(TOTP, headers=login.headers)).json()["data"]["secret"]
    body = {"code": pyotp.TOTP(secret).at(utcnow())}
    answers = await asyncio.gather(
        *(api.post(CONFIRM, json=body, headers=login.headers) for _ in range(5)),
        *(api.delete(TOTP, headers=login.headers) for _ in range(5)),
    )
    assert sum(answer.status_code == 200 for answer in answers[:5]) == 1
    ((has, there),) = await rows(
        "SELECT has_second_factor, EXISTS (SELECT 1 FROM auth.totp WHERE user_id = :id AND confirmed_at IS NOT NULL) "
        "FROM auth.account WHERE id = :id",
        id=login.account.id,
    )
    assert has == there


async def test_no_secret_is_in_an_event_or_the_audit(api, account, log_in, enrol, rows):
    login = await log_in(account)
    factor = await enrol(login)
    body = {**account.credentials, "otp": factor.recovery_codes[0]}
    assert (await api.post("/api/v1/auth/login", json=body)).status_code == 200
    kept = await rows("SELECT data::text FROM auth.outbox WHERE data::text LIKE :id", id=f"%{account.id}%")
    kept += await rows("SELECT details::text FROM auth.audit_event WHERE subject_id = :id", id=account.id)
    text = json.dumps([row[0] for row in kept])
    for secret in (factor.seed, *factor.recovery_codes, account.password):
        assert secret not in text


async def test_r43_seeds_are_sealed_anew_with_the_newest_key(login, enrol, rows, database):
    factor = await enrol(login)
    both = KeyRing.parse(f"k2:{'B' * 43}=,{RING_KEY}")
    async with transaction(database) as session:
        await check_seeds(session, both)
        assert await reseal_seeds(session, both) is False
    query = "SELECT id, secret_sealed FROM auth.totp WHERE user_id = :id"
    ((totp_id, sealed),) = await rows(query, id=login.account.id)
    assert sealed.startswith("v1.k2.")
    assert both.open(sealed, place=f"totp|secret_sealed|{totp_id}").decode() == factor.seed
    with pytest.raises(SealError, match="k2"):
        async with transaction(database) as session:
            await check_seeds(session, KeyRing.parse(RING_KEY))
    await rows("DELETE FROM auth.totp")  # sealed with a key that no other test has


@pytest.mark.parametrize("path", [TOTP, CODES])
async def test_a_replay_tells_no_secret(api, login, enrol, rows, path):
    """The answer that an idempotency key keeps is without what is shown once."""
    if path == CODES:
        await enrol(login)
    headers = {**login.headers, "idempotency-key": "the-same"}
    first, second = [(await api.post(path, headers=headers)).json()["data"] for _ in range(2)]
    secret = "secret" if path == TOTP else "recovery_codes"
    assert first[secret] is not None
    assert second[secret] is None
    kept = await rows("SELECT body FROM auth.idempotency_key WHERE caller_id = :id", id=login.account.id)
    assert len(kept) == 1
    assert str(first[secret][0] if path == CODES else first[secret]).encode() not in kept[0][0]
