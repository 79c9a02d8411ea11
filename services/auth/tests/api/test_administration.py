"""Administrators, what they can do, and who can not."""

import asyncio
import json
from datetime import timedelta
from pathlib import Path
from uuid import UUID

import pytest
from auth_service.users.models import WORDS
from chassis.clock import utcnow
from chassis.ids import uuid7

USERS = "/api/v1/admin/users"
ACCOUNT = "SELECT status, roles, password_reset_required, version FROM auth.account WHERE id = :id"
SESSIONS = "SELECT count(*) FROM auth.session WHERE user_id = :id"
NOTED = """
    SELECT action, actor_id, details FROM auth.audit_event
    WHERE subject_id = :id AND action LIKE 'admin.%' ORDER BY id
"""
ANY = {"if-match": "*"}
PUBLIC_DOCUMENT = Path(__file__).parents[4] / "contracts" / "http" / "public.openapi.json"
ACTIONS = ["disable", "enable", "force-password-reset"]


def codes(answer):
    return answer.status_code, [error["code"] for error in answer.json()["errors"]]


@pytest.fixture
def as_admin(test_gateway):
    """What the gateway adds for somebody whose token says that they are an administrator."""

    def as_admin(account, **more):
        return {**test_gateway.headers(account.id, roles=["user", "admin"]), **more}

    return as_admin


def calls(user_id):
    return [
        ("GET", USERS, None),
        ("GET", f"{USERS}/{user_id}", None),
        ("GET", "/api/v1/admin/audit", None),
        *(("POST", f"{USERS}/{user_id}/{action}", None) for action in ACTIONS),
        ("PUT", f"{USERS}/{user_id}/roles", {"roles": ["user", "admin"]}),
    ]


async def refused(api, rows, target, headers, expected):
    before = await rows(ACCOUNT, id=target.id)
    for method, path, body in calls(target.id):
        answer = await api.request(method, path, json=body, headers={**headers, **ANY})
        assert codes(answer) == expected, (method, path)
    assert await rows(ACCOUNT, id=target.id) == before
    assert await rows(NOTED, id=target.id) == []


def test_the_calls_are_all_that_administrators_have():
    paths = json.loads(PUBLIC_DOCUMENT.read_bytes())["paths"]
    admins = {(method.upper(), path) for path in paths for method in paths[path] if "/admin/" in path}
    assert {(method, path) for method, path, _ in calls("{user_id}")} == admins


async def test_admin_403_for_a_user(api, account, sign_up, rows, test_gateway):
    target = await sign_up()
    await refused(api, rows, target, account.headers(), (403, ["FORBIDDEN"]))
    await refused(api, rows, target, test_gateway.headers(account.id, roles=["user"]), (403, ["FORBIDDEN"]))


async def test_admin_403_for_who_was_one_when_the_token_was_made(api, admin, account, rows, as_admin):
    await rows("UPDATE auth.account SET roles = '{user}' WHERE id = :id", id=admin.id)
    await refused(api, rows, account, as_admin(admin), (403, ["FORBIDDEN"]))


@pytest.mark.parametrize("status", ["disabled", "deactivated", "deleting", "deleted"])
async def test_admin_403_for_an_administrator_who_is_not_active(api, admin, account, rows, as_admin, status):
    await rows("UPDATE auth.account SET status = :status WHERE id = :id", status=status, id=admin.id)
    await refused(api, rows, account, as_admin(admin), (403, ["FORBIDDEN"]))


async def test_admin_403_for_an_api_token_without_the_scope(api, admin, account, rows, test_gateway):
    token = test_gateway.token_headers(admin.id, "tasks:read", "tasks:write", roles=["user", "admin"])
    await refused(api, rows, account, token, (403, ["INSUFFICIENT_SCOPE"]))
    others = test_gateway.token_headers(account.id, "admin:*", roles=["user"])
    await refused(api, rows, account, others, (403, ["FORBIDDEN"]))


@pytest.mark.parametrize("roles", [["user"], ["user", "admin"]], ids=len)
async def test_r14_admin_403_for_a_token_with_the_scope_of_who_is_none_now(
    api, admin, account, rows, test_gateway, roles
):
    """Whatever the gateway was told when it last asked, as after a demotion, the account is what decides."""
    await rows("UPDATE auth.account SET roles = '{user}' WHERE id = :id", id=admin.id)
    token = test_gateway.token_headers(admin.id, "admin:*", roles=roles)
    await refused(api, rows, account, token, (403, ["FORBIDDEN"]))


async def test_an_api_token_of_an_administrator_with_the_scope_is_let_in(api, admin, account, test_gateway):
    token = test_gateway.token_headers(admin.id, "admin:*", roles=["user", "admin"])
    assert (await api.get(f"{USERS}/{account.id}", headers=token)).status_code == 200


async def test_admin_404_for_nobody_and_for_tombstones(api, admin, account, rows, as_admin):
    await rows("UPDATE auth.account SET status = 'deleted' WHERE id = :id", id=account.id)
    for user_id in (uuid7(), account.id):
        for method, path, body in calls(user_id)[3:]:
            answer = await api.request(method, path, json=body, headers=as_admin(admin, **ANY))
            assert codes(answer) == (404, ["NOT_FOUND"]), (method, path)
    assert codes(await api.get(f"{USERS}/{uuid7()}", headers=as_admin(admin))) == (404, ["NOT_FOUND"])


@pytest.fixture
async def somebody(sign_up, api):
    """A person with a name and an address like no other."""
    word = f"w{uuid7().hex}"
    account = await sign_up(f"{word}.Post@Some-Where.example.com")
    name = {"display_name": f"Zo\u00eb {word}x O'Hara_100%"}
    assert (await api.patch("/api/v1/users/me", json=name, headers=account.headers())).status_code == 200
    return account, word


async def test_users_are_found_by_how_the_words_of_name_and_address_begin(api, admin, somebody, as_admin):
    account, word = somebody

    async def found(q):
        answer = await api.get(USERS, params={"q": q}, headers=as_admin(admin))
        assert answer.status_code == 200
        return [UUID(one["id"]) for one in answer.json()["data"]], answer.json()["meta"]["total"]

    for q in (word, word[:20], word.upper(), account.email, f"post {word}", f"ZO\u00cb {word}", f"{word}x hara"):
        assert await found(q) == ([account.id], 1), q
    for q in (f"{word} nowhere", f"{word}%", f"x{word}"):
        expected = ([account.id], 1) if q == f"{word}%" else ([], 0)
        assert await found(q) == expected, q
    for q in ("%", "_", "'", "\\", "&|!:*()<->", " "):
        assert await found(q) == ([], 0), q


async def test_the_search_has_an_index(database):
    query = f"EXPLAIN SELECT id FROM auth.account WHERE {WORDS} @@ to_tsquery('simple', 'a:*')"  # noqa: S608 - a constant of the code under test
    async with database.writer.begin() as connection:
        await connection.exec_driver_sql("SET LOCAL enable_seqscan = off")
        plan = [line for (line,) in await connection.exec_driver_sql(query)]
    assert "ix_account_words" in str(plan)


async def test_users_are_listed_by_state_role_and_kind(api, admin, somebody, rows, as_admin):
    account, word = somebody

    async def total(**filters):
        answer = await api.get(USERS, params={"q": word, **filters}, headers=as_admin(admin))
        return answer.json()["meta"]["total"]

    assert await total(status="active", role="user", kind="human") == 1
    assert [await total(status="disabled"), await total(role="admin"), await total(kind="service")] == [0, 0, 0]
    await rows("UPDATE auth.account SET status = 'disabled', roles = '{user,admin}' WHERE id = :id", id=account.id)
    assert [await total(status="disabled"), await total(role="admin"), await total(status="active")] == [1, 1, 0]
    for bad in ({"status": "gone"}, {"role": "root"}, {"kind": "bot"}, {"q": "a" * 201}, {"per_page": "101"}):
        assert (await api.get(USERS, params=bad, headers=as_admin(admin))).status_code == 422


async def test_users_are_listed_in_pages_the_newest_first(api, admin, sign_up, as_admin):
    for _ in range(3):
        await sign_up()
    answer = await api.get(USERS, params={"per_page": 2}, headers=as_admin(admin))
    assert answer.headers["link"].count("rel=") == 3
    assert len(answer.json()["data"]) == 2
    meta = answer.json()["meta"]
    assert (meta["page"], meta["per_page"]) == (1, 2)
    assert meta["total"] >= 4
    unchanged = {"if-none-match": answer.headers["etag"]}
    again = await api.get(USERS, params={"per_page": 2}, headers=as_admin(admin, **unchanged))
    assert again.status_code in {200, 304}


async def test_a_user_is_shown_with_how_the_account_is_used(api, admin, account, log_in, rows, as_admin):
    nothing = (await api.get(f"{USERS}/{account.id}", headers=as_admin(admin))).json()["data"]
    assert (nothing["session_count"], nothing["api_token_count"], nothing["last_login_at"]) == (0, 0, None)
    before = utcnow()
    await log_in(account)
    await log_in(account)
    wrong = {**account.credentials, "password": "not-this-one-77"}
    assert (await api.post("/api/v1/auth/login", json=wrong)).status_code == 401
    shown = (await api.get(f"{USERS}/{account.id}", headers=as_admin(admin))).json()["data"]
    assert (shown["session_count"], shown["has_second_factor"], shown["password_reset_required"]) == (2, False, False)
    [(last,)] = await rows(
        "SELECT max(occurred_at) FROM auth.audit_event WHERE subject_id = :id AND outcome = 'success'", id=account.id
    )
    assert before <= last
    assert shown["last_login_at"][:19] == last.isoformat()[:19]
    assert not {"password_hash", "email_canonical"} & shown.keys()


@pytest.mark.usefixtures("confirmed")
async def test_disabling_ends_sessions_marks_the_user_and_is_told_once(
    api, admin, account, log_in, rows, events, mails_about, as_admin
):
    login = await log_in(account)
    path = f"{USERS}/{account.id}/disable"
    answer = await api.post(path, json={"reason": " Left. "}, headers=as_admin(admin))
    assert (answer.status_code, answer.json()["data"]["status"], answer.headers["etag"]) == (200, "disabled", '"2"')
    again = await api.post(path, headers=as_admin(admin))
    assert (again.status_code, again.json()["data"]) == (200, answer.json()["data"])
    assert await rows(SESSIONS, id=account.id) == [(0,)]
    marks = "SELECT kind FROM auth.revocation WHERE subject IN (:id, :sid) ORDER BY kind"
    assert await rows(marks, id=account.id, sid=login.session_id) == [("session",), ("user",)]
    told = await events(account.id)
    assert (told.count("user.disabled.v1"), told.count("session.revoked.v1")) == (1, 1)
    assert [mail["kind"] for mail in await mails_about(account.id)] == ["account_disabled"]
    assert await rows(NOTED, id=account.id) == [("admin.account_disabled", admin.id, {"reason": "Left."})]
    [(actor,)] = await rows(
        "SELECT data->'actor' FROM auth.outbox WHERE type = 'user.disabled.v1' AND subject = :id", id=account.id
    )
    assert actor == {"type": "user", "id": str(admin.id), "via": "session"}
    assert codes(await api.post("/api/v1/auth/login", json=account.credentials)) == (403, ["ACCOUNT_DISABLED"])


async def test_what_a_token_of_an_administrator_does_is_told_with_the_token(api, admin, account, rows, test_gateway):
    token_id = uuid7()
    headers = test_gateway.token_headers(admin.id, "admin:*", token_id=token_id, roles=["user", "admin"])
    assert (await api.post(f"{USERS}/{account.id}/disable", headers=headers)).status_code == 200
    [(actor,)] = await rows(
        "SELECT data->'actor' FROM auth.outbox WHERE type = 'user.disabled.v1' AND subject = :id", id=account.id
    )
    assert actor == {"type": "user", "id": str(admin.id), "via": "token", "token_id": str(token_id)}


@pytest.mark.usefixtures("confirmed")
async def test_enabling_lets_somebody_in_again_and_is_told_once(
    api, admin, account, rows, events, mails_about, as_admin
):
    path = f"{USERS}/{account.id}/enable"
    assert (await api.post(path, headers=as_admin(admin))).headers["etag"] == '"1"'
    await api.post(f"{USERS}/{account.id}/disable", headers=as_admin(admin))
    for _ in range(2):
        answer = await api.post(path, headers=as_admin(admin))
        assert (answer.status_code, answer.json()["data"]["status"], answer.headers["etag"]) == (200, "active", '"3"')
    assert (await events(account.id)).count("user.enabled.v1") == 1
    assert [mail["kind"] for mail in await mails_about(account.id)] == ["account_disabled", "account_enabled"]
    assert [action for action, *_ in await rows(NOTED, id=account.id)] == [
        "admin.account_disabled",
        "admin.account_enabled",
    ]
    assert (await api.post("/api/v1/auth/login", json=account.credentials)).status_code == 200


async def test_a_deletion_that_was_asked_for_goes_on_whatever_an_administrator_does(
    api, admin, login, rows, as_admin, run_job
):
    account = login.account
    await api.request("DELETE", "/api/v1/users/me", headers=login.headers)
    disabled = await api.post(f"{USERS}/{account.id}/disable", headers=as_admin(admin))
    assert disabled.json()["data"]["deletes_at"] is not None
    enabled = await api.post(f"{USERS}/{account.id}/enable", headers=as_admin(admin))
    assert enabled.json()["data"]["status"] == "deleting"
    await api.post(f"{USERS}/{account.id}/disable", headers=as_admin(admin))
    await rows("UPDATE auth.account SET deletes_at = now() WHERE id = :id", id=account.id)
    await run_job("finish-deletions")
    assert (await rows(ACCOUNT, id=account.id))[0][0] == "deleted"


@pytest.mark.parametrize(("method", "path"), [("POST", "/api/v1/users/me/deactivate"), ("DELETE", "/api/v1/users/me")])
async def test_enabling_opens_no_account_that_its_owner_has_left(api, admin, login, rows, as_admin, method, path):
    account = login.account
    assert (await api.request(method, path, headers=login.headers)).status_code == 200
    [left] = await rows("SELECT status, deletes_at FROM auth.account WHERE id = :id", id=account.id)
    for _ in range(2):
        await api.post(f"{USERS}/{account.id}/disable", headers=as_admin(admin))
    answer = await api.post(f"{USERS}/{account.id}/enable", headers=as_admin(admin))
    assert answer.json()["data"]["status"] == left[0]
    kept = await rows("SELECT status, deletes_at, status_before FROM auth.account WHERE id = :id", id=account.id)
    assert kept == [(*left, None)]
    refusal = {"deactivated": "ACCOUNT_DEACTIVATED", "deleting": "ACCOUNT_DELETING"}[left[0]]
    assert codes(await api.post("/api/v1/auth/login", json=account.credentials)) == (403, [refusal])


@pytest.mark.parametrize(("days", "status"), [(None, "active"), (1, "deleting")])
async def test_enabling_what_an_older_release_has_disabled(api, admin, account, rows, as_admin, days, status):
    ends = None if days is None else utcnow() + timedelta(days=days)
    await rows(
        "UPDATE auth.account SET status = 'disabled', deletes_at = :ends WHERE id = :id", ends=ends, id=account.id
    )
    answer = await api.post(f"{USERS}/{account.id}/enable", headers=as_admin(admin))
    assert answer.json()["data"]["status"] == status


@pytest.mark.parametrize("body", [{"reason": ""}, {"reason": "a" * 501}, {"reasons": "x"}, {"reason": 7}])
async def test_disabling_422_for_a_bad_reason(api, admin, account, rows, as_admin, body):
    answer = await api.post(f"{USERS}/{account.id}/disable", json=body, headers=as_admin(admin))
    assert answer.status_code == 422
    assert (await rows(ACCOUNT, id=account.id))[0][0] == "active"


async def test_disabling_409_for_oneself(api, admin, rows, as_admin):
    answer = await api.post(f"{USERS}/{admin.id}/disable", headers=as_admin(admin))
    assert codes(answer) == (409, ["OWN_ACCOUNT"])
    assert (await rows(ACCOUNT, id=admin.id))[0][0] == "active"


@pytest.mark.usefixtures("confirmed")
async def test_a_forced_reset_ends_sessions_and_mails_a_link(
    api, admin, account, log_in, rows, events, as_admin, mails_about
):
    await log_in(account)
    path = f"{USERS}/{account.id}/force-password-reset"
    for _ in range(2):
        answer = await api.post(path, headers=as_admin(admin))
        assert (answer.status_code, answer.headers["etag"]) == (200, '"2"')
    assert await rows(ACCOUNT, id=account.id) == [("active", ["user"], True, 2)]
    assert await rows(SESSIONS, id=account.id) == [(0,)]
    assert await rows(NOTED, id=account.id) == [("admin.password_reset_forced", admin.id, {})]
    assert (await events(account.id)).count("user.updated.v1") == 1
    query = "SELECT data->'changes', data->'version' FROM auth.outbox WHERE type = 'user.updated.v1' AND subject = :id"
    change = {"field": "password_reset_required", "old": False, "new": True}
    assert await rows(query, id=account.id) == [([change], 2)]
    [mail] = await mails_about(account.id)
    assert (mail["kind"], mail["to"], mail["token_sealed"] is None) == ("reset_password_forced", account.email, False)
    assert codes(await api.post("/api/v1/auth/login", json=account.credentials)) == (403, ["PASSWORD_RESET_REQUIRED"])


@pytest.mark.usefixtures("confirmed")
async def test_roles_change_without_ending_sessions_and_make_old_access_tokens_invalid(
    api, admin, account, log_in, rows, events, mails_about, as_admin
):
    await log_in(account)
    path = f"{USERS}/{account.id}/roles"
    before = utcnow()
    for _ in range(2):
        answer = await api.put(path, json={"roles": ["admin"]}, headers=as_admin(admin, **ANY))
        assert (answer.status_code, answer.json()["data"]["roles"]) == (200, ["user", "admin"])
    assert await rows(ACCOUNT, id=account.id) == [("active", ["user", "admin"], False, 2)]
    assert await rows(SESSIONS, id=account.id) == [(1,)]
    [(kind, not_before)] = await rows("SELECT kind, not_before FROM auth.revocation WHERE subject = :id", id=account.id)
    assert (kind, not_before.microsecond) == ("user", 0)
    assert before < not_before <= utcnow() + timedelta(seconds=1)
    assert (await events(account.id)).count("user.roles_changed.v1") == 1
    assert [mail["kind"] for mail in await mails_about(account.id)] == ["role_changed"]
    details = {"old": ["user"], "new": ["user", "admin"]}
    assert await rows(NOTED, id=account.id) == [("admin.roles_changed", admin.id, details)]
    query = "SELECT data->'changes' FROM auth.outbox WHERE type = 'user.roles_changed.v1' AND subject = :id"
    assert await rows(query, id=account.id) == [([{"field": "roles", **details}],)]


async def test_r33_roles_are_for_the_version_that_was_seen(api, admin, account, rows, as_admin):
    path, body = f"{USERS}/{account.id}/roles", {"roles": ["admin"]}
    seen = (await api.get(f"{USERS}/{account.id}", headers=as_admin(admin))).headers["etag"]
    assert seen == '"1"'
    await api.patch("/api/v1/users/me", json={"display_name": "Ada L."}, headers=account.headers())
    assert codes(await api.put(path, json=body, headers=as_admin(admin))) == (428, ["IF_MATCH_REQUIRED"])
    stale = await api.put(path, json=body, headers=as_admin(admin, **{"if-match": seen}))
    assert codes(stale) == (412, ["VERSION_CONFLICT"])
    current = stale.json()["data"]["current"]
    assert (current["version"], current["display_name"], current["roles"]) == (2, "Ada L.", ["user"])
    bad = await api.put(path, json=body, headers=as_admin(admin, **{"if-match": "2"}))
    assert codes(bad) == (400, ["IF_MATCH_MALFORMED"])
    assert (await rows(ACCOUNT, id=account.id))[0][1] == ["user"]
    done = await api.put(path, json=body, headers=as_admin(admin, **{"if-match": '"2"'}))
    assert (done.status_code, done.headers["etag"]) == (200, '"3"')


@pytest.mark.parametrize("roles", [["root"], "admin", ["user", "admin", "user"], None, [7]])
async def test_roles_422_for_what_are_none(api, admin, account, rows, as_admin, roles):
    answer = await api.put(f"{USERS}/{account.id}/roles", json={"roles": roles}, headers=as_admin(admin, **ANY))
    assert answer.status_code == 422
    assert (await rows(ACCOUNT, id=account.id))[0][1] == ["user"]


async def test_a_program_has_no_password_and_does_not_administer(api, admin, account, rows, as_admin):
    await rows("UPDATE auth.account SET kind = 'service', email = NULL WHERE id = :id", id=account.id)
    roles = {"roles": ["admin"]}
    assert codes(await api.put(f"{USERS}/{account.id}/roles", json=roles, headers=as_admin(admin, **ANY))) == (
        409,
        ["NOT_A_PERSON"],
    )
    reset = await api.post(f"{USERS}/{account.id}/force-password-reset", headers=as_admin(admin))
    assert codes(reset) == (409, ["NOT_A_PERSON"])
    disabled = await api.post(f"{USERS}/{account.id}/disable", headers=as_admin(admin))
    assert (disabled.status_code, disabled.json()["data"]["email"]) == (200, None)


async def test_the_last_administrator_can_not_step_down(api, only_admin, rows, as_admin, sign_up, make_admin):
    path = f"{USERS}/{only_admin.id}/roles"
    assert codes(await api.put(path, json={"roles": ["user"]}, headers=as_admin(only_admin, **ANY))) == (
        409,
        ["LAST_ADMIN"],
    )
    assert (await rows(ACCOUNT, id=only_admin.id))[0][1] == ["user", "admin"]
    await make_admin(await sign_up())
    assert (await api.put(path, json={"roles": ["user"]}, headers=as_admin(only_admin, **ANY))).status_code == 200


@pytest.mark.parametrize(
    ("method", "action", "body"), [("PUT", "roles", {"roles": ["user"]}), ("POST", "disable", {"reason": "You, too."})]
)
async def test_of_two_administrators_who_turn_against_each_other_at_once_one_stays(
    api, only_admin, sign_up, make_admin, rows, as_admin, method, action, body
):
    second = await sign_up()
    await make_admin(second)
    pairs = [(only_admin, second), (second, only_admin)]
    requests = [
        api.request(method, f"{USERS}/{target.id}/{action}", json=body, headers=as_admin(who, **ANY))
        for who, target in pairs
    ]
    answers = await asyncio.gather(*requests)
    assert sorted(answer.status_code for answer in answers) == [200, 403]
    query = "SELECT count(*) FROM auth.account WHERE 'admin' = ANY (roles) AND status = 'active'"
    assert await rows(query) == [(1,)]


async def test_whoever_has_no_session_needs_no_mark_when_roles_change(api, admin, account, rows, as_admin):
    """Else the token of a login right after it would be one of before."""
    answer = await api.put(f"{USERS}/{account.id}/roles", json={"roles": ["admin"]}, headers=as_admin(admin, **ANY))
    assert answer.status_code == 200
    assert await rows("SELECT count(*) FROM auth.revocation WHERE subject = :id", id=account.id) == [(0,)]
