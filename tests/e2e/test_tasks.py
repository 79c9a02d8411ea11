"""Tasks through the whole system."""

import asyncio
import json

import pytest
from chassis.ids import uuid7


async def test_buy_milk_right_after_login(api, sign_up):
    user = await sign_up()
    answer = await api.post("/api/v1/tasks", json={"title": "Buy milk"}, headers=user.headers)
    assert answer.status_code == 201
    task = answer.json()["data"]
    assert answer.json()["success"] is True
    assert answer.json()["errors"] == []
    assert answer.headers["location"] == f"/api/v1/tasks/{task['id']}"
    assert answer.headers["etag"] == '"1"'
    assert answer.headers["x-cursor"]
    assert answer.headers["ratelimit-policy"] == '"user";q=100;w=60'
    assert task["status"] == "todo"
    assert task["created_by"] == user.id
    read = await api.get(answer.headers["location"], headers=user.headers)
    assert read.json()["data"] == task
    unchanged = await api.get(answer.headers["location"], headers={**user.headers, "if-none-match": '"1"'})
    assert unchanged.status_code == 304


async def test_patch_with_if_match(api, sign_up):
    user = await sign_up()
    task = (await api.post("/api/v1/tasks", json={"title": "a"}, headers=user.headers)).json()["data"]
    path = f"/api/v1/tasks/{task['id']}"
    done = await api.patch(path, json={"status": "done"}, headers={**user.headers, "if-match": '"1"'})
    assert done.headers["etag"] == '"2"'
    assert done.json()["data"]["completed_at"] is not None
    stale = await api.patch(path, json={"title": "b"}, headers={**user.headers, "if-match": '"1"'})
    assert stale.status_code == 412
    assert {entry["code"] for entry in stale.json()["errors"]} == {"VERSION_CONFLICT"}
    assert "status" in {entry["field"] for entry in stale.json()["errors"]}
    assert stale.json()["data"]["current"]["version"] == 2
    nothing = await api.patch(path, json={}, headers=user.headers)
    assert (nothing.status_code, nothing.headers["etag"]) == (200, '"2"')
    cleared = await api.patch(path, json={"description": "x", "due": "2026-12-01"}, headers=user.headers)
    assert cleared.json()["data"]["due"]["date"] == "2026-12-01"
    cleared = await api.patch(path, json={"description": None, "due": None}, headers=user.headers)
    assert (cleared.json()["data"]["description"], cleared.json()["data"]["due"]) == (None, None)


async def test_delete_goes_to_the_trash_and_prefer_minimal_is_204(api, sign_up):
    user = await sign_up()
    paths = []
    for title in ("a", "b"):
        answer = await api.post("/api/v1/tasks", json={"title": title}, headers=user.headers)
        paths.append(answer.headers["location"])
    gone = await api.delete(paths[0], headers=user.headers)
    assert gone.status_code == 200
    assert gone.json()["data"]["deleted_at"] is not None
    assert (await api.get(paths[0], headers=user.headers)).status_code == 404
    minimal = await api.delete(paths[1], headers={**user.headers, "prefer": "return=minimal"})
    assert (minimal.status_code, minimal.content) == (204, b"")
    assert (await api.get("/api/v1/tasks", headers=user.headers)).json()["meta"]["total"] == 0


async def test_list_by_page_and_by_cursor(api, sign_up):
    user = await sign_up()
    for n in range(7):
        await api.post("/api/v1/tasks", json={"title": f"task {n}"}, headers=user.headers)
    page = await api.get("/api/v1/tasks?page=2&per_page=3", headers=user.headers)
    assert [task["title"] for task in page.json()["data"]] == ["task 3", "task 2", "task 1"]
    meta = page.json()["meta"]
    assert (meta["page"], meta["per_page"], meta["total"]) == (2, 3, 7)
    assert 'rel="next"' in page.headers["link"]
    titles, cursor = [], ""
    while cursor is not None:
        part = (await api.get(f"/api/v1/tasks?per_page=3&cursor={cursor}", headers=user.headers)).json()
        titles += [task["title"] for task in part["data"]]
        cursor = part["meta"]["next_cursor"]
        if len(titles) == 3:
            # Others write meanwhile: what was there is neither skipped nor repeated.
            await api.post("/api/v1/tasks", json={"title": "new"}, headers=user.headers)
    assert titles == [f"task {n}" for n in reversed(range(7))]
    beyond = await api.get("/api/v1/tasks?page=50", headers=user.headers)
    assert (beyond.status_code, beyond.json()["data"]) == (200, [])


async def test_cursors_are_bound_and_signed(api, sign_up):
    user, other = await sign_up(), await sign_up()
    for n in range(3):
        await api.post("/api/v1/tasks", json={"title": str(n)}, headers=user.headers)
    first = await api.get("/api/v1/tasks?per_page=1&cursor=", headers=user.headers)
    cursor = first.json()["meta"]["next_cursor"]
    cases = [
        (f"/api/v1/tasks?cursor={cursor}&status=done", user, "CURSOR_MISMATCH"),
        (f"/api/v1/tasks?cursor={cursor}", other, "CURSOR_MISMATCH"),
        (f"/api/v1/tasks?cursor={cursor[:-1]}", user, "INVALID_CURSOR"),
        ("/api/v1/tasks?cursor=%F0%9F%92%A5", user, "INVALID_CURSOR"),
    ]
    for path, caller, code in cases:
        answer = await api.get(path, headers=caller.headers)
        assert (answer.status_code, answer.json()["errors"][0]["code"]) == (400, code), path


async def test_others_tasks_do_not_exist(api, sign_up):
    owner, stranger = await sign_up(), await sign_up()
    path = (await api.post("/api/v1/tasks", json={"title": "mine"}, headers=owner.headers)).headers["location"]
    nowhere = f"/api/v1/tasks/{uuid7()}"
    for method, body in (("GET", None), ("PATCH", {"title": "x"}), ("DELETE", None)):
        hidden = await api.request(method, path, json=body, headers=stranger.headers)
        absent = await api.request(method, nowhere, json=body, headers=stranger.headers)
        assert hidden.status_code == absent.status_code == 404
        assert hidden.json()["errors"] == absent.json()["errors"]
    assert (await api.get(path, headers=owner.headers)).json()["data"]["version"] == 1


async def test_an_idempotency_key_makes_one_task(api, sign_up):
    user = await sign_up()
    headers = {**user.headers, "idempotency-key": "order 66"}
    answers = await asyncio.gather(*(api.post("/api/v1/tasks", json={"title": "a"}, headers=headers) for _ in range(8)))
    assert {answer.status_code for answer in answers} <= {201, 409}
    again = await api.post("/api/v1/tasks", json={"title": "a"}, headers=headers)
    assert again.headers["idempotency-replayed"] == "true"
    assert {a.json()["data"]["id"] for a in [*answers, again] if a.status_code == 201} == {again.json()["data"]["id"]}
    assert again.headers["location"].endswith(again.json()["data"]["id"])
    other = await api.post("/api/v1/tasks", json={"title": "b"}, headers=headers)
    assert (other.status_code, other.json()["errors"][0]["code"]) == (422, "IDEMPOTENCY_KEY_REUSED")
    assert (await api.get("/api/v1/tasks", headers=user.headers)).json()["meta"]["total"] == 1


async def test_concurrent_patches_lose_nothing(api, sign_up):
    user = await sign_up()
    path = (await api.post("/api/v1/tasks", json={"title": "a"}, headers=user.headers)).headers["location"]
    patches = [{"title": "new"}, {"description": "text"}, {"priority": "high"}, {"due": "2026-12-01"}]
    answers = await asyncio.gather(*(api.patch(path, json=patch, headers=user.headers) for patch in patches))
    assert [answer.status_code for answer in answers] == [200] * 4
    task = (await api.get(path, headers=user.headers)).json()["data"]
    assert (task["title"], task["description"], task["priority"], task["due"]["date"]) == (
        "new",
        "text",
        "high",
        "2026-12-01",
    )
    assert task["version"] == 5


HOSTILE = [
    (b'{"title": NaN}', 400, "MALFORMED_JSON"),
    (b'{"title": 1e999}', 400, "MALFORMED_JSON"),
    (b'{"title": "\\ud800"}', 400, "MALFORMED_JSON"),
    (b'{"title": "a", "title": "b"}', 400, "MALFORMED_JSON"),
    (b"\xef\xbb\xbf{}", 400, "MALFORMED_JSON"),
    (b'{"title": "\xff"}', 400, "MALFORMED_JSON"),
    (b"[" * 2000, 400, "MALFORMED_JSON"),
    (b'{"a":' * 40 + b"1" + b"}" * 40, 400, "MALFORMED_JSON"),
    (b'{"title": "a\\u0000b"}', 422, "NULL_CHARACTER"),
    (b'{"title": "a", "due": "0001-01-01"}', 422, "DATE_OUT_OF_RANGE"),
    (b'{"title": "a", "due": "9999-12-31T23:59:59-12:00"}', 422, "DATE_OUT_OF_RANGE"),
    (b'{"title": "a", "due": "2026-12-01T09:00:00"}', 422, "TIMEZONE_REQUIRED"),
    (b'{"title": "a", "due": {"at": "2026-12-01T09:00:00Z", "timezone": "Mars/Base"}}', 422, "INVALID_TIMEZONE"),
    (b'{"title": "a", "due": {"date": "2026-12-01", "local": "2026-12-01T09:00"}}', 422, "INVALID_DUE"),
    (b'{"title": "   "}', 422, "TOO_SHORT"),
    (b'{"title": "%s"}' % (b"x" * 501), 422, "TOO_LONG"),
    (b'{"title": 5}', 422, "WRONG_TYPE"),
    (b'{"title": null}', 422, "WRONG_TYPE"),
    (b'{"title": "a", "status": "finished"}', 422, "STATUS_NOT_FOUND"),
    (b'{"title": "a", "project_id": "x"}', 422, "INVALID_ID"),
    (b'{"title": "a", "project_id": "0199d3b2-7a52-7f0e-8f3a-1d1f6c0f5a11"}', 422, "PROJECT_NOT_FOUND"),
    (b'{"title": "a", "id": "0199d3b2-7a52-7f0e-8f3a-1d1f6c0f5a11"}', 422, "READ_ONLY_FIELD"),
    (b"[]", 422, "WRONG_TYPE"),
    (b"", 422, "REQUIRED"),
]


@pytest.mark.parametrize(("body", "status", "code"), HOSTILE)
async def test_r29_hostile_bodies_get_a_clear_answer(api, hostile_user, body, status, code):
    headers = {**hostile_user, "content-type": "application/json"}
    answer = await api.post("/api/v1/tasks", content=body, headers=headers)
    assert (answer.status_code, answer.json()["errors"][0]["code"]) == (status, code)
    assert answer.json()["success"] is False
    assert answer.json()["data"] is None
    assert json.dumps(answer.json()["errors"]).count("x" * 50) == 0


@pytest.fixture
async def hostile_user(sign_up):
    return (await sign_up()).headers


async def test_all_errors_at_once_with_hints(api, sign_up):
    user = await sign_up()
    answer = await api.post("/api/v1/tasks", json={"titel": "a", "priority": "huge"}, headers=user.headers)
    entries = {entry["field"]: entry for entry in answer.json()["errors"]}
    assert {field: entry["code"] for field, entry in entries.items()} == {
        "title": "REQUIRED",
        "priority": "NOT_ALLOWED",
        "titel": "UNKNOWN_FIELD",
    }
    assert entries["titel"]["hint"] == "did you mean title?"
    assert entries["priority"]["allowed"] == ["none", "low", "medium", "high", "urgent"]


async def test_r31_parameters_are_strict(api, sign_up):
    user = await sign_up()
    cases = {
        "/api/v1/tasks?stauts=done": "UNKNOWN_PARAMETER",
        "/api/v1/tasks?page=1&page=2": "REPEATED_PARAMETER",
        "/api/v1/tasks?per_page=1000": "TOO_LARGE",
        "/api/v1/tasks?per_page=abc": "WRONG_TYPE",
        "/api/v1/tasks?page=200&per_page=100": "PAGE_TOO_DEEP",
        "/api/v1/tasks?page=1&cursor=": "PAGE_AND_CURSOR",
        "/api/v1/tasks?priority=highest": "VALUE_NOT_ALLOWED",
    }
    for path, code in cases.items():
        answer = await api.get(path, headers=user.headers)
        assert (answer.status_code, answer.json()["errors"][0]["code"]) == (422, code), path
    typo = await api.get("/api/v1/tasks?stauts=done", headers=user.headers)
    assert typo.json()["errors"][0]["hint"] == "did you mean status?"


async def test_min_cursor(api, sign_up):
    user = await sign_up()
    written = await api.post("/api/v1/tasks", json={"title": "a"}, headers=user.headers)
    headers = {**user.headers, "x-min-cursor": written.headers["x-cursor"]}
    assert (await api.get("/api/v1/tasks", headers=headers)).json()["meta"]["total"] == 1
    headers["x-min-cursor"] = "AAAA"
    assert (await api.get("/api/v1/tasks", headers=headers)).json()["errors"][0]["code"] == "INVALID_CURSOR"
