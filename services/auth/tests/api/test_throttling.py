"""Guessing passwords gets nobody far (R10): by address, by account, one after the other and all at once."""

import asyncio
import hashlib
from ipaddress import ip_network

import pytest
from chassis.ids import uuid7

WRONG = "not this one"
SET_ROW = """
    INSERT INTO auth.account_failures (account_digest, failures, last_at) VALUES (:d, :n, now())
    ON CONFLICT (account_digest) DO UPDATE SET failures = :n
"""
ROW = "SELECT failures, blocked_at IS NOT NULL FROM auth.account_failures WHERE account_digest = :d"
FAILED = "SELECT cardinality(failed_at) FROM auth.address_failures WHERE address = :a"
LATER = """
    UPDATE auth.address_failures SET failed_at = ARRAY(SELECT one - interval '1 s' * :s FROM unnest(failed_at) AS one)
    WHERE address = :a
"""


def codes(answer):
    return answer.status_code, [error["code"] for error in answer.json()["errors"]]


def digest(email):
    return hashlib.sha256(email.encode()).digest()


def unknown():
    return f"{uuid7().hex}@example.com"


REFUSED = (401, ["INVALID_CREDENTIALS"])
PUT_OFF = (429, ["TOO_MANY_LOGIN_FAILURES"])


@pytest.fixture
def attempt(api):
    async def attempt(email, password=WRONG, *, address):
        body = {"email": email, "password": password}
        return await api.post("/api/v1/auth/login", json=body, headers={"x-client-address": address})

    return attempt


async def fail(attempt, count, address):
    for _ in range(count):
        assert codes(await attempt(unknown(), address=address)) == REFUSED


async def test_r10_thirty_failures_from_an_address_in_five_minutes_are_429_whatever_the_account(
    api, attempt, account, new_address, rows
):
    here = new_address()
    await fail(attempt, 30, here)
    for email, password in ((unknown(), WRONG), (account.email, WRONG), (account.email, account.password), ("x", "y")):
        answer = await attempt(email, password, address=here)
        assert codes(answer) == PUT_OFF
        assert 280 <= int(answer.headers["retry-after"]) <= 300
    form = {"username": account.email, "password": account.password}
    answer = await api.post("/api/v1/auth/token", data=form, headers={"x-client-address": here})
    assert (answer.status_code, answer.json()["error"]) == (429, "temporarily_unavailable")
    network = str(ip_network(f"{here}/64", strict=False))
    assert await rows(FAILED, a=network) == [(30,)]
    neighbour = f"{network.removesuffix('/64')}1"
    assert codes(await attempt(account.email, account.password, address=neighbour)) == PUT_OFF
    assert (await attempt(account.email, account.password, address=new_address())).status_code == 200
    await rows(LATER, a=network, s=200)
    assert 1 <= int((await attempt(account.email, account.password, address=here)).headers["retry-after"]) <= 100
    await rows(LATER, a=network, s=100)
    assert (await attempt(account.email, account.password, address=here)).status_code == 200
    assert await rows(FAILED, a=network) == [(30,)]
    assert codes(await attempt(unknown(), address=here)) == REFUSED
    assert await rows(FAILED, a=network) == [(30,)]


async def test_r10_an_address_of_ipv4_counts_alone(attempt, account, rows):
    await rows("DELETE FROM auth.address_failures WHERE address IN ('203.0.113.8', '203.0.113.9')")
    await fail(attempt, 30, "203.0.113.8")
    assert codes(await attempt(account.email, account.password, address="::ffff:203.0.113.8")) == PUT_OFF
    assert (await attempt(account.email, account.password, address="203.0.113.9")).status_code == 200


async def test_r10_a_success_does_not_begin_anew_for_its_address(attempt, account, new_address):
    here = new_address()
    await fail(attempt, 29, here)
    assert (await attempt(account.email, account.password, address=here)).status_code == 200
    assert codes(await attempt(unknown(), address=here)) == REFUSED
    assert codes(await attempt(unknown(), address=here)) == PUT_OFF


async def test_r10_fifty_guesses_at_once_from_an_address_get_no_further(attempt, account, new_address, rows):
    here = new_address()
    await fail(attempt, 29, here)
    answers = await asyncio.gather(
        *(attempt(unknown(), address=here) for _ in range(49)), attempt(account.email, account.password, address=here)
    )
    assert sorted(answer.status_code for answer in answers) == [401] + [429] * 49
    assert codes(answers[-1]) == PUT_OFF
    assert await rows("SELECT count(*) FROM auth.session WHERE user_id = :id", id=account.id) == [(0,)]


async def test_r10_after_a_hundred_failures_in_a_row_only_known_networks_may_log_in(
    attempt, account, new_address, rows
):
    home = new_address()
    assert (await attempt(account.email, account.password, address=home)).status_code == 200
    await rows(SET_ROW, d=digest(account.email), n=98)
    assert codes(await attempt(account.email, address=new_address())) == REFUSED
    assert await rows(ROW, d=digest(account.email)) == [(99, False)]
    assert codes(await attempt(account.email, address=new_address())) == REFUSED
    assert await rows(ROW, d=digest(account.email)) == [(100, True)]
    elsewhere = new_address()
    guessed = await attempt(account.email, account.password, address=elsewhere)
    wrong = await attempt(account.email, address=new_address())
    assert codes(guessed) == codes(wrong) == REFUSED
    assert sorted(guessed.headers) == sorted(wrong.headers)
    assert await rows(ROW, d=digest(account.email)) == [(102, True)]
    assert (await attempt(account.email, account.password, address=home)).status_code == 200
    assert codes(await attempt(account.email, account.password, address=elsewhere)) == REFUSED
    aged = "UPDATE auth.known_network SET last_at = last_at - interval '90 days' WHERE account_id = :id"
    await rows(aged, id=account.id)
    assert codes(await attempt(account.email, account.password, address=home)) == REFUSED


async def test_r10_a_success_ends_the_row_of_failures(attempt, account, new_address, rows):
    await rows(SET_ROW, d=digest(account.email), n=99)
    assert (await attempt(account.email, account.password, address=new_address())).status_code == 200
    assert await rows(ROW, d=digest(account.email)) == []
    assert codes(await attempt(account.email, address=new_address())) == REFUSED
    assert await rows(ROW, d=digest(account.email)) == [(1, False)]


async def test_r10_fifty_guesses_at_once_from_everywhere_get_no_further(attempt, account, new_address, rows):
    """The first of them is the hundredth failure; none of the rest learns whether it was right."""
    await rows(SET_ROW, d=digest(account.email), n=99)
    answers = await asyncio.gather(
        *(attempt(account.email, address=new_address()) for _ in range(49)),
        attempt(account.email, account.password, address=new_address()),
    )
    assert [codes(answer) for answer in answers] == [REFUSED] * 50
    assert await rows(ROW, d=digest(account.email)) == [(149, True)]
    assert await rows("SELECT count(*) FROM auth.session WHERE user_id = :id", id=account.id) == [(0,)]


async def test_r10_a_refusal_costs_the_same_statements_for_every_account(
    attempt, account, sign_up, new_address, statements, rows
):
    """Known and not, wrong and right but closed, and every refusal for too many failures."""
    closed = await sign_up()
    await rows(SET_ROW, d=digest(closed.email), n=99)
    await attempt(closed.email, address=new_address())
    tries = {
        "known": (account.email, WRONG),
        "unknown": (unknown(), WRONG),
        "closed, wrong": (closed.email, WRONG),
        "closed, right": (closed.email, closed.password),
    }
    seen = {}
    for name, (email, password) in tries.items():
        here = new_address()
        seen[name] = []
        for _ in range(7):
            statements.clear()
            answer = await attempt(email, password, address=here)
            seen[name].append((answer.status_code, list(statements)))
    assert [[status for status, _ in one] for one in seen.values()] == [[401] * 6 + [429]] * 4
    assert seen["known"] == seen["unknown"] == seen["closed, wrong"] == seen["closed, right"]
    assert [len(made) for _, made in seen["known"]] == [6] * 5 + [7, 1]


@pytest.mark.parametrize("known", [True, False])
async def test_r10_signing_up_with_an_address_lifts_no_block_on_it(
    open_api, attempt, account, new_address, mails, rows, known
):
    """Neither for somebody who has an account, nor for an address of nobody: the end of one would tell which."""
    email, here = account.email if known else unknown(), new_address()
    await mails(email)
    for _ in range(6):
        assert codes(await attempt(email, address=here)) == REFUSED
    await rows(
        "UPDATE auth.login_failure SET blocked_until = now() + interval '60 s' WHERE account_digest = :d",
        d=digest(email),
    )
    body = {"email": email, "password": "violet-harbor-77", "display_name": "Eve"}
    async with open_api(email_verification="required") as strict:
        assert (await strict.post("/api/v1/auth/register", json=body)).status_code == 202
    assert [mail.kind for mail in await mails(email)][-1] == ("already_registered" if known else "verify_email")
    assert codes(await attempt(email, address=here)) == PUT_OFF
    assert await rows(ROW, d=digest(email)) == ([(6, False)] if known else [])


@pytest.mark.parametrize("known", [True, False])
async def test_r10_the_hundredth_failure_lifts_no_block(attempt, account, new_address, mails, rows, known):
    email, here = account.email if known else unknown(), new_address()
    for _ in range(6):
        assert codes(await attempt(email, address=here)) == REFUSED
    await rows(
        "UPDATE auth.login_failure SET blocked_until = now() + interval '60 s' WHERE account_digest = :d",
        d=digest(email),
    )
    await rows(SET_ROW, d=digest(email), n=99)
    assert codes(await attempt(email, address=new_address())) == REFUSED
    await mails(email)
    assert codes(await attempt(email, address=here)) == PUT_OFF
    assert await rows(ROW, d=digest(email)) == ([(100, True)] if known else [])
