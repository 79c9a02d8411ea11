"""Each endpoint, and who may use it."""

import asyncio
from dataclasses import replace

import httpx2
import pytest
from chassis.cursors import CursorSigner
from chassis.db.engine import open_database
from chassis.ids import uuid7
from chassis.settings import DatabaseSettings
from chassis.web.health import Health
from pydantic import SecretStr
from sqlalchemy import event
from tasks_service.main import create_app

LOG = "SELECT type, version FROM tasks.change WHERE entity_id = :id ORDER BY seq"


@pytest.fixture
async def owner(api, user):
    headers = user()
    task = (await api.post("/api/v1/tasks", json={"title": "a"}, headers=headers)).json()["data"]
    return headers, task


@pytest.mark.parametrize("path", ["/api/v1/tasks", "/api/v1/projects", "/api/v1/workspaces", "/internal/memberships"])
async def test_r21_without_the_gateways_word_everything_is_401(api, path):
    for headers in ({}, {"authorization": "Bearer x"}, {"x-taskloom-identity": "x"}, {"x-user-id": str(uuid7())}):
        assert (await api.get(path, headers=headers)).status_code == 401


@pytest.mark.parametrize(
    ("method", "body"), [("GET", None), ("PATCH", {"title": "b"}), ("PATCH", {"titel": "b"}), ("DELETE", None)]
)
async def test_a_stranger_gets_404_and_changes_nothing(api, owner, user, rows, method, body):
    headers, task = owner
    answer = await api.request(method, f"/api/v1/tasks/{task['id']}", json=body, headers=user())
    assert (answer.status_code, answer.json()["errors"][0]["code"]) == (404, "NOT_FOUND")
    assert (await api.get(f"/api/v1/tasks/{task['id']}", headers=headers)).json()["data"] == task
    assert await rows(LOG, id=task["id"]) == [("task.created.v1", 1)]


async def test_n4_a_guest_sees_what_it_has_a_role_in_and_changes_nothing_by_viewing(api, owner, test_gateway, rows):
    _, task = owner
    guest = uuid7()
    place = {"workspace": task["workspace_id"], "user": guest}
    await rows("INSERT INTO tasks.member VALUES (uuidv7(), :workspace, :user, 'guest', 1, 1, now())", **place)
    headers = test_gateway.headers(guest)
    path = f"/api/v1/tasks/{task['id']}"
    assert (await api.get(path, headers=headers)).status_code == 404
    assert (await api.get("/api/v1/tasks", headers=headers)).json()["data"] == []
    await rows(
        "INSERT INTO tasks.project_member VALUES (uuidv7(), :workspace, :project, :user, 'viewer', 1, now())",
        project=task["project_id"],
        **place,
    )
    assert (await api.get(path, headers=headers)).status_code == 200
    assert (await api.get(f"/internal/tasks/{task['id']}", headers=headers)).json()["can_edit"] is False
    body = {"title": "b", "project_id": task["project_id"]}
    refused = [
        await api.patch(path, json={"title": "b"}, headers=headers),
        await api.delete(path, headers=headers),
        await api.post("/api/v1/tasks", json=body, headers=headers),
    ]
    assert [answer.status_code for answer in refused] == [403, 403, 403]
    assert {answer.json()["errors"][0]["code"] for answer in refused} == {"FORBIDDEN"}
    assert await rows(LOG, id=task["id"]) == [("task.created.v1", 1)]


async def test_malformed_ids_are_404(api, user):
    for wrong in ("x", "0", "%00", "0199d3b2-7a52-7f0e-8f3a-1d1f6c0f5a1"):
        assert (await api.get(f"/api/v1/tasks/{wrong}", headers=user())).status_code == 404


async def test_an_empty_patch_and_an_equal_one_publish_nothing(api, owner, rows):
    headers, task = owner
    path = f"/api/v1/tasks/{task['id']}"
    for patch in ({}, {"title": "a"}, {"due": None, "status": "todo"}):
        answer = await api.patch(path, json=patch, headers=headers)
        assert (answer.status_code, answer.headers["etag"]) == (200, '"1"')
        assert answer.headers["x-cursor"]
    assert await rows(LOG, id=task["id"]) == [("task.created.v1", 1)]


async def test_preconditions(api, owner):
    headers, task = owner
    path = f"/api/v1/tasks/{task['id']}"
    cases = {
        '"2"': 412,
        '"0"': 412,
        "*": 200,
        '"1"': 412,
        "7": 400,
        'W/"1"': 400,
        '"x"': 400,
        '"99999999999999999999"': 412,
    }
    await api.patch(path, json={"title": "changed"}, headers=headers)
    cases['"2"'] = 200
    for tag, status in cases.items():
        answer = await api.patch(path, json={}, headers={**headers, "if-match": tag})
        assert answer.status_code == status, tag
    stale = await api.delete(path, headers={**headers, "if-match": '"1"'})
    assert [entry["field"] for entry in stale.json()["errors"]] == ["title"]


async def test_of_two_patches_for_one_version_one_wins(api, owner, rows):
    headers, task = owner
    path = f"/api/v1/tasks/{task['id']}"
    once = {**headers, "if-match": '"1"'}
    answers = await asyncio.gather(*(api.patch(path, json={"title": f"t{n}"}, headers=once) for n in range(8)))
    assert sorted(answer.status_code for answer in answers) == [200] + [412] * 7
    assert await rows(LOG, id=task["id"]) == [("task.created.v1", 1), ("task.updated.v1", 2)]


async def test_twenty_first_requests_make_one_personal_workspace(api, user, rows):
    headers = user()
    answers = await asyncio.gather(
        *(api.post("/api/v1/tasks", json={"title": str(n)}, headers=headers) for n in range(20))
    )
    assert [answer.status_code for answer in answers] == [201] * 20
    workspaces = {answer.json()["data"]["workspace_id"] for answer in answers}
    assert len(workspaces) == 1
    listed = (await api.get("/api/v1/workspaces", headers=headers)).json()["data"]
    assert [(one["id"], one["personal"], one["role"]) for one in listed] == [(workspaces.pop(), True, "owner")]
    projects = (await api.get("/api/v1/projects", headers=headers)).json()["data"]
    assert [(one["name"], one["is_inbox"]) for one in projects] == [("Inbox", True)]


async def test_the_log_is_gap_free_in_commit_order_under_parallel_writers(patient_api, owner, rows):
    headers, task = owner
    path = f"/api/v1/tasks/{task['id']}"
    good = [patient_api.post("/api/v1/tasks", json={"title": str(n)}, headers=headers) for n in range(40)]
    bad = [patient_api.patch(path, json={"title": "x"}, headers={**headers, "if-match": '"9"'}) for _ in range(10)]
    await asyncio.gather(*good, *bad)
    log = await rows(
        "SELECT seq, xmin::text::bigint FROM tasks.change WHERE workspace_id = :w ORDER BY seq", w=task["workspace_id"]
    )
    assert [seq for seq, _ in log] == list(range(1, len(log) + 1))
    assert len(log) == 3 + 1 + 40


async def test_a_cursor_names_all_workspaces_of_the_caller(api, user, rows, test_gateway):
    signer = CursorSigner("a secret of the tests, long enough")
    headers = user()
    first = await api.post("/api/v1/tasks", json={"title": "a"}, headers=headers)
    position = signer.read_position(first.headers["x-cursor"])
    workspace = first.json()["data"]["workspace_id"]
    assert {str(one): seq for one, seq in position.items()} == {workspace: 4}
    ahead = signer.position({one: seq + 1 for one, seq in position.items()})
    waiting = asyncio.create_task(api.get("/api/v1/tasks", headers={**headers, "x-min-cursor": ahead}))
    await api.post("/api/v1/tasks", json={"title": "b"}, headers=headers)
    assert (await waiting).json()["meta"]["total"] == 2
    beyond = signer.position({one: seq + 9 for one, seq in position.items()})
    late = await api.get("/api/v1/tasks", headers={**headers, "x-min-cursor": beyond})
    assert (late.status_code, late.json()["errors"][0]["code"]) == (503, "NOT_YET_CONSISTENT")


async def test_filters(api, owner):
    headers, task = owner
    await api.post("/api/v1/tasks", json={"title": "b", "status": "done", "priority": "high"}, headers=headers)
    await api.post("/api/v1/tasks", json={"title": "c", "status": "in_progress"}, headers=headers)
    cases = {
        "status=done": ["b"],
        "status=done&status=todo": ["b", "a"],
        "status=todo&priority=high": [],
        "status_category=in_progress&status_category=done": ["c", "b"],
        "status_category=todo&status=done": [],
        "status_category=cancelled": [],
        f"project_id={task['project_id']}": ["c", "b", "a"],
        f"workspace_id={uuid7()}": [],
    }
    for query, titles in cases.items():
        answer = (await api.get(f"/api/v1/tasks?{query}", headers=headers)).json()
        assert [one["title"] for one in answer["data"]] == titles, query
        assert answer["meta"]["total"] == len(titles)


@pytest.mark.parametrize("path", ["/api/v1/projects", "/api/v1/workspaces"])
async def test_a_page_beyond_the_last_is_empty_and_knows_the_total(api, user, path):
    headers = user()
    await api.post("/api/v1/tasks", json={"title": "a"}, headers=headers)
    answer = await api.get(f"{path}?page=7&per_page=5", headers=headers)
    assert (answer.status_code, answer.json()["data"], answer.json()["meta"]["total"]) == (200, [], 1)
    links = dict(reversed(link.split("; ")) for link in answer.headers["link"].split(", "))
    assert links == {f'rel="{name}"': f"<{path}?per_page=5&page=1>" for name in ("first", "last", "prev")}


async def test_lists_answer_304_until_something_changes(api, owner):
    headers, _ = owner
    tag = (await api.get("/api/v1/tasks", headers=headers)).headers["etag"]
    conditional = {**headers, "if-none-match": tag}
    assert (await api.get("/api/v1/tasks", headers=conditional)).status_code == 304
    await api.post("/api/v1/tasks", json={"title": "b"}, headers=headers)
    assert (await api.get("/api/v1/tasks", headers=conditional)).status_code == 200


async def test_r32_a_key_is_stored_with_its_effect_and_not_with_a_refusal(api, user, rows):
    headers = {**user(), "idempotency-key": "k"}
    refused = await api.post("/api/v1/tasks", json={"title": ""}, headers=headers)
    assert refused.status_code == 422
    made = await api.post("/api/v1/tasks", json={"title": "a"}, headers=headers)
    assert made.status_code == 201
    again = await api.post("/api/v1/tasks", json={"title": "a"}, headers=headers)
    assert again.content == made.content
    assert again.headers["etag"] == made.headers["etag"]
    assert again.headers["x-cursor"] == made.headers["x-cursor"]
    for wrong in ("", "ä", "x" * 256):
        answer = await api.post(
            "/api/v1/tasks", json={"title": "a"}, headers={**headers, "idempotency-key": wrong.encode("utf-8")}
        )
        assert (answer.status_code, answer.json()["errors"][0]["code"]) == (422, "IDEMPOTENCY_KEY_INVALID")


async def test_r32_an_answer_is_replayed_only_while_its_workspace_is_seen(api, user, rows):
    """Whoever has been removed sees no task again, not even the one that was made; what shows nothing is repeated."""
    caller = user()
    keyed = [{**caller, "idempotency-key": f"key-{n}"} for n in range(4)]
    minimal = {**keyed[3], "prefer": "return=minimal"}
    made = await api.post("/api/v1/tasks", json={"title": "a"}, headers=keyed[0])
    other = await api.post("/api/v1/tasks", json={"title": "b"}, headers=caller)
    path, other_path = made.headers["location"], other.headers["location"]
    requests = [
        lambda: api.post("/api/v1/tasks", json={"title": "a"}, headers=keyed[0]),
        lambda: api.patch(path, json={"title": "c"}, headers=keyed[1]),
        lambda: api.delete(path, headers=keyed[2]),
        lambda: api.delete(other_path, headers=minimal),
    ]
    firsts = [await request() for request in requests]
    again = [await request() for request in requests]
    assert [answer.status_code for answer in again] == [201, 200, 200, 204]
    assert [answer.content for answer in again] == [answer.content for answer in firsts]
    assert {answer.headers["idempotency-replayed"] for answer in again} == {"true"}
    workspace = made.json()["data"]["workspace_id"]
    await rows("DELETE FROM tasks.member WHERE workspace_id = :id", id=workspace)
    changes = "SELECT count(*) FROM tasks.change WHERE workspace_id = :id"
    before = await rows(changes, id=workspace)
    left = [await request() for request in requests]
    assert [answer.status_code for answer in left] == [404, 404, 404, 204]
    assert {answer.json()["errors"][0]["code"] for answer in left[:3]} == {"NOT_FOUND"}
    assert await rows(changes, id=workspace) == before


async def test_the_number_of_statements_does_not_grow_with_the_rows(api, owner, database):
    headers, _ = owner
    # By the shortcut for plain lists the same statements go past what is listened to here.
    by_route, statements = "/api/v1/tasks?archived=false", []
    event.listen(database.reader.sync_engine, "before_cursor_execute", lambda *a: statements.append(a[2]))
    await api.get(f"{by_route}&per_page=100", headers=headers)
    few = len(statements)
    for n in range(30):
        await api.post("/api/v1/tasks", json={"title": str(n)}, headers=headers)
    statements.clear()
    answer = await api.get(f"{by_route}&per_page=100", headers=headers)
    assert len(answer.json()["data"]) == 31
    # All that there is is on the page, so nothing has to be counted.
    assert (few, len(statements)) == (1, 1)
    statements.clear()
    await api.get(f"{by_route}&per_page=5", headers=headers)
    assert len(statements) == 1


async def test_r64_a_database_that_is_away_is_503_and_not_500(settings, user):
    away = DatabaseSettings(url=SecretStr("postgresql://nobody@127.0.0.1:1/none"))
    database = open_database(away, application_name="away")
    app = create_app(replace(settings, database=away), database=database, health=Health())
    async with httpx2.AsyncClient(transport=httpx2.ASGITransport(app=app), base_url="http://tasks") as client:
        for answer in (
            await client.get("/api/v1/tasks", headers=user()),
            await client.post("/api/v1/tasks", json={"title": "a"}, headers=user()),
        ):
            assert (answer.status_code, answer.json()["errors"][0]["code"]) == (503, "SERVICE_UNAVAILABLE")
            assert answer.headers["retry-after"] == "1"
    await database.close()


@pytest.mark.parametrize(
    "due",
    ["2026-12-01", {"at": "2026-12-01T09:00:00Z", "timezone": "Europe/Berlin"}, {"local": "2026-12-01T09:00:00"}],
)
async def test_g1_what_a_read_gives_can_be_sent_back(api, user, due):
    headers = user()
    made = (await api.post("/api/v1/tasks", json={"title": "a", "due": due}, headers=headers)).json()["data"]
    path = f"/api/v1/tasks/{made['id']}"
    same = await api.patch(path, json={"due": made["due"]}, headers=headers)
    assert (same.status_code, same.json()["data"]["version"]) == (200, 1)
    wrong = await api.patch(path, json={"due": {**made["due"], "kind": "never"}}, headers=headers)
    assert (wrong.status_code, wrong.json()["errors"][0]["code"]) == (422, "INVALID_DUE")
