"""Making, seeing and revoking API tokens (R14)."""

import asyncio
import hashlib
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID

import pytest
from auth_service.api_tokens import repository
from auth_service.api_tokens.rules import SCOPES
from auth_service.models import METADATA
from chassis.clock import utcnow
from chassis.db.transactions import transaction
from chassis.ids import uuid7
from chassis.secret_tokens import API_TOKEN

PATH = "/api/v1/auth/tokens"
BODY = {"name": "CI", "scopes": ["tasks:read"]}
CREATED_AT = "SELECT count(*) FROM auth.api_token WHERE account_id = :id"
PUBLIC_DOCUMENT = Path(__file__).parents[4] / "contracts" / "http" / "public.openapi.json"


def codes(answer):
    return answer.status_code, [(error["field"], error["code"]) for error in answer.json()["errors"]]


@pytest.fixture
def create(api, login):
    async def create(headers=None, **given):
        answer = await api.post(PATH, json={**BODY, **given}, headers=headers or login.headers)
        assert answer.status_code == 201, answer.text
        return answer.json()["data"]

    return create


@pytest.fixture
def resolve(api, test_gateway):
    async def resolve(token):
        body = {"digest": hashlib.sha256(token.encode()).hexdigest(), "address": "203.0.113.7"}
        answer = await api.post("/internal/api-tokens/resolve", json=body, headers=test_gateway.service_headers())
        assert answer.status_code == 200
        return answer.json()

    return resolve


async def test_a_token_is_made_with_its_bounds_and_shown_once(api, login, account, resolve):
    workspace, projects, expires = str(uuid7()), [str(uuid7()), str(uuid7())], "2027-01-31T12:00:00+02:00"
    body = {
        "name": "  CI  ",
        "scopes": ["tasks:write", "tasks:read"],
        "expires_at": expires,
        "workspace_id": workspace,
        "project_ids": projects,
        "ip_allowlist": ["203.0.113.0/24", "198.51.100.7", "2001:DB8::/32"],
        "read_only": True,
    }
    answer = await api.post(PATH, json=body, headers=login.headers)
    made = answer.json()["data"]
    token = made.pop("token")
    assert (answer.status_code, API_TOKEN.fits(token)) == (201, True)
    assert (answer.headers["location"], answer.headers["cache-control"]) == (f"{PATH}/{made['id']}", "no-store")
    bounds = {
        "scopes": body["scopes"],
        "workspace_id": workspace,
        "project_ids": projects,
        "ip_allowlist": ["203.0.113.0/24", "198.51.100.7/32", "2001:db8::/32"],
        "read_only": True,
    }
    assert (
        made.items()
        >= {
            **bounds,
            "name": "CI",
            "prefix": token[:16],
            "created_by": str(account.id),
            "last_used_at": None,
            "last_used_address": None,
        }.items()
    )
    assert datetime.fromisoformat(made["expires_at"]) == datetime(2027, 1, 31, 10, tzinfo=UTC)
    told = await resolve(token)
    assert told.items() >= {**bounds, "token_id": made["id"], "user_id": str(account.id), "kind": "user"}.items()
    read = await api.get(answer.headers["location"], headers=login.headers)
    assert read.json()["data"].items() >= bounds.items()
    assert "token" not in read.json()["data"]


async def test_r14_a_token_ends_after_90_days_unless_asked_and_after_365_at_the_latest(api, login, create, open_api):
    made = await create()
    assert datetime.fromisoformat(made["expires_at"]) - datetime.fromisoformat(made["created_at"]) == timedelta(days=90)
    day = timedelta(days=1)
    await create(expires_at=(utcnow() + 365 * day - timedelta(minutes=1)).isoformat())
    for bad in (utcnow() + 365 * day + timedelta(minutes=1), utcnow() - timedelta(seconds=1)):
        answer = await api.post(PATH, json={**BODY, "expires_at": bad.isoformat()}, headers=login.headers)
        assert codes(answer) == (422, [("expires_at", "INVALID_EXPIRY")])
    async with open_api(api_token_max_days=7) as strict:
        answer = await strict.post(PATH, json=BODY, headers=login.headers)
        life = datetime.fromisoformat(answer.json()["data"]["expires_at"]) - utcnow()
        assert timedelta(days=6.99) < life <= timedelta(days=7)
        late = {**BODY, "expires_at": (utcnow() + 8 * day).isoformat()}
        answer = await strict.post(PATH, json=late, headers=login.headers)
        assert (codes(answer), answer.json()["errors"][0]["hint"]) == (
            (422, [("expires_at", "INVALID_EXPIRY")]),
            "at most 7 days",
        )


INVALID = [
    ({"name": ""}, ("name", "TOO_SHORT")),
    ({"name": "   "}, ("name", "TOO_SHORT")),
    ({"name": "x" * 101}, ("name", "TOO_LONG")),
    ({"name": None}, ("name", "WRONG_TYPE")),
    ({"scopes": []}, ("scopes", "TOO_FEW")),
    ({"scopes": "tasks:read"}, ("scopes", "WRONG_TYPE")),
    ({"scopes": ["tasks:all"]}, ("scopes.0", "INVALID_SCOPE")),
    ({"scopes": ["tasks:read", "tasks:read"]}, ("scopes.1", "INVALID_SCOPE")),
    ({"scopes": ["Tasks:read"]}, ("scopes.0", "INVALID_SCOPE")),
    ({"scopes": ["x" * 65]}, ("scopes.0", "TOO_LONG")),
    ({"expires_at": None}, ("expires_at", "NOT_NULLABLE")),
    ({"expires_at": "2027-01-01T00:00:00"}, ("expires_at", "TIMEZONE_REQUIRED")),
    ({"expires_at": "2027-01-01"}, ("expires_at", "INVALID_FORMAT")),
    ({"expires_at": 1_800_000_000}, ("expires_at", "INVALID_FORMAT")),
    ({"expires_at": "0001-01-01T00:00:00+14:00"}, ("expires_at", "INVALID_FORMAT")),
    ({"expires_at": "9999-12-31T23:59:59-14:00"}, ("expires_at", "INVALID_FORMAT")),
    ({"expires_at": "2027-02-30T00:00:00Z"}, ("expires_at", "INVALID_FORMAT")),
    ({"workspace_id": "x"}, ("workspace_id", "INVALID_ID")),
    ({"project_ids": []}, ("project_ids", "TOO_FEW")),
    ({"project_ids": [str(n) for n in range(1)]}, ("project_ids.0", "INVALID_ID")),
    ({"project_ids": ["0199d3b2-5e04-7a00-9c6f-2d7e4a8b1c21"] * 2}, ("project_ids", "REPEATED_ENTRY")),
    ({"project_ids": [f"0199d3b2-5e04-7a00-9c6f-{n:012x}" for n in range(101)]}, ("project_ids", "TOO_MANY")),
    ({"ip_allowlist": []}, ("ip_allowlist", "TOO_FEW")),
    ({"ip_allowlist": [f"10.0.0.{n}" for n in range(51)]}, ("ip_allowlist", "TOO_MANY")),
    ({"ip_allowlist": ["10.0.0.0", "10.0.0.0/32"]}, ("ip_allowlist", "REPEATED_ENTRY")),
    *(
        ({"ip_allowlist": [bad]}, ("ip_allowlist.0", "INVALID_NETWORK"))
        for bad in (
            "10.0.0.1/8", "2001:db8::1/32", "10.0.0.0/33", "::/129", "10.0.0.0/255.0.0.0", "10.0.0", "010.0.0.1",
            "localhost", "fe80::1%eth0", "::ffff:10.0.0.0/104", "10.0.0.0/", "\u0661.0.0.1", " 10.0.0.1", "",
        )
    ),
    ({"read_only": "yes"}, ("read_only", "WRONG_TYPE")),
    ({"read_only": 1}, ("read_only", "WRONG_TYPE")),
    ({"id": "x"}, ("id", "READ_ONLY_FIELD")),
    ({"account_id": "x"}, ("account_id", "UNKNOWN_FIELD")),
]  # fmt: skip


@pytest.mark.parametrize(("changed", "problem"), INVALID, ids=lambda value: str(value)[:60])
async def test_what_a_token_can_not_be_is_422_and_makes_none(api, login, account, rows, changed, problem):
    answer = await api.post(PATH, json={**BODY, **changed}, headers=login.headers)
    assert codes(answer) == (422, [problem])
    assert await rows(CREATED_AT, id=account.id) == [(0,)]


async def test_all_that_is_wrong_is_told_at_once_with_the_scopes_that_there_are(api, login):
    body = {"name": "CI", "scopes": ["a:b", "tasks:read", "c:d"], "expires_at": "2020-01-01T00:00:00Z"}
    answer = await api.post(PATH, json=body, headers=login.headers)
    bad = [("scopes.0", "INVALID_SCOPE"), ("scopes.2", "INVALID_SCOPE"), ("expires_at", "INVALID_EXPIRY")]
    assert codes(answer) == (422, bad)
    assert answer.json()["errors"][0]["allowed"] == list(SCOPES)
    assert "a:b" not in answer.text


async def test_networks_of_every_size_are_taken(create):
    networks = ["0.0.0.0/0", "::/0", "10.0.0.0/8", "2001:db8::1", "255.255.255.255"]
    made = await create(ip_allowlist=networks)
    stored = ["0.0.0.0/0", "::/0", "10.0.0.0/8", "2001:db8::1/128", "255.255.255.255/32"]
    assert made["ip_allowlist"] == stored


def test_r14_every_scope_that_a_route_asks_for_can_be_given_to_a_token():
    document = json.loads(PUBLIC_DOCUMENT.read_bytes())
    rules = {operation["x-api-tokens"] for path in document["paths"].values() for operation in path.values()}
    asked = {rule for rule in rules if ":" in rule}
    assert "tasks:read" in asked
    assert asked <= set(SCOPES)


async def test_r14_every_scope_is_for_everybody_and_their_rights_are_looked_at_when_it_is_used(create, resolve):
    """The owner of a workspace administers that, whatever they are in the instance."""
    made = await create(scopes=list(SCOPES))
    assert made["scopes"] == list(SCOPES)
    told = await resolve(made["token"])
    assert (told["scopes"], told["roles"]) == (list(SCOPES), ["user"])


@pytest.mark.parametrize("bounds", [{"workspace_id": str(UUID(int=1))}, {"project_ids": [str(UUID(int=2))]}], ids=str)
async def test_the_scope_of_admins_is_for_the_whole_and_no_part(api, login, account, rows, bounds):
    answer = await api.post(PATH, json={**BODY, "scopes": ["admin:*"], **bounds}, headers=login.headers)
    assert codes(answer) == (422, [("scopes", "SCOPE_NOT_CONFINED")])
    assert await rows(CREATED_AT, id=account.id) == [(0,)]


async def test_a_token_needs_a_session_that_was_just_proved(api, login, account, rows, test_gateway, create):
    made = await create()
    bearer = test_gateway.token_headers(account.id, *SCOPES)
    one = f"{PATH}/{made['id']}"
    for method, path in (("POST", PATH), ("GET", PATH), ("GET", one), ("DELETE", one)):
        answer = await api.request(method, path, json=BODY if method == "POST" else None, headers=bearer)
        assert codes(answer) == (403, [(None, "SESSION_REQUIRED")]), path
    old = "UPDATE auth.session SET authenticated_at = now() - interval '601 seconds' WHERE user_id = :id"
    await rows(old, id=account.id)
    answer = await api.post(PATH, json=BODY, headers=login.headers)
    assert codes(answer) == (403, [(None, "STEP_UP_REQUIRED")])
    assert await rows(CREATED_AT, id=account.id) == [(1,)]
    assert (await api.delete(one, headers=login.headers)).status_code == 200


async def test_a_disabled_account_makes_no_token(api, login, account, rows):
    await rows("UPDATE auth.account SET status = 'disabled' WHERE id = :id", id=account.id)
    answer = await api.post(PATH, json=BODY, headers=login.headers)
    assert codes(answer) == (401, [(None, "UNAUTHENTICATED")])
    assert await rows(CREATED_AT, id=account.id) == [(0,)]


async def test_fifty_tokens_are_in_force_at_most_also_of_two_made_at_once(api, login, account, rows, create):
    made = [await create() for _ in range(48)]
    answers = await asyncio.gather(*(api.post(PATH, json=BODY, headers=login.headers) for _ in range(6)))
    assert sorted(answer.status_code for answer in answers) == [201, 201, 409, 409, 409, 409]
    refused = next(answer for answer in answers if answer.status_code == 409)
    assert codes(refused) == (409, [(None, "TOKEN_LIMIT_REACHED")])
    assert await rows(CREATED_AT, id=account.id) == [(50,)]
    await api.delete(f"{PATH}/{made[0]['id']}", headers=login.headers)
    await create()
    await rows("UPDATE auth.api_token SET expires_at = now() WHERE id = :id", id=made[1]["id"])
    await create()
    assert codes(await api.post(PATH, json=BODY, headers=login.headers)) == (409, [(None, "TOKEN_LIMIT_REACHED")])


async def test_tokens_are_listed_newest_first_by_page_and_304_while_nothing_changes(api, login, create, resolve):
    made = [await create(name=f"n{number}") for number in range(3)]
    answer = await api.get(PATH, params={"per_page": 2}, headers=login.headers)
    assert [one["name"] for one in answer.json()["data"]] == ["n2", "n1"]
    assert answer.json()["meta"].items() >= {"page": 1, "per_page": 2, "total": 3}.items()
    assert (answer.headers["cache-control"], answer.headers["vary"]) == ("private, no-cache", "Authorization")
    assert 'rel="next"' in answer.headers["link"]
    one = f"{PATH}/{made[0]['id']}"
    etags = {path: (await api.get(path, headers=login.headers)).headers["etag"] for path in (PATH, one)}

    async def statuses():
        asked = [{**login.headers, "if-none-match": etag} for etag in etags.values()]
        return [(await api.get(path, headers=headers)).status_code for path, headers in zip(etags, asked, strict=True)]

    assert await statuses() == [304, 304]
    await resolve(made[0]["token"])
    assert await statuses() == [200, 200]
    read = (await api.get(one, headers=login.headers)).json()["data"]
    assert read["last_used_address"] == "203.0.113.7"
    assert utcnow() - datetime.fromisoformat(read["last_used_at"]) < timedelta(minutes=1)


async def test_somebody_elses_token_is_not_there(api, create, sign_up, log_in, resolve):
    made = await create()
    stranger = await log_in(await sign_up())
    absent = await api.get(f"{PATH}/{uuid7()}", headers=stranger.headers)
    for method in ("GET", "DELETE"):
        answer = await api.request(method, f"{PATH}/{made['id']}", headers=stranger.headers)
        assert codes(answer) == (404, [(None, "NOT_FOUND")])
        assert answer.json()["errors"] == absent.json()["errors"]
    assert (await api.get(PATH, headers=stranger.headers)).json()["data"] == []
    assert (await resolve(made["token"]))["active"] is True


async def test_r6_revoking_ends_the_token_with_mark_event_and_audit(api, login, account, create, resolve, rows, events):
    made = await create()
    before = await events(account.id)
    answer = await api.delete(f"{PATH}/{made['id']}", headers=login.headers)
    assert (answer.status_code, answer.json()["data"]) == (200, None)
    assert await resolve(made["token"]) == {"active": False}
    mark = "SELECT kind, expires_at > now() + interval '50 minutes' FROM auth.revocation WHERE subject = :id"
    assert await rows(mark, id=made["id"]) == [("session", True)]
    assert (await events(account.id))[len(before) :] == ["token.revoked.v1"]
    for again in (
        await api.delete(f"{PATH}/{made['id']}", headers=login.headers),
        await api.get(f"{PATH}/{made['id']}", headers=login.headers),
    ):
        assert codes(again) == (404, [(None, "NOT_FOUND")])
    other = await create()
    minimal = {**login.headers, "prefer": "return=minimal"}
    assert (await api.delete(f"{PATH}/{other['id']}", headers=minimal)).status_code == 204
    query = """SELECT action, outcome, actor_id, credential_id, details ->> 'token_id' FROM auth.audit_event
               WHERE subject_id = :id AND action LIKE 'api_token.%' ORDER BY id"""
    by = account.id, login.session_id
    assert await rows(query, id=account.id) == [
        ("api_token.created", "success", *by, made["id"]),
        ("api_token.revoked", "success", *by, made["id"]),
        ("api_token.created", "success", *by, other["id"]),
        ("api_token.revoked", "success", *by, other["id"]),
    ]


@pytest.mark.usefixtures("confirmed")
async def test_its_owner_is_told_by_mail(create, account, rows):
    made = await create(name="Deploy", scopes=["tasks:read", "tasks:write"])
    query = """SELECT data -> 'resource' FROM auth.outbox
               WHERE type = 'account_mail.requested.v1' AND data -> 'resource' ->> 'user_id' = :id"""
    ((mail,),) = await rows(query, id=str(account.id))
    assert (mail["kind"], mail["to"], mail["token_sealed"]) == ("api_token_created", account.email, None)
    expires = datetime.fromisoformat(made["expires_at"])
    assert datetime.fromisoformat(mail["details"].pop("expires_at")) == expires
    assert mail["details"].items() >= {"name": "Deploy", "scopes": "tasks:read, tasks:write"}.items()


async def test_r14_the_secret_is_in_the_answer_and_nowhere_else(api, login, rows, resolve, capfd):
    """Not in a table, not as its SHA-256, not in an event, the audit, a stored answer or a log."""
    keyed = {**login.headers, "idempotency-key": uuid7().hex}
    token = (await api.post(PATH, json=BODY, headers=keyed)).json()["data"]["token"]
    await api.post(PATH, json=BODY, headers=keyed)
    assert (await resolve(token))["active"] is True
    dump = ""
    for table in METADATA.sorted_tables:
        found = await rows(f"SELECT t::text FROM {table.fullname} t")  # noqa: S608 - tables of our own
        dump += "\n".join(row for (row,) in found)
    printed = capfd.readouterr()
    secret = token.removeprefix(API_TOKEN.prefix)
    assert secret[:8] in dump
    for hidden in (secret, secret[8:], hashlib.sha256(token.encode()).hexdigest()):
        for form in (hidden, hidden.encode().hex()):
            assert form not in dump
            assert form not in printed.out + printed.err


async def test_a_replay_shows_the_token_without_its_secret(api, login, account, rows):
    keyed = {**login.headers, "idempotency-key": uuid7().hex}
    first = await api.post(PATH, json={**BODY, "workspace_id": str(uuid7())}, headers=keyed)
    again = await api.post(PATH, content=first.request.content, headers={**keyed, "content-type": "application/json"})
    assert (again.status_code, again.headers["idempotency-replayed"]) == (201, "true")
    assert again.headers["location"] == first.headers["location"]
    assert again.json()["data"] == {**first.json()["data"], "token": None}
    assert await rows(CREATED_AT, id=account.id) == [(1,)]


async def test_tokens_that_expired_long_ago_are_purged(create, account, rows, database):
    kept, old = await create(), await create()
    await rows("UPDATE auth.api_token SET expires_at = now() - interval '31 days' WHERE id = :id", id=old["id"])
    async with transaction(database) as session:
        await repository.purge(session, before=utcnow() - timedelta(days=30))
    listed = "SELECT id::text FROM auth.api_token WHERE account_id = :id"
    assert await rows(listed, id=account.id) == [(kept["id"],)]


async def test_a_new_password_ends_no_token_and_its_mail_says_how_many_go_on(
    api, login, account, create, resolve, mails, rows
):
    """A reset may follow a theft: whoever has the address learns that there is more to look at."""
    await rows("UPDATE auth.account SET email_verified_at = now() WHERE id = :id", id=account.id)
    new, newer = "copper-lantern-31", "amber-window-58"
    kept, revoked, expired = await create(), await create(), await create()
    await api.delete(f"{PATH}/{revoked['id']}", headers=login.headers)
    await rows("UPDATE auth.api_token SET expires_at = now() WHERE id = :id", id=expired["id"])
    body = {"current_password": account.password, "new_password": new}
    assert (await api.post("/api/v1/auth/password/change", json=body, headers=login.headers)).status_code == 200
    await api.post("/api/v1/auth/password/forgot", json={"email": account.email})
    link = (await mails(account.email))[-1]
    answer = await api.post("/api/v1/auth/password/reset", json={"token": link.token, "password": newer})
    assert answer.status_code == 200
    told = [one.event["data"]["resource"] for one in await mails(account.email) if one.kind == "password_changed"]
    assert [one["details"] for one in told] == [{"api_tokens_in_force": "1"}] * 2
    assert (await resolve(kept["token"]))["active"] is True


async def test_a_mail_about_a_new_password_is_silent_on_tokens_where_there_are_none(api, login, account, mails):
    body = {"current_password": account.password, "new_password": "copper-lantern-31"}
    assert (await api.post("/api/v1/auth/password/change", json=body, headers=login.headers)).status_code == 200
    assert (await mails(account.email))[-1].event["data"]["resource"]["details"] == {}
