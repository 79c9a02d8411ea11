"""Service accounts (A9): accounts of programs that a workspace owns, and that nobody logs in to."""

import asyncio
import hashlib
import time
from datetime import timedelta

import aiohttp.web
import pytest
from chassis.clock import utcnow
from chassis.db.engine import open_database
from chassis.ids import uuid7
from chassis.secret_tokens import API_TOKEN
from sqlalchemy import text
from testkit.waiting import eventually

PATH = "/api/v1/service-accounts"
TOKEN = {"name": "CI", "scopes": ["tasks:read"]}
INACTIVE = {"active": False}
INSERT_TOKENS = """
INSERT INTO auth.api_token (id, account_id, created_by, name, digest, digest_key, prefix, scopes, read_only, expires_at,
    created_at)
SELECT gen_random_uuid(), :id, :by, 'x', sha256((:salt || n)::bytea), 'k1', 'x', '{}', false, :until, now()
FROM generate_series(1, :count) n
"""
INSERT_ACCOUNTS = """
WITH made AS (
    INSERT INTO auth.account (id, kind, display_name, timezone, roles, version, created_at, updated_at)
    SELECT gen_random_uuid(), 'service', 'x', 'UTC', '{user}', 1, now(), now() FROM generate_series(1, :count)
    RETURNING id
)
INSERT INTO auth.service_account (account_id, workspace_id, name, role, created_by, version, created_at, updated_at)
SELECT id, :workspace, 'x', 'member', :by, 1, now(), now() FROM made
"""


def tokens_of(made, creator):
    return {"id": made["id"], "by": creator.id, "salt": made["id"], "until": utcnow() + timedelta(days=1)}


def codes(answer):
    return answer.status_code, [(error["field"], error["code"]) for error in answer.json()["errors"]]


@pytest.fixture
def workspace(tasks_api, account):
    """A workspace whose owner is the account."""
    workspace = uuid7()
    tasks_api.join(account.id, workspace, "owner")
    return workspace


@pytest.fixture
def create(api, login, workspace):
    async def create(headers=None, **given):
        body = {"workspace_id": str(workspace), "name": "Importer", **given}
        answer = await api.post(PATH, json=body, headers=headers or login.headers)
        assert answer.status_code == 201, answer.text
        return answer.json()["data"]

    return create


@pytest.fixture
def member(sign_up, log_in, tasks_api, workspace):
    """Logs in somebody with a role in the workspace, or without one."""

    async def member(role):
        person = await log_in(await sign_up())
        if role is not None:
            tasks_api.join(person.account.id, workspace, role)
        return person

    return member


@pytest.fixture
def resolve(api, test_gateway):
    async def resolve(token):
        body = {"digest": hashlib.sha256(token.encode()).hexdigest(), "address": None}
        answer = await api.post("/internal/api-tokens/resolve", json=body, headers=test_gateway.service_headers())
        assert answer.status_code == 200
        return answer.json()

    return resolve


@pytest.fixture
def facts(rows):
    """The events about a service account and the audit of it, the oldest first."""

    async def facts(account_id):
        published = """SELECT type, sequence, data -> 'resource' FROM auth.outbox
                       WHERE stream_id = :id ORDER BY sequence"""
        audited = "SELECT action, actor_id FROM auth.audit_event WHERE subject_id = :id ORDER BY id"
        return await rows(published, id=account_id), await rows(audited, id=account_id)

    return facts


async def test_a9_a_service_account_is_an_account_that_nobody_logs_in_to(
    api, login, account, workspace, rows, facts, tasks_api
):
    body = {"workspace_id": str(workspace), "name": "  Importer  "}
    answer = await api.post(PATH, json=body, headers=login.headers)
    made = answer.json()["data"]
    assert (answer.status_code, answer.headers["location"]) == (201, f"{PATH}/{made['id']}")
    assert answer.headers["etag"] == '"1"'
    assert made == {
        "id": made["id"],
        "workspace_id": str(workspace),
        "name": "Importer",
        "role": "member",
        "created_by": str(account.id),
        "version": 1,
        "created_at": made["created_at"],
        "updated_at": made["created_at"],
    }
    assert tasks_api.calls == [account.id]
    columns = "SELECT kind, status, email, email_canonical, password_hash, display_name, roles FROM auth.account"
    stored = await rows(f"{columns} WHERE id = :id", id=made["id"])
    assert stored == [("service", "active", None, None, None, "Importer", ["user"])]
    events, audited = await facts(made["id"])
    assert events == [("service_account.created.v1", 1, made)]
    assert audited == [("service_account.created", account.id)]
    for name in (made["id"], "Importer", ""):
        answer = await api.post("/api/v1/auth/login", json={"email": name, "password": ""})
        assert answer.status_code in {401, 422}
    assert await rows("SELECT count(*) FROM auth.session WHERE user_id = :id", id=made["id"]) == [(0,)]


async def test_a9_its_own_profile_can_be_read_by_its_token(api, create, test_gateway):
    made = await create()
    headers = test_gateway.token_headers(made["id"], "tasks:read", bot=True)
    profile = (await api.get("/api/v1/users/me", headers=headers)).json()["data"]
    assert profile.items() >= {"id": made["id"], "email": None, "display_name": "Importer"}.items()


@pytest.mark.parametrize(
    ("changed", "problem"),
    [
        ({"name": ""}, ("name", "TOO_SHORT")),
        ({"name": "x" * 101}, ("name", "TOO_LONG")),
        ({"role": "owner"}, ("role", "NOT_ALLOWED")),
        ({"role": "admin"}, ("role", "NOT_ALLOWED")),
        ({"role": None}, ("role", "NOT_ALLOWED")),
        ({"workspace_id": "x"}, ("workspace_id", "INVALID_ID")),
        ({"workspace_id": None}, ("workspace_id", "WRONG_TYPE")),
        ({"created_by": "x"}, ("created_by", "READ_ONLY_FIELD")),
        ({"email": "bot@example.com"}, ("email", "UNKNOWN_FIELD")),
    ],
    ids=str,
)
async def test_what_an_account_can_not_be_is_422_and_asks_nobody(api, login, workspace, tasks_api, changed, problem):
    body = {"workspace_id": str(workspace), "name": "Importer", **changed}
    assert codes(await api.post(PATH, json=body, headers=login.headers)) == (422, [problem])
    assert tasks_api.calls == []


def operations(account_id, token_id, workspace_id):
    one, tokens = f"{PATH}/{account_id}", f"{PATH}/{account_id}/tokens"
    return [
        ("POST", PATH, {"workspace_id": str(workspace_id), "name": "Bot"}),
        ("GET", f"{PATH}?workspace_id={workspace_id}", None),
        ("GET", one, None),
        ("PATCH", one, {"name": "Changed"}),
        ("DELETE", one, None),
        ("POST", tokens, TOKEN),
        ("GET", tokens, None),
        ("DELETE", f"{tokens}/{token_id}", None),
    ]


@pytest.mark.parametrize(
    ("role", "refusal"),
    [(None, (404, "NOT_FOUND")), ("guest", (403, "FORBIDDEN")), ("member", (403, "FORBIDDEN"))],
    ids=str,
)
async def test_a9_only_owners_and_admins_of_the_workspace_manage_its_accounts(
    api, login, create, member, workspace, rows, resolve, role, refusal
):
    made = await create()
    token = (await api.post(f"{PATH}/{made['id']}/tokens", json=TOKEN, headers=login.headers)).json()["data"]
    other = await member(role)
    counts = "SELECT (SELECT count(*) FROM auth.outbox), (SELECT count(*) FROM auth.audit_event)"
    before = await rows(counts)
    for method, path, body in operations(made["id"], token["id"], workspace):
        answer = await api.request(method, path, json=body, headers=other.headers)
        assert (answer.status_code, answer.json()["errors"][0]["code"]) == refusal, (method, path)
    assert await rows(counts) == before
    assert (await resolve(token["token"]))["active"] is True


async def test_a9_absent_and_hidden_are_the_same_answer(api, login, create, member, workspace):
    made, stranger = await create(), await member(None)
    pairs = [
        ("GET", f"{PATH}/{made['id']}", f"{PATH}/{uuid7()}"),
        ("DELETE", f"{PATH}/{made['id']}", f"{PATH}/{uuid7()}"),
        ("GET", f"{PATH}?workspace_id={workspace}", f"{PATH}?workspace_id={uuid7()}"),
    ]
    for method, hidden, absent in pairs:
        answers = [await api.request(method, path, headers=stranger.headers) for path in (hidden, absent)]
        assert [answer.status_code for answer in answers] == [404, 404]
        assert answers[0].json()["errors"] == answers[1].json()["errors"]
        assert answers[0].json()["message"] == answers[1].json()["message"]


async def test_a9_an_admin_of_the_workspace_manages_what_another_made_and_it_survives_its_creator(
    api, login, account, create, member, rows, resolve, tasks_api
):
    made = await create()
    token = (await api.post(f"{PATH}/{made['id']}/tokens", json=TOKEN, headers=login.headers)).json()["data"]["token"]
    admin = await member("admin")
    tasks_api.roles.pop(account.id)
    await rows("UPDATE auth.account SET status = 'deleted' WHERE id = :id", id=account.id)
    assert (await resolve(token))["active"] is True
    read = await api.get(f"{PATH}/{made['id']}", headers=admin.headers)
    assert (read.status_code, read.json()["data"]["created_by"]) == (200, str(account.id))
    assert (await api.delete(f"{PATH}/{made['id']}", headers=admin.headers)).status_code == 200
    assert await resolve(token) == INACTIVE


async def test_no_api_token_manages_service_accounts(api, account, create, workspace, test_gateway, tasks_api):
    made = await create()
    tasks_api.calls.clear()
    headers = test_gateway.token_headers(account.id, "admin:*", "tasks:read", "tasks:write")
    for method, path, body in operations(made["id"], uuid7(), workspace):
        answer = await api.request(method, path, json=body, headers=headers)
        assert codes(answer) == (403, [(None, "SESSION_REQUIRED")]), (method, path)
    assert tasks_api.calls == []


async def test_making_accounts_and_tokens_needs_a_recent_proof_and_ending_them_none(
    api, login, account, create, rows, workspace
):
    made = await create()
    token = (await api.post(f"{PATH}/{made['id']}/tokens", json=TOKEN, headers=login.headers)).json()["data"]
    old = "UPDATE auth.session SET authenticated_at = now() - interval '601 seconds' WHERE user_id = :id"
    await rows(old, id=account.id)
    refused = (403, [(None, "STEP_UP_REQUIRED")])
    body = {"workspace_id": str(workspace), "name": "Bot"}
    assert codes(await api.post(PATH, json=body, headers=login.headers)) == refused
    assert codes(await api.post(f"{PATH}/{made['id']}/tokens", json=TOKEN, headers=login.headers)) == refused
    path = f"{PATH}/{made['id']}/tokens/{token['id']}"
    assert (await api.delete(path, headers=login.headers)).status_code == 200
    assert (await api.delete(f"{PATH}/{made['id']}", headers=login.headers)).status_code == 200


BROKEN = {
    "an error": lambda: aiohttp.web.json_response({}, status=500),
    "a refusal": lambda: aiohttp.web.json_response({}, status=401),
    "no JSON": lambda: aiohttp.web.Response(text="<html>"),
    "another shape": lambda: aiohttp.web.json_response({"memberships": [{"workspace_id": 1}]}),
    "another place": lambda: aiohttp.web.Response(status=302, headers={"location": "/elsewhere"}),
}


@pytest.mark.parametrize("answer", BROKEN)
async def test_a9_without_an_answer_of_the_tasks_service_it_is_504_and_nothing_happens(
    api, login, create, workspace, tasks_api, rows, answer
):
    made = await create()
    tasks_api.answer = BROKEN[answer]()
    before = await rows("SELECT count(*) FROM auth.outbox")
    for method, path, body in (operations(made["id"], uuid7(), workspace)[index] for index in (0, 1, 4)):
        tasks_api.answer = BROKEN[answer]()
        found = await api.request(method, path, json=body, headers=login.headers)
        assert (*codes(found), found.headers["retry-after"]) == (504, [(None, "SERVICE_UNAVAILABLE")], "2")
    assert await rows("SELECT count(*) FROM auth.outbox") == before


async def test_a9_a_service_that_is_not_there_or_slow_is_waited_for_one_second(
    api, login, workspace, tasks_api, open_api
):
    query = {"workspace_id": str(workspace)}
    async with open_api(tasks_url="http://127.0.0.1:1") as lonely:
        assert (await lonely.get(PATH, params=query, headers=login.headers)).status_code == 504
    tasks_api.hold = asyncio.Event()
    began = time.monotonic()
    assert (await api.get(PATH, params=query, headers=login.headers)).status_code == 504
    assert 0.9 < time.monotonic() - began < 5
    tasks_api.hold.set()


@pytest.mark.parametrize("index", range(8))
async def test_no_connection_is_held_while_the_tasks_service_is_asked(
    api, login, create, workspace, tasks_api, open_api, database_settings, index
):
    """With a pool of one connection, somebody else is answered meanwhile."""
    made = await create()
    method, path, body = operations(made["id"], uuid7(), workspace)[index]
    small = open_database(database_settings.model_copy(update={"pool_size": 1}), application_name="auth-tests-small")
    async with open_api(on=small) as narrow:
        tasks_api.reset()
        tasks_api.hold = asyncio.Event()
        asked = asyncio.create_task(narrow.request(method, path, json=body, headers=login.headers))

        async def waits():
            return tasks_api.calls

        try:
            await eventually(waits)
            meanwhile = await narrow.get("/api/v1/users/me", headers=login.headers)
            assert (meanwhile.status_code, asked.done()) == (200, False)
        finally:
            tasks_api.hold.set()
            await asked
    await small.close()


async def test_accounts_of_a_workspace_are_listed_by_page_and_304_while_nothing_changes(
    api, login, account, create, workspace, tasks_api
):
    tasks_api.join(account.id, elsewhere := uuid7(), "admin")
    await create(workspace_id=str(elsewhere))
    made = [await create(name=f"n{number}") for number in range(3)]
    query = {"workspace_id": str(workspace), "per_page": 2}
    answer = await api.get(PATH, params=query, headers=login.headers)
    assert answer.json()["data"] == [made[2], made[1]]
    assert answer.json()["meta"].items() >= {"page": 1, "per_page": 2, "total": 3}.items()
    asked = {**login.headers, "if-none-match": answer.headers["etag"]}
    assert (await api.get(PATH, params=query, headers=asked)).status_code == 304
    await api.patch(f"{PATH}/{made[1]['id']}", json={"role": "guest"}, headers=login.headers)
    assert (await api.get(PATH, params=query, headers=asked)).status_code == 200
    assert codes(await api.get(PATH, headers=login.headers)) == (422, [("workspace_id", "REQUIRED")])


async def test_a_change_counts_the_version_on_and_a_stale_one_is_412(api, login, account, create, rows, facts):
    made = await create()
    path = f"{PATH}/{made['id']}"
    headers = {**login.headers, "if-match": '"1"'}
    answer = await api.patch(path, json={"name": "Exporter", "role": "guest"}, headers=headers)
    changed = answer.json()["data"]
    assert (answer.status_code, answer.headers["etag"]) == (200, '"2"')
    assert changed == {**made, "name": "Exporter", "role": "guest", "version": 2, "updated_at": changed["updated_at"]}
    assert await rows("SELECT display_name FROM auth.account WHERE id = :id", id=made["id"]) == [("Exporter",)]
    stale = await api.patch(path, json={"name": "Late"}, headers=headers)
    assert (*codes(stale), stale.json()["data"]["current"]) == (412, [(None, "VERSION_CONFLICT")], changed)
    for nothing in ({}, {"name": "Exporter"}):
        same = await api.patch(path, json=nothing, headers=login.headers)
        assert (same.status_code, same.json()["data"]) == (200, changed)
    for bad in ({"name": None}, {"role": None}):
        assert codes(await api.patch(path, json=bad, headers=login.headers)) == (
            422,
            [(next(iter(bad)), "NOT_NULLABLE")],
        )
    events, audited = await facts(made["id"])
    assert events[1:] == [("service_account.updated.v1", 2, changed)]
    assert audited[1:] == [("service_account.changed", account.id)]
    read = await api.get(path, headers={**login.headers, "if-none-match": '"2"'})
    assert read.status_code == 304


async def test_of_two_changes_for_one_version_one_is_412(api, login, create):
    made = await create()
    headers = {**login.headers, "if-match": '"1"'}
    wanted = ({"name": f"n{number}"} for number in range(4))
    answers = await asyncio.gather(*(api.patch(f"{PATH}/{made['id']}", json=body, headers=headers) for body in wanted))
    assert sorted(answer.status_code for answer in answers) == [200, 412, 412, 412]


async def test_a9_ending_an_account_ends_its_tokens_with_marks_and_events(
    api, login, account, create, rows, facts, resolve
):
    made = await create()
    path = f"{PATH}/{made['id']}"
    tokens = [(await api.post(f"{path}/tokens", json=TOKEN, headers=login.headers)).json()["data"] for _ in range(2)]
    keyed = {**login.headers, "idempotency-key": uuid7().hex}
    assert (await api.delete(path, headers=keyed)).status_code == 200
    again = await api.delete(path, headers=keyed)
    assert (again.status_code, again.headers["idempotency-replayed"]) == (200, "true")
    assert codes(await api.delete(path, headers=login.headers)) == (404, [(None, "NOT_FOUND")])
    assert codes(await api.get(path, headers=login.headers)) == (404, [(None, "NOT_FOUND")])
    assert [await resolve(token["token"]) for token in tokens] == [INACTIVE] * 2
    marks = "SELECT kind, subject::text FROM auth.revocation WHERE subject::text = ANY(:ids) ORDER BY subject"
    ids = sorted(token["id"] for token in tokens)
    assert await rows(marks, ids=ids) == [("session", one) for one in ids]
    assert await rows("SELECT status FROM auth.account WHERE id = :id", id=made["id"]) == [("deleted",)]
    events, audited = await facts(made["id"])
    assert events[1:] == [("service_account.deleted.v1", 2, {**made, "version": 2})]
    created, revoked = ("api_token.created", account.id), ("api_token.revoked", account.id)
    assert audited[1:] == [created, created, revoked, revoked, ("service_account.deleted", account.id)]
    minimal = {**login.headers, "prefer": "return=minimal"}
    assert (await api.delete(f"{PATH}/{(await create())['id']}", headers=minimal)).status_code == 204


async def test_an_end_waits_for_a_token_that_is_being_made_and_ends_it_too(api, login, account, create, rows, database):
    made = await create()
    waiting = "SELECT 1 FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"

    async def waits():
        return await rows(waiting)

    async with database.writer.begin() as other:
        await other.execute(text("SELECT FROM auth.account WHERE id = :id FOR UPDATE"), {"id": made["id"]})
        await other.execute(text(INSERT_TOKENS), {**tokens_of(made, account), "count": 1})
        ended = asyncio.create_task(api.delete(f"{PATH}/{made['id']}", headers=login.headers))
        await eventually(waits)
    assert (await ended).status_code == 200
    live = "SELECT count(*) FROM auth.api_token WHERE account_id = :id AND revoked_at IS NULL"
    assert await rows(live, id=made["id"]) == [(0,)]


@pytest.mark.usefixtures("confirmed")
async def test_a9_a_token_of_a_service_account_is_confined_to_its_workspace(
    api, login, account, create, workspace, resolve, rows
):
    made = await create()
    path = f"{PATH}/{made['id']}/tokens"
    projects = [str(uuid7())]
    body = {**TOKEN, "project_ids": projects, "ip_allowlist": ["203.0.113.0/24"], "read_only": True}
    answer = await api.post(path, json=body, headers=login.headers)
    token = answer.json()["data"]
    assert (answer.status_code, answer.headers["location"]) == (201, f"{path}/{token['id']}")
    assert answer.headers["cache-control"] == "no-store"
    assert (API_TOKEN.fits(token["token"]), token["created_by"]) == (True, str(account.id))
    told = await resolve(token["token"])
    assert (
        told.items()
        >= {
            "user_id": made["id"],
            "kind": "service_account",
            "roles": ["user"],
            "workspace_id": str(workspace),
            "project_ids": projects,
            "read_only": True,
        }.items()
    )
    query = """SELECT data -> 'resource' -> 'details' FROM auth.outbox
               WHERE type = 'account_mail.requested.v1' AND data -> 'resource' ->> 'user_id' = :id"""
    ((details,),) = await rows(query, id=str(account.id))
    assert details.items() >= {"name": "CI", "service_account": "Importer"}.items()
    elsewhere = await api.post(path, json={**TOKEN, "workspace_id": str(uuid7())}, headers=login.headers)
    assert codes(elsewhere) == (422, [("workspace_id", "UNKNOWN_FIELD")])
    past = await api.post(path, json={**TOKEN, "expires_at": "2026-01-01T00:00:00Z"}, headers=login.headers)
    assert codes(past) == (422, [("expires_at", "INVALID_EXPIRY")])
    admin = await api.post(path, json={**TOKEN, "scopes": ["admin:*"]}, headers=login.headers)
    assert codes(admin) == (422, [("scopes", "SCOPE_NOT_CONFINED")])


async def test_tokens_of_a_service_account_are_listed_and_revoked_and_are_nobodys_own(api, login, create, resolve):
    made, other = await create(), await create()
    path = f"{PATH}/{made['id']}/tokens"
    keyed = {**login.headers, "idempotency-key": uuid7().hex}
    tokens = [(await api.post(path, json=TOKEN, headers=headers)).json()["data"] for headers in (keyed, login.headers)]
    again = await api.post(path, json=TOKEN, headers=keyed)
    assert (again.headers["idempotency-replayed"], again.json()["data"]) == ("true", {**tokens[0], "token": None})
    listed = await api.get(path, params={"per_page": 1}, headers=login.headers)
    shown = {name: value for name, value in tokens[1].items() if name != "token"}
    assert (listed.json()["data"], listed.json()["meta"]["total"]) == ([shown], 2)
    asked = {**login.headers, "if-none-match": listed.headers["etag"]}
    assert (await api.get(path, params={"per_page": 1}, headers=asked)).status_code == 304
    assert (await api.get("/api/v1/auth/tokens", headers=login.headers)).json()["data"] == []
    for wrong in (f"/api/v1/auth/tokens/{tokens[0]['id']}", f"{PATH}/{other['id']}/tokens/{tokens[0]['id']}"):
        assert codes(await api.delete(wrong, headers=login.headers)) == (404, [(None, "NOT_FOUND")])
    assert (await api.delete(f"{path}/{tokens[0]['id']}", headers=login.headers)).status_code == 200
    minimal = {**login.headers, "prefer": "return=minimal"}
    assert (await api.delete(f"{path}/{tokens[1]['id']}", headers=minimal)).status_code == 204
    assert [await resolve(token["token"]) for token in tokens] == [INACTIVE] * 2


async def test_a_disabled_service_account_gets_no_token(api, login, create, rows):
    made = await create()
    await rows("UPDATE auth.account SET status = 'disabled' WHERE id = :id", id=made["id"])
    answer = await api.post(f"{PATH}/{made['id']}/tokens", json=TOKEN, headers=login.headers)
    assert codes(answer) == (409, [(None, "ACCOUNT_NOT_ACTIVE")])


async def test_fifty_tokens_of_a_service_account_are_in_force_at_most(api, login, account, create, rows):
    made = await create()
    await rows(INSERT_TOKENS, **tokens_of(made, account), count=49)
    asked = (api.post(f"{PATH}/{made['id']}/tokens", json=TOKEN, headers=login.headers) for _ in range(3))
    answers = await asyncio.gather(*asked)
    assert sorted(answer.status_code for answer in answers) == [201, 409, 409]


async def test_a_workspace_has_fifty_service_accounts_at_most(api, login, account, workspace, create, rows, tasks_api):
    await rows(INSERT_ACCOUNTS, workspace=workspace, by=account.id, count=49)
    body = {"workspace_id": str(workspace), "name": "Importer"}
    answers = await asyncio.gather(*(api.post(PATH, json=body, headers=login.headers) for _ in range(4)))
    assert sorted(answer.status_code for answer in answers) == [201, 409, 409, 409]
    refused = next(answer for answer in answers if answer.status_code == 409)
    assert codes(refused) == (409, [(None, "SERVICE_ACCOUNT_LIMIT_REACHED")])
    (made,) = (answer.json()["data"]["id"] for answer in answers if answer.status_code == 201)
    count = "SELECT count(*) FROM auth.service_account WHERE workspace_id = :id"
    assert await rows(count, id=workspace) == [(50,)]
    assert (await api.delete(f"{PATH}/{made}", headers=login.headers)).status_code == 200
    await create()
    another = uuid7()
    tasks_api.join(account.id, another, "owner")
    await create(workspace_id=str(another))
