"""Writing and reading in one round trip (J5), and snapshots (J4)."""

import asyncio
from datetime import timedelta
from uuid import UUID

import pytest
from chassis.clock import utcnow
from chassis.ids import uuid7

ALL = ["workspace", "member", "project", "status", "category", "label", "task", "comment"]


def create(team, title, **more):
    return {"op": "create", "data": {"title": title, "project_id": str(team.project_id)}, **more}


async def snapshot(roster, who, *, limit=500, **wanted):
    """Take a whole snapshot; return its items, and its position."""
    page = await roster.ok(who, "POST", "/sync/snapshot", {**wanted, "limit": limit})
    items, cursor = page["items"], page["cursor"]
    while page["next_page"]:
        body = {**wanted, "limit": limit, "cursor": page["next_page"]}
        page = await roster.ok(who, "POST", "/sync/snapshot", body)
        assert page["cursor"] == cursor
        items += page["items"]
    return items, cursor


async def test_j5_operations_are_done_and_what_has_changed_is_told_with_them(roster, feed):
    task = await roster.task(title="a")
    cursor = (await roster.ok("member", "GET", "/changes"))["next_cursor"]
    await roster.ok("owner", "PATCH", f"/tasks/{task['id']}", {"title": "b"})
    operations = [
        create(roster, "trip", temp_id="trip"),
        {"op": "update", "id": "trip", "patch": {"priority": "high"}},
        {"op": "update", "id": str(uuid7()), "patch": {"title": "none"}},
        {"op": "complete", "id": task["id"]},
    ]
    answer = await roster.ask("member", "POST", "/sync", {"cursor": cursor, "operations": operations})
    data = answer.json()["data"]
    assert list(data) == ["changes", "next_cursor", "has_more", "results", "temp_ids"]
    assert answer.status_code == 200
    assert [(one["index"], one["status"]) for one in data["results"]] == [(0, 201), (1, 200), (2, 404), (3, 200)]
    made = data["temp_ids"]["trip"]
    assert data["results"][0]["id"] == made
    assert [(one["type"], one["subject"]) for one in data["changes"] if one["type"].startswith("task.")] == [
        ("task.updated", task["id"]),
        ("task.created", made),
        ("task.updated", made),
        ("task.updated", task["id"]),
    ]
    assert (data["has_more"], data["next_cursor"]) == (False, answer.headers["x-cursor"])
    assert await feed.all("member", cursor) == data["changes"]
    assert await feed.all("member", data["next_cursor"]) == []


async def test_j5_all_is_200_and_without_a_cursor_one_has_ones_own_changes(roster, feed):
    nothing = await roster.ask("member", "POST", "/sync", {"operations": [{"op": "delete", "id": str(uuid7())}]})
    assert (nothing.status_code, nothing.json()["data"]["changes"]) == (200, [])
    made = await roster.ok("member", "POST", "/sync", {"operations": [create(roster, "a")]})
    assert [one["type"] for one in made["changes"]] == ["task.created"]
    empty = await roster.ok("member", "POST", "/sync", {})
    assert (empty["results"], empty["changes"], empty["has_more"]) == ([], [], False)
    assigned = create(roster, "b")
    assigned["data"]["assignees"] = [roster.id("owner")]
    few = await roster.ok("member", "POST", "/sync", {"operations": [assigned], "limit": 1})
    assert ([one["type"] for one in few["changes"]], few["has_more"]) == (["task.created"], True)
    assert [one["type"] for one in await feed.all("member", few["next_cursor"])] == ["watcher.added"]
    filtered = await roster.ok("member", "POST", "/sync", {"operations": [assigned], "types": ["watcher.*"]})
    assert [one["type"] for one in filtered["changes"]] == ["watcher.added"]


async def test_r32_a_repeated_sync_does_nothing_twice(roster, signer):
    body = {"operations": [create(roster, "once")], "cursor": signer.position({roster.workspace_id: 0})}
    first = await roster.ask("member", "POST", "/sync", body, **{"idempotency-key": "sync-1"})
    again = await roster.ask("member", "POST", "/sync", body, **{"idempotency-key": "sync-1"})
    assert (again.content, again.headers["idempotency-replayed"]) == (first.content, "true")
    [task] = await roster.ok("member", "GET", f"/tasks?project_id={roster.project_id}")
    other = {**body, "operations": []}
    refused = await roster.ask("member", "POST", "/sync", other, **{"idempotency-key": "sync-1"})
    assert (refused.status_code, refused.json()["errors"][0]["code"]) == (422, "IDEMPOTENCY_KEY_REUSED")
    # Who does not see any more what the answer tells of is not told again.
    await roster.ok("owner", "PATCH", f"/projects/{roster.project_id}", {"visibility": "private"})
    hidden = await roster.ask("member", "POST", "/sync", body, **{"idempotency-key": "sync-1"})
    assert (hidden.status_code, task["id"] in hidden.text) == (404, False)


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        ({"cursor": "x"}, 400, "INVALID_CURSOR"),
        ({"cursor": ""}, 400, "INVALID_CURSOR"),
        ({"cursor": "A" * 16_385}, 422, "TOO_LONG"),
        ({"types": ["task.update"]}, 422, "UNKNOWN_EVENT"),
        ({"types": ["task.*"] * 51}, 422, "TOO_MANY"),
        ({"limit": 0}, 422, "TOO_SMALL"),
        ({"limit": 501}, 422, "TOO_LARGE"),
        ({"mode": "atomic"}, 422, "UNKNOWN_FIELD"),
        ({"cursor": 7}, 422, "WRONG_TYPE"),
    ],
)
async def test_j5_what_is_wrong_as_a_whole_is_refused_before_anything_is_done(roster, rows, body, status, code):
    count = "SELECT count(*) FROM tasks.task WHERE workspace_id = :w"
    answer = await roster.ask("owner", "POST", "/sync", {"operations": [create(roster, "no")], **body})
    assert (answer.status_code, answer.json()["errors"][0]["code"]) == (status, code)
    assert await rows(count, w=roster.workspace_id) == [(0,)]


async def test_j5_more_operations_than_one_transaction_takes_are_refused(roster):
    answer = await roster.ask("owner", "POST", "/sync", {"operations": [create(roster, "a")] * 201})
    assert (answer.status_code, answer.json()["errors"][0]["code"]) == (422, "TOO_MANY")


async def test_j5_an_expired_cursor_does_nothing(roster, rows):
    task = await roster.task()
    cursor = (await roster.ok("member", "GET", "/changes"))["next_cursor"]
    await roster.ok("owner", "PATCH", f"/tasks/{task['id']}", {"title": "b"})
    long_ago = utcnow() - timedelta(days=31)
    await rows("UPDATE tasks.change SET occurred_at = :at WHERE workspace_id = :w", at=long_ago, w=roster.workspace_id)
    body = {"cursor": cursor, "operations": [{"op": "complete", "id": task["id"]}]}
    answer = await roster.ask("member", "POST", "/sync", body)
    assert (answer.status_code, answer.json()["errors"][0]["code"]) == (410, "CURSOR_EXPIRED")
    assert (await roster.ok("member", "GET", f"/tasks/{task['id']}"))["status_category"] == "todo"


async def test_a8_each_operation_needs_the_scope_of_its_request(roster, api):
    reads = roster.gateway.token_headers(roster.ids["owner"], "tasks:read")
    answer = await api.post("/api/v1/sync", json={"operations": [create(roster, "no")]}, headers=reads)
    [result] = answer.json()["data"]["results"]
    assert (answer.status_code, result["status"], result["error"]["code"]) == (200, 403, "INSUFFICIENT_SCOPE")
    writes = roster.gateway.token_headers(roster.ids["owner"], "tasks:write")
    refused = await api.post("/api/v1/sync", json={"operations": [create(roster, "no")]}, headers=writes)
    assert (refused.status_code, refused.json()["errors"][0]["code"]) == (403, "INSUFFICIENT_SCOPE")


async def test_j5_twenty_clients_at_once_miss_nothing(roster, patient_api, feed):
    """Each goes on from what it was answered, while the others do the same."""
    start = (await roster.ok("owner", "GET", "/changes"))["next_cursor"]
    people = ("owner", "admin", "member", "colleague")

    async def client(number):
        headers, cursor, seen = roster.gateway.headers(roster.ids[people[number % 4]]), start, []
        for turn in range(3):
            body = {"cursor": cursor, "operations": [create(roster, f"{number}-{turn}")], "limit": 7}
            answer = await patient_api.post("/api/v1/sync", json=body, headers=headers)
            assert answer.status_code == 200, answer.text
            data = answer.json()["data"]
            assert [one["status"] for one in data["results"]] == [201]
            seen += data["changes"]
            cursor = data["next_cursor"]
        return seen + await feed.all(people[number % 4], cursor)

    found = await asyncio.gather(*map(client, range(20)))
    whole = await feed.all("owner", start)
    assert len(whole) == 60
    ids = [one["event_id"] for one in whole]
    for seen in found:
        # What the others did after its last look, it reads now.
        assert [one["event_id"] for one in seen] == ids[: len(seen)]
        assert {f"{n}-{t}" for n in range(20) for t in range(3)} >= {
            one["data"]["title"] for one in seen if one["type"] == "task.created"
        }
    assert max(map(len, found)) == 60


async def test_j4_a_snapshot_has_what_the_api_lists_whatever_its_pages_are(roster, feed):
    place = {"workspace_id": str(roster.workspace_id)}
    hidden = await roster.ok("owner", "POST", "/projects", {"name": "Q", **place, "visibility": "private"})
    for name in ("labels", "categories"):
        await roster.ok("owner", "POST", f"/{name}", {"name": "n", **place})
        await roster.ok("member", "POST", f"/{name}", {"name": "mine"})
    for number in range(5):
        await roster.task(title=f"{number}")
    secret = await roster.task(title="secret", project_id=hidden["id"])
    trashed = await roster.task(title="gone")
    await roster.ok("owner", "DELETE", f"/tasks/{trashed['id']}")
    said = await roster.ok("owner", "POST", f"/tasks/{secret['id']}/comments", {"body": "secret words"})
    task = await roster.task(title="talked of")
    comment = await roster.ok("owner", "POST", f"/tasks/{task['id']}/comments", {"body": "words"})
    for who in ("owner", "member", "viewer", "guest", "stranger"):
        items, cursor = await snapshot(roster, who, types=ALL)
        order = [ALL.index(one["type"]) for one in items]
        assert order == sorted(order)
        assert await feed.all(who, cursor) == []
        for limit in (1, 4):
            assert (await snapshot(roster, who, types=ALL, limit=limit))[0] == items
        of = {kind: [one["data"] for one in items if one["type"] == kind] for kind in ALL}
        listed = await roster.ok(who, "GET", "/tasks?per_page=100&archived=true")
        assert {one["id"]: one for one in of["task"]} == {one["id"]: one for one in listed}
        projects = await roster.ok(who, "GET", "/projects?per_page=100")
        assert [{**one, "role": None} for one in of["project"]] == [{**one, "role": None} for one in projects]
        statuses = [await roster.ok(who, "GET", f"/projects/{one['id']}/statuses") for one in projects]
        assert {one["id"] for one in of["status"]} == {one["id"] for many in statuses for one in many}
        for kind, path in (("label", "labels"), ("category", "categories")):
            names = await roster.ok(who, "GET", f"/{path}?per_page=100")
            assert {one["id"]: one for one in of[kind]} == {one["id"]: one for one in names}
        sees = who in ("owner", "member", "viewer")
        words = {comment["id"]} | ({said["id"]} if who == "owner" else set())
        assert {one["id"] for one in of["comment"]} == (words if sees else set())
        workspaces = await roster.ok(who, "GET", "/workspaces")
        assert {one["id"] for one in of["workspace"]} == {one["id"] for one in workspaces}
        people = {one["user_id"] for one in of["member"]}
        everybody = {roster.id(name) for name in roster.ids if name != "stranger"}
        assert people == (everybody if who in ("owner", "member") else everybody & {roster.id(who)})
    usual, _ = await snapshot(roster, "owner")
    assert {one["type"] for one in usual} == set(ALL) - {"comment"}
    one, _ = await snapshot(roster, "owner", project_id=hidden["id"], types=ALL)
    assert {item["data"].get("project_id", hidden["id"]) for item in one if item["type"] != "comment"} == {hidden["id"]}
    assert {item["type"] for item in one} == {"project", "status", "task", "comment"}
    assert (await snapshot(roster, "member", project_id=hidden["id"]))[0] == []
    assert (await snapshot(roster, "owner", workspace_id=str(uuid7())))[0] == []


async def test_j4_a_task_that_is_shared_is_in_the_snapshot_of_its_project(roster):
    task = await roster.task()
    await roster.task()
    await roster.ok("owner", "PUT", f"/tasks/{task['id']}/shares/{roster.id('guest')}", {"role": "viewer"})
    items, _ = await snapshot(roster, "guest", project_id=str(roster.project_id))
    assert [(one["type"], one["data"]["id"]) for one in items] == [("task", task["id"])]


async def test_j4_a_snapshot_while_others_write_and_the_feed_from_its_cursor_are_the_truth(roster, feed):
    tasks = [await roster.task(title=f"{number}") for number in range(30)]
    page = await roster.ok("member", "POST", "/sync/snapshot", {"types": ["task"], "limit": 4})
    items, cursor = page["items"], page["cursor"]
    number = 0
    while page["next_page"]:
        changes = [tasks[number], tasks[-1 - number]]
        await roster.ok("owner", "PATCH", f"/tasks/{changes[0]['id']}", {"title": "changed"})
        await roster.ok("owner", "DELETE", f"/tasks/{changes[1]['id']}")
        await roster.task(title=f"new {number}")
        body = {"types": ["task"], "limit": 4, "cursor": page["next_page"]}
        page = await roster.ok("member", "POST", "/sync/snapshot", body)
        items += page["items"]
        number += 1
    assert number >= 6
    copy = {one["data"]["id"]: one["data"] for one in items}
    for one in await feed.all("member", cursor):
        if not one["type"].startswith("task."):
            continue
        if "removed" in one:
            copy.pop(one["subject"], None)
        elif copy.get(one["subject"], {"version": 0})["version"] < one["version"]:
            copy[one["subject"]] = one["data"]
    listed = await roster.ok("member", "GET", "/tasks?per_page=100")
    assert copy == {one["id"]: one for one in listed}


async def test_j4_pages_of_other_snapshots_are_refused(roster, signer):
    for _ in range(3):
        await roster.task()
    page = (await roster.ok("owner", "POST", "/sync/snapshot", {"types": ["task"], "limit": 1}))["next_page"]
    key, position = page.split(".")
    newer = signer.position({roster.workspace_id: 900})
    wrong = [
        ("owner", {"types": ["project"], "cursor": page}, "CURSOR_MISMATCH"),
        ("member", {"types": ["task"], "cursor": page}, "CURSOR_MISMATCH"),
        ("owner", {"types": ["task"], "cursor": key}, "INVALID_CURSOR"),
        ("owner", {"types": ["task"], "cursor": position}, "INVALID_CURSOR"),
        ("owner", {"types": ["task"], "cursor": f"{key}.x"}, "INVALID_CURSOR"),
        ("owner", {"types": ["task"], "cursor": f"{key}.{signer.position({})}"}, "CURSOR_MISMATCH"),
        ("owner", {"types": ["task"], "cursor": f"x.{position}"}, "INVALID_CURSOR"),
    ]
    for who, body, code in wrong:
        answer = await roster.ask(who, "POST", "/sync/snapshot", body)
        assert (answer.status_code, answer.json()["errors"][0]["code"]) == (400, code), body
    ahead = await roster.ask("owner", "POST", "/sync/snapshot", {"types": ["task"], "cursor": f"{key}.{newer}"})
    assert (ahead.status_code, ahead.json()["errors"][0]["code"]) == (503, "NOT_YET_CONSISTENT")
    for body in ({"types": []}, {"types": ["star"]}, {"limit": 0}, {"limit": 501}, {"zz": 1}, {"workspace_id": "x"}):
        assert (await roster.ask("owner", "POST", "/sync/snapshot", body)).status_code == 422


async def test_a8_a_restricted_token_takes_a_snapshot_of_its_projects_alone(roster, api):
    place = {"workspace_id": str(roster.workspace_id)}
    project = await roster.ok("owner", "POST", "/projects", {"name": "Q", **place})
    inside, _ = await roster.task(project_id=project["id"]), await roster.task()
    token = roster.gateway.token_headers(roster.ids["owner"], "tasks:read", project_ids=[UUID(project["id"])])
    answer = await api.post("/api/v1/sync/snapshot", json={"types": ALL}, headers=token)
    found = [(one["type"], one["data"]["id"]) for one in answer.json()["data"]["items"]]
    assert [one for one in found if one[0] in ("project", "task")] == [
        ("project", project["id"]),
        ("task", inside["id"]),
    ]
    assert {one["data"]["user_id"] for one in answer.json()["data"]["items"] if one["type"] == "member"} == {
        roster.id("owner")
    }
