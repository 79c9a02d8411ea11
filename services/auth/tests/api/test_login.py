"""Logging in: the tokens, the work of a wrong try (R9), and the waiting after many (R10)."""

import asyncio
import hashlib
import time

import argon2
import pytest
from auth_service.passwords.service import PasswordHasher
from chassis.ids import uuid7

FAILURES = "SELECT failures FROM auth.login_failure WHERE account_digest = :d ORDER BY network"
UNBLOCK = "UPDATE auth.login_failure SET blocked_until = now() WHERE account_digest = :d"
BLOCK_LONGER = """
    UPDATE auth.login_failure SET blocked_until = blocked_until + interval '1 min' WHERE account_digest = :d
"""
WRONG = "not this one"
HASH = "SELECT password_hash FROM auth.account WHERE id = :id"


@pytest.fixture(scope="module")
async def api(open_api):
    """Hashes as production does: what it makes and costs is looked at."""
    async with open_api(passwords=PasswordHasher()) as client:
        yield client


def codes(answer):
    return answer.status_code, [error["code"] for error in answer.json()["errors"]]


def digest(email):
    return hashlib.sha256(email.encode()).digest()


def seen(answer):
    return *codes(answer), answer.json()["message"], sorted(answer.headers), answer.headers.get("retry-after")


@pytest.fixture
def attempt(api, new_address):
    here = new_address()

    async def attempt(email, password, *, address=here):
        body = {"email": email, "password": password}
        return await api.post("/api/v1/auth/login", json=body, headers={"x-client-address": address})

    return attempt


@pytest.fixture
def unblock(rows):
    """Lets the time of a block pass."""

    async def unblock(email):
        await rows(UNBLOCK, d=digest(email))

    return unblock


@pytest.fixture
def failures(rows):
    async def failures(email):
        return [count for (count,) in await rows(FAILURES, d=digest(email))]

    return failures


async def test_login_200_with_the_tokens_as_documented(api, account, events, rows):
    headers = {"user-agent": "curl/7.88.1"}
    answer = await api.post("/api/v1/auth/login", json=account.credentials, headers=headers)
    assert answer.status_code == 200
    assert answer.headers["cache-control"] == "no-store"
    data = answer.json()["data"]
    assert list(data) == [
        "access_token",
        "token_type",
        "expires_in",
        "refresh_token",
        "refresh_expires_in",
        "user",
    ]
    assert (data["token_type"], data["expires_in"], data["refresh_expires_in"]) == ("bearer", 86400, 14 * 86400)
    assert (data["user"]["id"], data["user"]["email"]) == (str(account.id), account.email)
    assert await events(account.id) == ["user.registered.v1", "session.started.v1"]
    assert await rows("SELECT device FROM auth.session WHERE user_id = :id", id=account.id) == [("curl/7.88.1",)]


async def test_login_works_for_every_form_of_the_address(attempt, account):
    for form in (account.email.upper(), f" {account.email} "):
        assert (await attempt(form, account.password)).status_code == 200


async def test_r10_unknown_accounts_and_wrong_passwords_get_the_same_answers(attempt, account, rows):
    """The same statuses, bytes and headers, try after try, the refusals for too many included."""
    sessions = await rows("SELECT count(*) FROM auth.session")
    answers = {}
    for email in (account.email, f"{uuid7().hex}@example.com", "no address at all"):
        answers[email] = [await attempt(email, "not this one") for _ in range(8)]
    seen = {
        email: [
            (*codes(one), one.json()["message"], sorted(one.headers), one.headers.get("retry-after")) for one in tries
        ]
        for email, tries in answers.items()
    }
    known, unknown, nonsense = seen.values()
    assert known == unknown == nonsense
    assert [status for status, *_ in known] == [401] * 6 + [429] * 2
    assert known[0][1] == ["INVALID_CREDENTIALS"]
    assert known[7][1] == ["TOO_MANY_LOGIN_FAILURES"]
    assert answers[account.email][0].headers["www-authenticate"] == "Bearer"
    assert await rows("SELECT count(*) FROM auth.session") == sessions


async def test_r10_five_free_failures_then_1_2_4_up_to_300_seconds(attempt, unblock, failures):
    email = f"{uuid7().hex}@example.com"
    statuses, waits = [], []
    while len(waits) < 12:
        answer = await attempt(email, "not this one")
        statuses.append(answer.status_code)
        if answer.status_code == 429:
            waits.append(int(answer.headers["retry-after"]))
            await unblock(email)
    assert statuses == [401] * 5 + [401, 429] * 12
    assert waits == [1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300, 300]
    assert await failures(email) == [17]


async def test_r10_the_right_password_is_not_told_during_a_block_and_clears_after_it(
    attempt, account, unblock, failures, rows
):
    for _ in range(6):
        assert (await attempt(account.email, "not this one")).status_code == 401
    blocked = await attempt(account.email, account.password)
    assert codes(blocked) == (429, ["TOO_MANY_LOGIN_FAILURES"])
    assert blocked.headers["retry-after"] == "1"
    assert await rows("SELECT count(*) FROM auth.session WHERE user_id = :id", id=account.id) == [(0,)]
    assert await failures(account.email) == [6]
    await unblock(account.email)
    assert (await attempt(account.email, account.password)).status_code == 200
    assert await failures(account.email) == []
    for _ in range(5):
        assert (await attempt(account.email, "not this one")).status_code == 401
    assert (await attempt(account.email, account.password)).status_code == 200


async def test_r10_failures_count_by_network_and_account(attempt, account, sign_up, failures, rows):
    for number in range(6):
        await attempt(account.email, "not this one", address=f"192.0.2.{number}")
    for number in range(6):
        await attempt(account.email, "not this one", address=f"2001:db8:0:1::{number}")
    await rows(BLOCK_LONGER, d=digest(account.email))
    for same in ("192.0.2.200", "::ffff:192.0.2.9", "2001:db8:0:1:ffff::1"):
        assert (await attempt(account.email, account.password, address=same)).status_code == 429
    assert await failures(account.email) == [6, 6]
    other = await sign_up()
    assert (await attempt(other.email, other.password)).status_code == 200
    for elsewhere in ("192.0.3.1", "2001:db8:0:2::1"):
        assert (await attempt(account.email, account.password, address=elsewhere)).status_code == 200
    assert await failures(account.email) == [6, 6]


async def test_r10_many_guesses_at_once_get_no_further_than_one_after_the_other(attempt, account, failures, rows):
    """They are all under way before the first is counted; the one after which there is a block is the last one told."""
    await attempt(account.email, "not this one")
    await rows("UPDATE auth.login_failure SET failures = 20 WHERE account_digest = :d", d=digest(account.email))
    guesses = [attempt(account.email, f"guess number {n}") for n in range(20)]
    answers = await asyncio.gather(*guesses, attempt(account.email, account.password))
    assert sorted(answer.status_code for answer in answers) == [401] + [429] * 20
    assert answers[-1].status_code == 429
    assert await failures(account.email) == [21]
    assert await rows("SELECT count(*) FROM auth.session WHERE user_id = :id", id=account.id) == [(0,)]


async def test_r9_an_unknown_account_costs_as_much_work_as_a_wrong_password(attempt, account):
    """Measured in processor time, which other processes of the machine do not change."""

    async def work(email, password=WRONG):
        started = time.process_time()
        answer = await attempt(email, password)
        assert answer.status_code in (401, 422)
        return time.process_time() - started

    await work(account.email)
    known = min([await work(account.email) for _ in range(4)])
    unknown = min([await work(f"{uuid7().hex}@example.com") for _ in range(4)])
    oversized = min([await work(f"{uuid7().hex}@example.com", "\U0001f511" * 1000) for _ in range(4)])
    assert 0.6 < unknown / known < 1.6
    assert oversized < known / 2


async def test_r9_a_login_renews_a_hash_with_other_parameters(attempt, account, rows):
    weak = argon2.PasswordHasher(time_cost=1, memory_cost=8, parallelism=1).hash(account.password)
    await rows("UPDATE auth.account SET password_hash = :h WHERE id = :id", h=weak, id=account.id)
    assert (await attempt(account.email, "not this one")).status_code == 401
    assert await rows(HASH, id=account.id) == [(weak,)]
    assert (await attempt(account.email, account.password)).status_code == 200
    ((renewed,),) = await rows(HASH, id=account.id)
    assert renewed.startswith("$argon2id$v=19$m=19456,t=2,p=1$")
    assert (await attempt(account.email, account.password)).status_code == 200
    assert await rows(HASH, id=account.id) == [(renewed,)]


async def test_r9_a_hash_that_can_not_be_read_is_a_wrong_password_and_no_500(attempt, account, rows):
    await rows("UPDATE auth.account SET password_hash = 'damaged' WHERE id = :id", id=account.id)
    assert codes(await attempt(account.email, account.password)) == (401, ["INVALID_CREDENTIALS"])


async def test_r9_more_logins_than_the_queue_holds_are_503_with_retry_after(attempt, account, failures):
    answers = await asyncio.gather(*(attempt(account.email, account.password) for _ in range(150)))
    refused = [answer for answer in answers if answer.status_code == 503]
    assert refused
    assert {codes(answer)[1][0] for answer in refused} == {"LOGIN_BUSY"}
    assert {answer.headers["retry-after"] for answer in refused} == {"1"}
    assert [answer.status_code for answer in answers].count(200) == 150 - len(refused) >= 66
    assert await failures(account.email) == []
    assert (await attempt(account.email, account.password)).status_code == 200


async def test_the_lifetime_of_tokens_is_a_setting(open_api, account):
    async with open_api(access_token_ttl=900, refresh_idle_ttl=7200, refresh_absolute_ttl=3600) as hardened:
        data = (await hardened.post("/api/v1/auth/login", json=account.credentials)).json()["data"]
    assert (data["expires_in"], data["refresh_expires_in"]) == (900, 3600)


async def test_the_form_answers_without_envelope(api, account, rows):
    form = {"grant_type": "password", "username": account.email, "password": account.password, "scope": ""}
    answer = await api.post("/api/v1/auth/token", data=form)
    assert answer.status_code == 200
    assert (answer.headers["cache-control"], answer.headers["pragma"]) == ("no-store", "no-cache")
    tokens = answer.json()
    assert sorted(tokens) == ["access_token", "expires_in", "refresh_token", "token_type"]
    assert (tokens["token_type"], tokens["expires_in"]) == ("bearer", 86400)
    assert await rows("SELECT count(*) FROM auth.session WHERE user_id = :id", id=account.id) == [(1,)]
    refreshed = await api.post("/api/v1/auth/refresh", json={"refresh_token": tokens["refresh_token"]})
    assert refreshed.status_code == 200


FORM = "application/x-www-form-urlencoded"


@pytest.mark.parametrize(
    ("content", "content_type", "status", "code", "field", "oauth"),
    [
        ("username=a%40example.com&password=wrong", FORM, 401, "INVALID_CREDENTIALS", None, "invalid_grant"),
        ("username=a%40example.com", FORM, 422, "REQUIRED", "password", "invalid_request"),
        ("password=a", FORM, 422, "REQUIRED", "username", "invalid_request"),
        ("username=a&username=b&password=c", FORM, 422, "REPEATED_FIELD", "username", "invalid_request"),
        ("username=a&password=b&scope=&scope=", FORM, 422, "REPEATED_FIELD", "scope", "invalid_request"),
        (
            "username=a&password=b&grant_type=client_credentials",
            FORM,
            422,
            "INVALID_FORMAT",
            "grant_type",
            "unsupported_grant_type",
        ),
        ("username=" + "a" * 321 + "&password=b", FORM, 422, "TOO_LONG", "username", "invalid_request"),
        ("&".join(f"f{n}=" for n in range(1000)), FORM, 400, "MALFORMED_REQUEST", None, "invalid_request"),
        (
            '{"username": "a", "password": "b"}',
            "application/json",
            415,
            "UNSUPPORTED_MEDIA_TYPE",
            None,
            "invalid_request",
        ),
        ("--x\r\n\r\n--x--", "multipart/form-data; boundary=x", 415, "UNSUPPORTED_MEDIA_TYPE", None, "invalid_request"),
        ("username=a&password=b", None, 415, "UNSUPPORTED_MEDIA_TYPE", None, "invalid_request"),
        ("username=%00%ED%A0%80%FF&password=%00%FF", FORM, 401, "INVALID_CREDENTIALS", None, "invalid_grant"),
    ],
)
async def test_a_bad_form_is_refused_as_oauth2_and_as_our_clients_expect(
    api, rows, content, content_type, status, code, field, oauth
):
    sessions = await rows("SELECT count(*) FROM auth.session")
    headers = {"content-type": content_type} if content_type else {}
    answer = await api.post("/api/v1/auth/token", content=content, headers=headers)
    body = answer.json()
    assert (answer.status_code, body["errors"][0]["code"], body["errors"][0]["field"]) == (status, code, field)
    assert (body["success"], body["data"], body["error"]) == (False, None, oauth)
    assert body["error_description"] == body["message"]
    assert answer.headers["cache-control"] == "no-store"
    assert await rows("SELECT count(*) FROM auth.session") == sessions


async def test_the_form_is_throttled_as_the_login_is(api, attempt, account, new_address):
    here = new_address()
    for _ in range(6):
        await attempt(account.email, "not this one", address=here)
    form = {"username": account.email, "password": account.password}
    answer = await api.post("/api/v1/auth/token", data=form, headers={"x-client-address": here})
    assert (answer.status_code, answer.json()["error"]) == (429, "temporarily_unavailable")
    assert answer.headers["retry-after"] == "1"
