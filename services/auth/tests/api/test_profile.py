"""The own profile: a merge patch, versions, and idempotency keys (R32, R33)."""

import asyncio

import pytest
from chassis.ids import uuid7
from sqlalchemy import text
from testkit.waiting import eventually

ME = "/api/v1/users/me"
WAITING = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"
ROW = "SELECT display_name, timezone, locale, version, updated_at FROM auth.account WHERE id = :id"


def codes(answer):
    return answer.status_code, [error["code"] for error in answer.json()["errors"]]


async def test_the_profile_is_read_with_its_version(api, account):
    answer = await api.get(ME, headers=account.headers())
    assert answer.status_code == 200
    assert (answer.headers["etag"], answer.headers["cache-control"]) == ('"1"', "private, no-cache")
    assert answer.headers["vary"] == "Authorization"
    assert (answer.json()["data"]["id"], answer.json()["data"]["email"]) == (str(account.id), account.email)
    head = await api.head(ME, headers=account.headers())
    assert (head.status_code, head.content, head.headers["etag"]) == (200, b"", '"1"')


@pytest.mark.parametrize(("tag", "status"), [('"1"', 304), ('W/"1"', 304), ('"7", "1"', 304), ("*", 304), ('"2"', 200)])
async def test_r33_an_unchanged_profile_is_304(api, account, tag, status):
    answer = await api.get(ME, headers=account.headers(**{"if-none-match": tag}))
    assert (answer.status_code, answer.headers["etag"]) == (status, '"1"')


async def test_an_identity_without_an_account_is_401(api, test_gateway):
    headers = test_gateway.headers(uuid7())
    assert codes(await api.get(ME, headers=headers)) == (401, ["UNAUTHENTICATED"])
    assert codes(await api.patch(ME, json={"display_name": "B"}, headers=headers)) == (401, ["UNAUTHENTICATED"])


async def test_a_patch_keeps_what_is_absent_and_clears_what_is_null(api, account, rows):
    first = await api.patch(ME, json={"locale": "de-DE", "timezone": "Europe/Berlin"}, headers=account.headers())
    assert (first.status_code, first.headers["etag"]) == (200, '"2"')
    second = await api.patch(ME, json={"locale": None, "display_name": " B "}, headers=account.headers())
    data = second.json()["data"]
    assert (data["display_name"], data["timezone"], data["locale"], data["version"]) == ("B", "Europe/Berlin", None, 3)
    assert data["updated_at"] > first.json()["data"]["updated_at"] > data["created_at"]
    assert (await rows(ROW, id=account.id))[0][:4] == ("B", "Europe/Berlin", None, 3)


@pytest.mark.parametrize("patch", [{}, {"display_name": "Ada"}, {"locale": None, "timezone": "UTC"}])
async def test_a_patch_that_changes_nothing_is_no_version(api, account, rows, events, patch):
    before = await rows(ROW, id=account.id)
    answer = await api.patch(
        ME, json=patch, headers=account.headers(**{"content-type": "application/merge-patch+json"})
    )
    assert (answer.status_code, answer.headers["etag"]) == (200, '"1"')
    assert await rows(ROW, id=account.id) == before
    assert await events(account.id) == ["user.registered.v1"]


@pytest.mark.parametrize(
    ("patch", "code"),
    [
        ({"display_nam": "B"}, "UNKNOWN_FIELD"),
        ({"id": str(uuid7())}, "READ_ONLY_FIELD"),
        ({"email": "b@example.com"}, "READ_ONLY_FIELD"),
        ({"roles": ["admin"]}, "READ_ONLY_FIELD"),
        ({"version": 7}, "READ_ONLY_FIELD"),
        ({"created_at": "2026-01-01T00:00:00Z"}, "READ_ONLY_FIELD"),
        ({"password_hash": "x"}, "UNKNOWN_FIELD"),
        ({"kind": "service"}, "READ_ONLY_FIELD"),
        ({"status": "active"}, "READ_ONLY_FIELD"),
        ({"deletes_at": None}, "READ_ONLY_FIELD"),
        ({"email_verified": True}, "READ_ONLY_FIELD"),
        ({"display_name": None}, "NOT_NULLABLE"),
        ({"week_start": None}, "NOT_NULLABLE"),
        ({"week_start": "friday"}, "NOT_ALLOWED"),
        ({"default_reminder_time": None}, "NOT_NULLABLE"),
        ({"default_reminder_time": "9:00"}, "INVALID_FORMAT"),
        ({"default_reminder_time": "24:00"}, "INVALID_FORMAT"),
        ({"default_reminder_time": "09:60"}, "INVALID_FORMAT"),
        ({"default_reminder_time": "09:0\u0660"}, "INVALID_FORMAT"),
        ({"avatar_url": "http://example.com/a.png"}, "INVALID_URL"),
        ({"avatar_url": "javascript:alert(1)"}, "INVALID_URL"),
        ({"avatar_url": "https://"}, "INVALID_URL"),
        ({"avatar_url": "https://ada:secret@example.com/a.png"}, "INVALID_URL"),
        ({"avatar_url": "https://example.com/a b.png"}, "INVALID_URL"),
        ({"avatar_url": "https://example.com:port/"}, "INVALID_URL"),
        ({"avatar_url": "https://example.com/" + "a" * 2029}, "TOO_LONG"),
        ({"timezone": None}, "NOT_NULLABLE"),
        ({"display_name": "  "}, "TOO_SHORT"),
        ({"display_name": "n" * 101}, "TOO_LONG"),
        ({"display_name": 7}, "WRONG_TYPE"),
        ({"timezone": "Europe/Nowhere"}, "INVALID_TIMEZONE"),
        ({"timezone": "../../etc/passwd"}, "INVALID_TIMEZONE"),
        ({"locale": "german"}, "INVALID_FORMAT"),
        ({"locale": "de_DE"}, "INVALID_FORMAT"),
        ({"locale": "de-"}, "INVALID_FORMAT"),
        ({"locale": "de\n"}, "INVALID_FORMAT"),
    ],
)
async def test_r30_a_bad_patch_is_422_and_changes_nothing(api, account, rows, patch, code):
    before = await rows(ROW, id=account.id)
    answer = await api.patch(ME, json={"locale": "fr", **patch}, headers=account.headers())
    assert codes(answer) == (422, [code])
    assert [error["field"] for error in answer.json()["errors"]] == list(patch)
    assert await rows(ROW, id=account.id) == before


async def test_a_field_that_is_nearly_right_is_named(api, account):
    answer = await api.patch(ME, json={"week_strat": "sunday"}, headers=account.headers())
    assert answer.json()["errors"][0]["hint"] == "did you mean week_start?"


async def test_the_whole_profile_is_there_from_the_beginning_and_can_be_changed(api, account):
    data = (await api.get(ME, headers=account.headers())).json()["data"]
    defaults = {"avatar_url": None, "week_start": "monday", "default_reminder_time": "09:00", "deletes_at": None}
    assert {**data, **defaults, "kind": "human", "status": "active", "roles": ["user"]} == data
    longest = "https://example.com/" + "a" * 2028
    wanted = {"avatar_url": longest, "week_start": "saturday", "default_reminder_time": "23:59", "locale": "de"}
    answer = await api.patch(ME, json=wanted, headers=account.headers())
    assert (answer.status_code, {**answer.json()["data"], **wanted}) == (200, answer.json()["data"])
    cleared = await api.patch(ME, json={"avatar_url": None}, headers=account.headers())
    assert cleared.json()["data"]["avatar_url"] is None


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("US/Eastern", "America/New_York"),
        ("Asia/Calcutta", "Asia/Kolkata"),
        ("Etc/UTC", "UTC"),
        ("Zulu", "UTC"),
        ("Europe/Stockholm", "Europe/Stockholm"),
        ("Etc/GMT+5", "Etc/GMT+5"),
    ],
)
async def test_an_old_name_of_a_zone_is_replaced_by_todays(api, account, given, kept):
    answer = await api.patch(ME, json={"timezone": given}, headers=account.headers())
    assert (answer.status_code, answer.json()["data"]["timezone"]) == (200, kept)


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("DE-de", "de-DE"),
        ("zh-hant-tw", "zh-Hant-TW"),
        ("es-419", "es-419"),
        ("sl-rozaj-biske", "sl-rozaj-biske"),
        ("en-us-u-ca-gregory", "en-US-u-ca-gregory"),
        ("de-x-ab", "de-x-ab"),
    ],
)
async def test_a_language_tag_is_kept_in_its_usual_case(api, account, given, kept):
    answer = await api.patch(ME, json={"locale": given}, headers=account.headers())
    assert (answer.status_code, answer.json()["data"]["locale"]) == (200, kept)


async def test_a_change_is_told_with_old_and_new_and_audited_by_names_alone(api, account, rows, events):
    caller = account.headers(uuid7())
    answer = await api.patch(ME, json={"week_start": "sunday", "display_name": "Bea"}, headers=caller)
    assert await events(account.id) == ["user.registered.v1", "user.updated.v1"]
    query = "SELECT data, sequence FROM auth.outbox WHERE subject = :id AND type = 'user.updated.v1'"
    [(data, sequence)] = await rows(query, id=account.id)
    assert data["changes"] == [
        {"field": "display_name", "old": "Ada", "new": "Bea"},
        {"field": "week_start", "old": "monday", "new": "sunday"},
    ]
    assert (data["resource"], sequence) == (answer.json()["data"], 2)
    assert data["actor"] == {"type": "user", "id": str(account.id), "via": "session"}
    noted = await rows("SELECT action, details FROM auth.audit_event WHERE subject_id = :id ORDER BY id", id=account.id)
    assert noted[1:] == [("profile.changed", {"fields": ["display_name", "week_start"]})]


async def test_r33_a_stale_if_match_is_412_with_the_current_profile(api, account):
    current = (await api.patch(ME, json={"display_name": "B"}, headers=account.headers())).json()["data"]
    stale = await api.patch(ME, json={"display_name": "C"}, headers=account.headers(**{"if-match": '"1"'}))
    assert codes(stale) == (412, ["VERSION_CONFLICT"])
    assert stale.json()["data"] == {"current": current}
    assert (await api.get(ME, headers=account.headers())).json()["data"] == current
    fresh = await api.patch(ME, json={"display_name": "C"}, headers=account.headers(**{"if-match": '"2"'}))
    assert (fresh.status_code, fresh.headers["etag"]) == (200, '"3"')


@pytest.mark.parametrize(
    ("tag", "status"),
    [("*", 200), ("7", 400), ('W/"1"', 400), ('"x"', 400), ('"0"', 412), ('"99999999999999999999"', 412)],
)
async def test_r33_forms_of_if_match(api, account, tag, status):
    answer = await api.patch(ME, json={"display_name": "B"}, headers=account.headers(**{"if-match": tag}))
    assert answer.status_code == status


@pytest.fixture
def at_once(database, rows):
    """Lets requests for one account begin while its row is taken, and go on when all of them wait for it."""

    async def at_once(account, requests):
        async with database.writer.begin() as connection:
            await connection.execute(text("SELECT FROM auth.account WHERE id = :id FOR UPDATE"), {"id": account.id})
            running = [asyncio.create_task(request) for request in requests]

            async def all_wait():
                return await rows(WAITING) == [(len(running),)]

            await eventually(all_wait)
        return await asyncio.gather(*running)

    return at_once


async def test_r33_of_changes_for_one_version_one_wins(api, account, rows, at_once):
    headers = account.headers(**{"if-match": '"1"'})
    patches = [api.patch(ME, json={"display_name": f"n{n}"}, headers=headers) for n in range(8)]
    answers = await at_once(account, patches)
    assert sorted(answer.status_code for answer in answers) == [200] + [412] * 7
    assert (await rows(ROW, id=account.id))[0][3] == 2


async def test_without_if_match_every_one_of_many_changes_at_once_is_made(api, account, rows, at_once):
    changes = [{"display_name": f"n{n}"} if n % 2 else {"locale": f"d{chr(97 + n)}"} for n in range(8)]
    answers = await at_once(account, [api.patch(ME, json=patch, headers=account.headers()) for patch in changes])
    assert [answer.status_code for answer in answers] == [200] * 8
    assert sorted(answer.json()["data"]["version"] for answer in answers) == list(range(2, 10))
    assert (await rows(ROW, id=account.id))[0][3] == 9


async def test_r32_a_repeated_patch_gets_the_first_answer(api, account, rows):
    headers = account.headers(**{"idempotency-key": "first"})
    first = await api.patch(ME, json={"display_name": "B"}, headers=headers)
    await api.patch(ME, json={"display_name": "C"}, headers=account.headers())
    again = await api.patch(ME, json={"display_name": "B"}, headers=headers)
    assert (again.status_code, again.content, again.headers["etag"]) == (200, first.content, '"2"')
    assert again.headers["idempotency-replayed"] == "true"
    assert "idempotency-replayed" not in first.headers
    assert (await rows(ROW, id=account.id))[0][0] == "C"


async def test_r32_a_key_stands_for_one_request_of_one_user(api, account, sign_up, rows):
    headers = account.headers(**{"idempotency-key": "first"})
    assert (await api.patch(ME, json={"display_name": "B"}, headers=headers)).status_code == 200
    other_body = await api.patch(ME, json={"display_name": "C"}, headers=headers)
    assert codes(other_body) == (422, ["IDEMPOTENCY_KEY_REUSED"])
    other_path = await api.post("/api/v1/auth/logout", headers=headers)
    assert codes(other_path) == (422, ["IDEMPOTENCY_KEY_REUSED"])
    assert (await rows(ROW, id=account.id))[0][:4] == ("B", "UTC", None, 2)
    somebody = await sign_up()
    answer = await api.patch(ME, json={"display_name": "C"}, headers=somebody.headers(**{"idempotency-key": "first"}))
    assert (answer.status_code, "idempotency-replayed" in answer.headers) == (200, False)


@pytest.mark.parametrize("key", ["", " ", "k" * 256, "\u00e9clair".encode(), "a\tb"])
async def test_r32_a_bad_key_is_422(api, account, rows, key):
    answer = await api.patch(ME, json={"display_name": "B"}, headers=account.headers(**{"idempotency-key": key}))
    assert codes(answer) == (422, ["IDEMPOTENCY_KEY_INVALID"])
    assert (await rows(ROW, id=account.id))[0][3] == 1


async def test_r32_a_logout_under_a_key_is_done_once_and_a_refusal_is_not_kept(api, login, log_in, events):
    headers = {**login.headers, "idempotency-key": "out"}
    assert (await api.patch(ME, json={"timezone": "x"}, headers=headers)).status_code == 422
    first = await api.post("/api/v1/auth/logout-all", headers=headers)
    await log_in(login.account)
    again = await api.post("/api/v1/auth/logout-all", headers=headers)
    assert (first.status_code, again.status_code, again.headers["idempotency-replayed"]) == (200, 200, "true")
    assert again.headers["cache-control"] == "no-store"
    assert (await events(login.account.id)).count("session.revoked.v1") == 1


async def test_r32_of_equal_requests_at_once_one_takes_effect(api, account, rows):
    headers = account.headers(**{"idempotency-key": "once"})
    answers = await asyncio.gather(*(api.patch(ME, json={"display_name": "B"}, headers=headers) for _ in range(10)))
    assert {answer.status_code for answer in answers} <= {200, 409}
    for answer in answers:
        if answer.status_code == 409:
            assert (codes(answer)[1], answer.headers["retry-after"]) == (["IDEMPOTENCY_IN_PROGRESS"], "1")
    assert (await rows(ROW, id=account.id))[0][3] == 2
