"""Seeing and ending sessions, and the marks that make their access tokens invalid (R6)."""

import asyncio
from datetime import datetime, timedelta

import jwt
import pytest
from auth_service.revocations import service as revocations
from chassis.clock import utcnow
from chassis.db.transactions import transaction
from chassis.ids import uuid7
from testkit.waiting import eventually

ALIVE = "SELECT id FROM auth.session WHERE user_id = :id ORDER BY id"
FIRST = ["user.registered.v1", "session.started.v1"]


def codes(answer):
    return answer.status_code, [error["code"] for error in answer.json()["errors"]]


@pytest.fixture
def marks(api, test_gateway):
    """Asks as the gateway does: everything after a cursor."""

    async def marks(since=0):
        answer = await api.get("/internal/revocations", params={"since": since}, headers=test_gateway.service_headers())
        assert answer.status_code == 200, answer.text
        return answer.json()

    return marks


@pytest.fixture
async def cursor(marks):
    """Where the marks that a test makes begin."""
    found = await marks()
    while found["more"]:
        found = await marks(found["cursor"])
    return found["cursor"]


async def test_r6_logout_ends_this_session_alone(api, login, log_in, rows, events, marks, cursor):
    other = await log_in(login.account)
    answer = await api.post("/api/v1/auth/logout", headers=login.headers)
    assert (answer.status_code, answer.json()["data"]) == (200, None)
    assert answer.headers["cache-control"] == "no-store"
    assert await rows(ALIVE, id=login.account.id) == [(other.session_id,)]
    found = await marks(cursor)
    assert [mark["sid"] for mark in found["sessions"]] == [str(login.session_id)]
    assert (found["users"], found["more"], found["cursor"]) == ([], False, found["cursor"])
    expiry = datetime.fromisoformat(found["sessions"][0]["expires_at"])
    # A verifier takes a token for 30 s longer than it lives; the mark is there as long.
    assert timedelta(days=1, seconds=20) < expiry - utcnow() <= timedelta(days=1, seconds=30)
    assert await events(login.account.id) == [*FIRST, "session.started.v1", "session.revoked.v1"]
    dead = await api.post("/api/v1/auth/refresh", json={"refresh_token": login.tokens["refresh_token"]})
    assert codes(dead) == (401, ["INVALID_REFRESH_TOKEN"])


async def test_r6_a_second_logout_changes_nothing(api, login, events, marks, cursor):
    for _ in range(2):
        assert (await api.post("/api/v1/auth/logout", headers=login.headers)).status_code == 200
    assert {mark["sid"] for mark in (await marks(cursor))["sessions"]} == {str(login.session_id)}
    assert await events(login.account.id) == [*FIRST, "session.revoked.v1"]


@pytest.mark.parametrize("path", ["/api/v1/auth/logout", "/api/v1/auth/logout-all"])
async def test_r6_a_logout_after_the_session_is_gone_still_marks_it(api, login, rows, events, marks, cursor, path):
    """An access token that is still good may be presented when the row is no longer there."""
    await rows("DELETE FROM auth.session WHERE id = :id", id=login.session_id)
    assert (await api.post(path, headers=login.headers)).status_code == 200
    assert [mark["sid"] for mark in (await marks(cursor))["sessions"]] == [str(login.session_id)]
    assert await events(login.account.id) == FIRST


async def test_r6_logout_all_ends_every_session_of_this_user_alone(
    api, login, log_in, sign_up, rows, events, marks, cursor
):
    logins = [login, await log_in(login.account), await log_in(login.account)]
    stranger = await log_in(await sign_up())
    assert (await api.post("/api/v1/auth/logout-all", headers=logins[1].headers)).status_code == 200
    assert await rows(ALIVE, id=login.account.id) == []
    assert await rows(ALIVE, id=stranger.account.id) == [(stranger.session_id,)]
    found = await marks(cursor)
    assert {mark["sid"] for mark in found["sessions"]} == {str(one.session_id) for one in logins}
    assert [mark["user_id"] for mark in found["users"]] == [str(login.account.id)]
    assert (await events(login.account.id)).count("session.revoked.v1") == 3
    assert (await events(stranger.account.id)).count("session.revoked.v1") == 0


def is_refused(found, login):
    """What the gateway makes of the marks."""
    claims = jwt.decode(login.tokens["access_token"], options={"verify_signature": False})
    of_users = {mark["user_id"]: datetime.fromisoformat(mark["not_before"]).timestamp() for mark in found["users"]}
    marked = claims["sid"] in {mark["sid"] for mark in found["sessions"]}
    return marked or claims["iat"] < of_users.get(claims["sub"], 0)


async def test_r6_logout_all_refuses_tokens_of_before_and_no_login_of_the_same_second(
    api, account, log_in, marks, cursor
):
    for _ in range(5):
        before = await log_in(account)
        assert (await api.post("/api/v1/auth/logout-all", headers=before.headers)).status_code == 200
        after = await log_in(account)
        found = await marks(cursor)
        assert (is_refused(found, before), is_refused(found, after)) == (True, False)


async def test_r6_logout_all_refuses_older_tokens_of_sessions_that_are_not_known_any_more(
    api, account, log_in, rows, marks, cursor
):
    forgotten, other = await log_in(account), await log_in(account)
    await rows("DELETE FROM auth.session WHERE id = :id", id=forgotten.session_id)
    await next_second()
    assert (await api.post("/api/v1/auth/logout-all", headers=other.headers)).status_code == 200
    found = await marks(cursor)
    assert [mark["sid"] for mark in found["sessions"]] == [str(other.session_id)]
    assert (is_refused(found, forgotten), is_refused(found, await log_in(account))) == (True, False)
    (mark,) = found["users"]
    expiry = datetime.fromisoformat(mark["expires_at"])
    assert timedelta(days=1, seconds=20) < expiry - utcnow() <= timedelta(days=1, seconds=30)


async def next_second():
    """Wait until tokens that are issued from now on tell a later time."""
    began = int(utcnow().timestamp())

    async def passed():
        return int(utcnow().timestamp()) > began

    await eventually(passed)


async def test_r6_logouts_of_one_session_at_once_end_it_once(api, login, events, marks, cursor):
    answers = await asyncio.gather(*(api.post("/api/v1/auth/logout", headers=login.headers) for _ in range(10)))
    assert {answer.status_code for answer in answers} == {200}
    assert {mark["sid"] for mark in (await marks(cursor))["sessions"]} == {str(login.session_id)}
    assert (await events(login.account.id)).count("session.revoked.v1") == 1


async def test_a_session_is_ended_by_its_id(api, login, log_in, rows, events, marks, cursor):
    other = await log_in(login.account)
    path = f"/api/v1/auth/sessions/{other.session_id}"
    answer = await api.delete(path, headers=login.headers)
    assert (answer.status_code, answer.json()["data"]) == (200, None)
    assert await rows(ALIVE, id=login.account.id) == [(login.session_id,)]
    assert [mark["sid"] for mark in (await marks(cursor))["sessions"]] == [str(other.session_id)]
    assert codes(await api.delete(path, headers=login.headers)) == (404, ["NOT_FOUND"])
    assert (await events(login.account.id)).count("session.revoked.v1") == 1


async def test_ending_a_session_204_where_no_body_is_wanted(api, login, rows):
    headers = {**login.headers, "prefer": "return=minimal", "idempotency-key": "k1"}
    for replayed in (None, "true"):
        answer = await api.delete(f"/api/v1/auth/sessions/{login.session_id}", headers=headers)
        assert (answer.status_code, answer.content) == (204, b"")
        assert answer.headers.get("idempotency-replayed") == replayed
    assert await rows(ALIVE, id=login.account.id) == []


async def test_r27_somebody_elses_session_is_404_like_one_that_never_was(
    api, login, log_in, sign_up, rows, events, marks, cursor
):
    stranger = await log_in(await sign_up())
    headers = {**stranger.headers, "x-request-id": "request-88"}
    paths = [f"/api/v1/auth/sessions/{one}" for one in (login.session_id, uuid7(), "x", "%00")]
    answers = [await api.delete(path, headers=headers) for path in paths]
    assert codes(answers[0]) == (404, ["NOT_FOUND"])
    assert {answer.content for answer in answers} == {answers[0].content}
    assert await rows(ALIVE, id=login.account.id) == [(login.session_id,)]
    assert (await marks(cursor))["sessions"] == []
    assert await events(login.account.id) == FIRST


async def test_sessions_are_listed_newest_first_a_page_at_a_time(api, account, log_in, sign_up):
    logins = [await log_in(account, **{"user-agent": f"device {n}"}) for n in range(3)]
    await log_in(await sign_up())
    headers = logins[1].headers
    answer = await api.get("/api/v1/auth/sessions", headers=headers)
    assert answer.json()["meta"] | {"request_id": ""} == {"request_id": "", "page": 1, "per_page": 20, "total": 3}
    listed = answer.json()["data"]
    assert [one["id"] for one in listed] == [str(one.session_id) for one in reversed(logins)]
    assert [one["current"] for one in listed] == [False, True, False]
    assert [one["device"] for one in listed] == ["device 2", "device 1", "device 0"]
    assert sorted(listed[0]) == [
        "address",
        "created_at",
        "current",
        "device",
        "expires_at",
        "id",
        "last_used_at",
        "methods",
    ]
    second = await api.get("/api/v1/auth/sessions?page=2&per_page=2", headers=headers)
    assert second.json()["data"] == listed[2:]
    assert 'rel="prev"' in second.headers["link"]
    beyond = await api.get("/api/v1/auth/sessions?page=3&per_page=2", headers=headers)
    assert (beyond.status_code, beyond.json()["data"]) == (200, [])


FILL = """
    INSERT INTO auth.session (id, user_id, created_at, last_used_at, idle_expires_at, expires_at)
    SELECT one, :id, now(), now(), now() + :left, now() + :left FROM unnest(CAST(:ids AS uuid[])) one
"""
HOUR = timedelta(hours=1)


async def test_the_login_after_the_hundredth_ends_the_oldest_session(account, log_in, rows, events):
    ids = [uuid7() for _ in range(99)]
    await rows(FILL, id=account.id, ids=ids, left=HOUR)
    await rows(FILL, id=account.id, ids=[uuid7() for _ in range(4)], left=-HOUR)
    await log_in(account)
    assert (await events(account.id)).count("session.revoked.v1") == 0
    login = await log_in(account)
    query = "SELECT id FROM auth.session WHERE user_id = :id AND expires_at > now() ORDER BY id"
    left = [one for (one,) in await rows(query, id=account.id)]
    assert (len(left), left[0], left[-1]) == (100, ids[1], login.session_id)
    assert (await events(account.id)).count("session.revoked.v1") == 1
    assert await rows("SELECT kind FROM auth.revocation WHERE subject = :id", id=ids[0]) == [("session",)]
    noted = "SELECT details FROM auth.audit_event WHERE subject_id = :id AND action = 'session.ended'"
    assert await rows(noted, id=account.id) == [({"session_id": str(ids[0]), "reason": "too_many"},)]
    await rows("DELETE FROM auth.session WHERE user_id = :id", id=account.id)


async def test_an_unchanged_list_of_sessions_is_304(api, login, log_in):
    first = await api.get("/api/v1/auth/sessions", headers=login.headers)
    asked = {**login.headers, "if-none-match": first.headers["etag"]}
    assert (await api.get("/api/v1/auth/sessions", headers=asked)).status_code == 304
    await log_in(login.account)
    assert (await api.get("/api/v1/auth/sessions", headers=asked)).status_code == 200


async def test_sessions_that_have_run_out_are_not_listed(api, login, log_in, rows):
    for column in ("idle_expires_at", "expires_at"):
        other = await log_in(login.account)
        await rows(f"UPDATE auth.session SET {column} = now() WHERE id = :id", id=other.session_id)  # noqa: S608 - the column is our own
    listed = (await api.get("/api/v1/auth/sessions", headers=login.headers)).json()
    assert ([one["id"] for one in listed["data"]], listed["meta"]["total"]) == ([str(login.session_id)], 1)


@pytest.mark.parametrize(
    ("query", "code", "hint"),
    [
        ("page=0", "TOO_SMALL", None),
        ("per_page=101", "TOO_LARGE", None),
        ("per_page=x", "WRONG_TYPE", None),
        ("page=101&per_page=100", "PAGE_TOO_DEEP", None),
        ("page=99999999999999999999", "TOO_LARGE", None),
        ("pge=1", "UNKNOWN_PARAMETER", "did you mean page?"),
        ("page=1&page=2", "REPEATED_PARAMETER", None),
        ("page=%00", "NULL_CHARACTER", None),
    ],
)
async def test_r31_a_bad_query_is_422(api, login, query, code, hint):
    answer = await api.get(f"/api/v1/auth/sessions?{query}", headers=login.headers)
    assert codes(answer) == (422, [code])
    assert answer.json()["errors"][0].get("hint") == hint


async def test_r6_only_the_gateway_itself_reads_marks(api, login):
    answer = await api.get("/internal/revocations", headers=login.headers)
    assert codes(answer) == (404, ["NOT_FOUND"])


async def test_a_services_own_identity_is_no_user(api, test_gateway):
    for path in ("/api/v1/users/me", "/api/v1/auth/sessions"):
        answer = await api.get(path, headers=test_gateway.service_headers())
        assert codes(answer) == (401, ["UNAUTHENTICATED"])


@pytest.mark.parametrize("since", ["-1", "x", "", "1.5", str(2**63), "9" * 30])
async def test_a_bad_cursor_of_marks_is_422_never_500(api, test_gateway, since):
    answer = await api.get(f"/internal/revocations?since={since}", headers=test_gateway.service_headers())
    assert (answer.status_code, [error["field"] for error in answer.json()["errors"]]) == (422, ["since"])


async def test_marks_end_at_the_last_possible_cursor(marks):
    assert await marks(2**63 - 1) == {"cursor": 2**63 - 1, "more": False, "sessions": [], "users": []}


async def test_r6_marks_whose_tokens_have_expired_are_left_out(api, login, marks, cursor, rows):
    await api.post("/api/v1/auth/logout", headers=login.headers)
    await rows("UPDATE auth.revocation SET expires_at = now() WHERE subject = :id", id=login.session_id)
    assert await marks(cursor) == {"cursor": cursor, "more": False, "sessions": [], "users": []}


async def test_r6_many_marks_come_in_parts(database, marks, cursor):
    sessions = [uuid7() for _ in range(5001)]
    async with transaction(database) as session:
        await revocations.revoke_sessions(session, sessions, expires_at=utcnow() + timedelta(minutes=1))
    first = await marks(cursor)
    second = await marks(first["cursor"])
    assert (len(first["sessions"]), first["more"]) == (5000, True)
    assert (len(second["sessions"]), second["more"]) == (1, False)
    assert [mark["sid"] for mark in first["sessions"] + second["sessions"]] == [str(one) for one in sessions]


async def test_r6_a_reader_that_follows_its_cursor_misses_no_mark_under_concurrency(database, marks, cursor):
    """Transactions that take their ids and commit in any order; the reader asks only for what is newer."""
    seen, done = [], asyncio.Event()

    async def follow():
        last = cursor
        while not done.is_set() or (await marks(last))["sessions"]:
            found = await marks(last)
            last = found["cursor"]
            seen.extend(mark["sid"] for mark in found["sessions"])

    async def revoke(number):
        subject = uuid7()
        async with transaction(database) as session:
            await revocations.revoke_sessions(session, [subject], expires_at=utcnow() + timedelta(minutes=1))
            await asyncio.sleep(0.002 * (number % 5))  # the commits of some are late
        return str(subject)

    reader = asyncio.create_task(follow())
    made = await asyncio.gather(*(revoke(number) for number in range(60)))
    done.set()
    await reader
    assert sorted(seen) == sorted(made)
