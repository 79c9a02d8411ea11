"""Reading the audit: one's own, and as an administrator all."""

import re
import secrets
from datetime import timedelta
from pathlib import Path
from uuid import UUID

import auth_service
import pytest
from auth_service.audit.rules import lowest_id_at
from chassis.clock import rfc3339, utcnow
from chassis.ids import uuid7

OWN = "/api/v1/users/me/audit"
ALL = "/api/v1/admin/audit"
HERE = {"x-client-address": "203.0.113.7", "user-agent": "phone"}
INSERT = """
    INSERT INTO auth.audit_event (id, occurred_at, action, outcome, subject_id, request_id, details)
    VALUES (:id, :at, 'login', 'success', :subject, 'request-1', '{}')
"""


def codes(answer):
    return answer.status_code, [error["code"] for error in answer.json()["errors"]]


def actions(answer):
    assert answer.status_code == 200, answer.text
    return [entry["action"] for entry in answer.json()["data"]]


@pytest.fixture
def as_admin(admin, test_gateway):
    return test_gateway.headers(admin.id, roles=["user", "admin"])


async def test_everybody_reads_what_happened_to_the_own_account(api, account, log_in, sign_up):
    await log_in(await sign_up())
    wrong = {**account.credentials, "password": "not-this-one-77"}
    await api.post("/api/v1/auth/login", json=wrong, headers=HERE)
    login = await log_in(account, **HERE)
    answer = await api.get(OWN, headers=login.headers)
    assert actions(answer) == ["login", "login", "account.registered"]
    entered, failed, _ = answer.json()["data"]
    assert (entered["outcome"], entered["actor_id"], entered["credential_id"]) == (
        "success",
        str(account.id),
        str(login.session_id),
    )
    assert (entered["address"], entered["device"]) == ("203.0.113.7", "phone")
    assert (failed["outcome"], failed["actor_id"], failed["address"]) == ("refused", None, "203.0.113.7")
    assert {entry["subject_id"] for entry in answer.json()["data"]} == {str(account.id)}
    assert (answer.headers["cache-control"], answer.headers["vary"]) == ("private, no-cache", "Authorization")


async def test_from_where_an_administrator_did_it_is_for_administrators(api, account, as_admin):
    here = {**as_admin, **HERE}
    assert (await api.post(f"/api/v1/admin/users/{account.id}/disable", headers=here)).status_code == 200
    [entry, _] = (await api.get(OWN, headers=account.headers())).json()["data"]
    assert (entry["action"], entry["address"], entry["device"], entry["credential_id"]) == (
        "admin.account_disabled",
        None,
        None,
        None,
    )
    found = (await api.get(ALL, params={"user_id": str(account.id)}, headers=as_admin)).json()["data"]
    assert (found[0]["address"], found[0]["device"]) == ("203.0.113.7", "phone")


async def test_own_audit_403_for_api_tokens(api, account, test_gateway):
    token = test_gateway.token_headers(account.id, "admin:*", "tasks:read")
    assert codes(await api.get(OWN, headers=token)) == (403, ["SESSION_REQUIRED"])


async def test_the_audit_is_walked_both_ways_by_signed_cursors(api, account, rows):
    ids = [uuid7() for _ in range(6)]
    for one in ids:
        await rows(INSERT, id=one, at=utcnow(), subject=account.id)
    newest_first = [str(one) for one in reversed(ids)]

    async def part(cursor):
        answer = await api.get(OWN, params={"per_page": 3, "cursor": cursor}, headers=account.headers())
        assert answer.status_code == 200
        return [entry["id"] for entry in answer.json()["data"]], answer.json()["meta"], answer.headers.get("link", "")

    first, meta, link = await part("")
    assert (first, meta["has_more"], meta["prev_cursor"]) == (newest_first[:3], True, None)
    assert (link.count("rel="), "total" in meta) == (1, False)
    second, second_meta, link = await part(meta["next_cursor"])
    assert (second, second_meta["has_more"], link.count("rel=")) == (newest_first[3:], True, 2)
    third, last_meta, _ = await part(second_meta["next_cursor"])
    assert (len(third), last_meta["has_more"], last_meta["next_cursor"]) == (1, False, None)
    back, _, _ = await part(second_meta["prev_cursor"])
    assert back == first


async def test_a_cursor_400_when_changed_or_of_somebody_else_or_of_another_filter(api, account, sign_up, as_admin):
    answer = await api.get(OWN, params={"per_page": 1}, headers=account.headers())
    assert answer.json()["meta"]["next_cursor"] is None
    found = await api.get(ALL, params={"per_page": 1}, headers=as_admin)
    cursor = found.json()["meta"]["next_cursor"]
    for bad in (cursor[:-1] + ("A" if cursor[-1] != "A" else "B"), "x", "%%", str(uuid7())):
        assert codes(await api.get(ALL, params={"cursor": bad}, headers=as_admin)) == (400, ["INVALID_CURSOR"])
    other = await api.get(ALL, params={"cursor": cursor, "action": "login"}, headers=as_admin)
    assert codes(other) == (400, ["CURSOR_MISMATCH"])
    assert codes(await api.get(OWN, params={"cursor": cursor}, headers=account.headers())) == (400, ["CURSOR_MISMATCH"])


async def test_administrators_read_all_and_filter(api, account, log_in, as_admin, admin, rows):
    await log_in(account)
    wrong = {**account.credentials, "password": "not-this-one-77"}
    await api.post("/api/v1/auth/login", json=wrong)
    await api.post(f"/api/v1/admin/users/{account.id}/enable", headers=as_admin)
    await api.post(f"/api/v1/admin/users/{account.id}/disable", headers=as_admin)
    mine = {"user_id": str(account.id)}

    async def found(**filters):
        return actions(await api.get(ALL, params={**mine, **filters}, headers=as_admin))

    assert await found() == ["admin.account_disabled", "login", "login", "account.registered"]
    assert await found(outcome="refused") == ["login"]
    assert await found(action="account.registered") == ["account.registered"]
    assert await found(actor_id=str(admin.id)) == ["admin.account_disabled"]
    assert await found(actor_id=str(uuid7())) == []
    [(at,)] = await rows(
        "SELECT occurred_at FROM auth.audit_event WHERE subject_id = :id AND outcome = 'refused'", id=account.id
    )
    assert await found(**{"from": rfc3339(at)}) == ["admin.account_disabled", "login"]
    assert await found(to=rfc3339(at)) == ["login", "account.registered"]
    assert await found(**{"from": rfc3339(at + timedelta(days=1))}) == []
    # Other tests have been in the future, and their events are there.
    until_now = rfc3339(utcnow() + timedelta(seconds=1))
    newest = await api.get(ALL, params={"per_page": 1, "to": until_now}, headers=as_admin)
    assert actions(newest) == ["admin.account_disabled"]


async def test_the_bounds_of_time_are_bounds_of_ids_so_that_the_index_has_them(api, account, as_admin, rows):
    """An entry whose id is of another day is not looked at, whatever its time."""
    noon = utcnow() - timedelta(days=5)
    for days, seconds in ((-1, 0), (0, -0.5), (0, 0.5), (1, 0)):
        at = noon + timedelta(days=days, seconds=seconds)
        one = UUID(int=lowest_id_at(at).int + secrets.randbits(60))
        await rows(INSERT, id=one, at=noon, subject=account.id)

    async def count(**bounds):
        answer = await api.get(ALL, params={"user_id": str(account.id), "action": "login", **bounds}, headers=as_admin)
        return len(actions(answer))

    assert await count() == 4
    assert await count(to=rfc3339(noon + timedelta(milliseconds=1))) == 3
    assert await count(**{"from": rfc3339(noon - timedelta(milliseconds=1))}) == 3
    assert await count(to=rfc3339(noon - timedelta(milliseconds=1))) == 0


@pytest.mark.parametrize(
    "bad",
    [
        {"user_id": "x"},
        {"action": "logon"},
        {"outcome": "maybe"},
        {"from": "yesterday"},
        {"from": "2026-01-01T00:00:00"},
        {"to": "0001-01-01T00:00:00Z"},
        {"to": "9999-12-31T23:59:59Z"},
        {"page": "2"},
        {"per_page": "0"},
        {"since": "2026-01-01T00:00:00Z"},
    ],
)
async def test_the_audit_422_for_a_bad_filter(api, as_admin, bad):
    answer = await api.get(ALL, params=bad, headers=as_admin)
    assert (answer.status_code, answer.json()["errors"][0]["field"]) == (422, next(iter(bad)))


async def test_old_entries_are_deleted_after_their_time_and_no_others(account, rows, run_job):
    now = utcnow()
    old, young = lowest_id_at(now - timedelta(days=401)), lowest_id_at(now - timedelta(days=399))
    for one in (old, young):
        await rows(INSERT, id=one, at=now, subject=account.id)
    await run_job("purge-audit")
    left = {one for (one,) in await rows("SELECT id FROM auth.audit_event WHERE subject_id = :id", id=account.id)}
    assert (old in left, young in left, len(left)) == (False, True, 2)
    await rows("DELETE FROM auth.audit_event WHERE id = :id", id=young)


def test_nothing_but_a_deletion_changes_an_entry():
    source = Path(auth_service.__file__).parent
    changing = {
        str(path.relative_to(source))
        for path in source.rglob("*.py")
        if re.search(r"update\(\s*(audit_event|table_of\(AuditEvent\))", path.read_text(encoding="utf-8"))
    }
    assert changing == {"leaving/repository.py"}
