"""E1 to E5, E7: many operations in one request, all or each for itself."""

import pytest
from chassis.ids import uuid7

BULK = "/tasks/bulk"
LEFT = "SELECT count(*) FROM tasks.idempotency_key WHERE key = :key"


@pytest.fixture
def bulk(roster):
    """Sends operations; returns the answer."""

    async def send(*operations, who="owner", mode="atomic", dry_run=False, **headers):
        body = {"mode": mode, "dry_run": dry_run, "operations": list(operations)}
        return await roster.ask(who, "POST", BULK, body, **headers)

    return send


@pytest.fixture
def done(bulk):
    """Sends operations that all have to be done; returns the items."""

    async def send(*operations, **more):
        answer = await bulk(*operations, **more)
        assert answer.status_code == 200, answer.text
        return answer.json()["data"]

    return send


def new(roster, **fields):
    more = {name: fields.pop(name) for name in ("temp_id", "depends_on") if name in fields}
    return {"op": "create", **more, "data": {"title": "a", "project_id": str(roster.project_id), **fields}}


def patch(task, depends_on=(), if_version=None, **fields):
    return {"op": "update", "id": task, "patch": fields, "depends_on": list(depends_on), "if_version": if_version}


def told(answer):
    return answer.status_code, [(one["field"], one["code"], one.get("index")) for one in answer.json()["errors"]]


def outcomes(items):
    return [(one["status"], one["version"], one["error"] and one["error"]["code"]) for one in items]


async def get(roster, task):
    return await roster.ok("owner", "GET", f"/tasks/{task}")


async def types(roster, count=0):
    return [kind for kind, *_ in await roster.log_after(count)]


async def test_e1_two_hundred_full_tasks_are_made_at_once(roster, done, rows):
    label = await roster.ok("owner", "POST", "/labels", {"name": "l", "workspace_id": str(roster.workspace_id)})
    fields = {
        "description": "x" * 1000,
        "priority": "high",
        "labels": [label["id"]],
        "start": "2026-12-01",
        "due": {"at": "2026-12-02T09:00:00Z", "timezone": "Europe/Berlin"},
        "deadline": "2026-12-03",
        "estimate_minutes": 90,
        "completion_policy": "all",
        "reopen_on_assign": True,
        "custom": {"a": [1, 2, 3], "b": {"c": None}},
        "assignees": roster.several("owner", "member", "colleague"),
        "status": "in_progress",
        "external_source": "x",
    }
    items = await done(*(new(roster, title=f"t{n}", external_id=str(n), **fields) for n in range(200)))
    assert [(one["index"], one["op"], one["status"], one["version"]) for one in items] == [
        (n, "create", 201, 1) for n in range(200)
    ]
    found = await rows(
        "SELECT title, number FROM tasks.task WHERE project_id = :p ORDER BY number", p=roster.project_id
    )
    assert found == [(f"t{n}", n + 1) for n in range(200)]
    kinds = await types(roster)
    assert (kinds.count("task.created.v1"), kinds.count("watcher.added.v1")) == (200, 400)
    shown = await get(roster, items[199]["id"])
    assert {name: shown[name] for name in ("title", "assignees", "custom", "priority")} == {
        "title": "t199",
        **{name: fields[name] for name in ("assignees", "custom", "priority")},
    }


async def test_e2_each_operation_does_what_its_single_request_does(roster, done):
    place = {"workspace_id": str(roster.workspace_id)}
    there = await roster.ok("owner", "POST", "/projects", {"name": "Q", **place})
    label = await roster.ok("owner", "POST", "/labels", {"name": "l", **place})
    own = await roster.ok("owner", "POST", "/labels", {"name": "o", "personal": True})
    task, people = await roster.task(), roster.several("member", "colleague")
    count = len(await roster.log())
    items = await done(
        patch(task["id"], title="b", custom={"a": 1}),
        {"op": "update", "id": task["key"].lower(), "data": {"custom": {"b": 2}}},
        {"op": "assign", "id": task["id"], "user_ids": people},
        {"op": "assign", "id": task["id"], "user_ids": people[:1]},
        {"op": "unassign", "id": task["id"], "user_ids": [people[0], roster.id("owner")]},
        {"op": "add_label", "id": task["id"], "label_id": label["id"]},
        {"op": "add_label", "id": task["id"], "label_id": own["id"]},
        {"op": "complete", "id": task["id"]},
        {"op": "complete", "id": task["id"]},
        {"op": "reopen", "id": task["id"]},
        {"op": "reopen", "id": task["id"]},
        {"op": "remove_label", "id": task["id"], "label_id": label["id"]},
        {"op": "remove_label", "id": task["id"], "label_id": own["id"]},
        {"op": "move", "id": task["id"], "project_id": there["id"], "status_map": {"todo": "in_progress"}},
        {"op": "delete", "id": task["id"]},
        {"op": "restore", "id": task["id"]},
        {"op": "update", "id": task["id"], "patch": {}},
    )
    assert [one["version"] for one in items] == [2, 3, 4, 4, 5, 6, 6, 7, 7, 8, 8, 9, 9, 10, 11, 12, 12]
    assert [one["status"] for one in items] == [200, 200, 201, *[200] * 14]
    shown = await get(roster, task["id"])
    assert {name: shown[name] for name in ("title", "custom", "assignees", "labels", "status", "project_id")} == {
        "title": "b",
        "custom": {"a": 1, "b": 2},
        "assignees": people[1:],
        "labels": [],
        "status": "in_progress",
        "project_id": there["id"],
    }
    assert [kind.removesuffix(".v1") for kind in await types(roster, count) if not kind.startswith("watcher")] == [
        *["task.updated"] * 5,
        "personal_label.added",
        *["task.updated"] * 3,
        "personal_label.removed",
        "task.moved",
        "task.deleted",
        "task.restored",
    ]


async def test_e4_temporary_ids_name_what_is_made_before(roster, bulk):
    answer = await bulk(
        new(roster, temp_id="t1", title="trip"),
        new(roster, temp_id="t2", parent_id="t1", project_id=None),
        patch("t1", priority="high"),
        {"op": "complete", "id": "t2"},
        new(roster, temp_id="t3"),
        patch("t3", parent_id="t2"),
    )
    body = answer.json()
    ids = [one["id"] for one in body["data"]]
    assert body["meta"]["temp_ids"] == {"t1": ids[0], "t2": ids[1], "t3": ids[4]}
    assert [one["temp_id"] for one in body["data"]] == ["t1", "t2", None, None, "t3", None]
    assert ids[2:4] == ids[:2]
    # The parent counts its child when that is made, and when it is completed.
    made, changed = (201, 1, None), (200, 2, None)
    assert outcomes(body["data"]) == [made, made, (200, 3, None), changed, made, changed]
    shown = await get(roster, ids[0])
    assert (shown["progress"], shown["version"], shown["priority"]) == ({"done": 1, "total": 1}, 4, "high")
    assert (await get(roster, ids[4]))["parent_id"] == ids[1]


async def test_e4_a_parent_is_named_by_its_key_too(roster, done):
    parent = await roster.task()
    [made, changed] = await done(new(roster, temp_id="a", parent_id=parent["key"]), patch("a", parent_id=None))
    assert (made["version"], changed["version"]) == (1, 2)
    [_] = await done(patch(made["id"], parent_id=parent["key"].lower()))
    assert (await get(roster, made["id"]))["parent_id"] == parent["id"]


async def test_e4_names_that_no_operation_before_has_are_told_before_anything_runs(roster, bulk):
    task = await roster.task()
    count = len(await roster.log())
    operations = [
        patch(task["id"], title="b"),
        new(roster, temp_id="t1", parent_id="t2"),
        new(roster, temp_id="t2", depends_on=[2, 7, 0]),
        new(roster, temp_id="t1"),
        {"op": "complete", "id": "nobody"},
        patch("t1", parent_id="nobody", depends_on=[5]),
    ]
    found = [
        ("operations.1.data.parent_id", "UNKNOWN_TEMP_ID", 1),
        ("operations.2.depends_on.0", "UNKNOWN_DEPENDENCY", 2),
        ("operations.2.depends_on.1", "UNKNOWN_DEPENDENCY", 2),
        ("operations.3.temp_id", "DUPLICATE_TEMP_ID", 3),
        ("operations.4.id", "UNKNOWN_TEMP_ID", 4),
        ("operations.5.patch.parent_id", "UNKNOWN_TEMP_ID", 5),
        ("operations.5.depends_on.0", "UNKNOWN_DEPENDENCY", 5),
    ]
    for mode in ("atomic", "partial"):
        assert told(await bulk(*operations, mode=mode)) == (422, found)
    assert await roster.log_after(count) == []


async def test_e3_of_all_or_nothing_the_first_refusal_is_the_answer(roster, bulk):
    task, other = await roster.task(), await roster.task()
    before = len(await roster.log()), await get(roster, task["id"])
    first = [patch(task["id"], title="b"), new(roster)]
    refused = {
        "operations.2.patch.status": (patch(other["id"], status="no"), 422, "STATUS_NOT_FOUND"),
        "operations.2.data.parent_id": (new(roster, parent_id=str(uuid7())), 422, "PARENT_NOT_FOUND"),
        "operations.2.user_ids.1": (
            {"op": "assign", "id": other["id"], "user_ids": roster.several("member", "stranger")},
            422,
            "ASSIGNEE_NO_ACCESS",
        ),
        "operations.2.project_id": (
            {"op": "move", "id": other["id"], "project_id": str(uuid7())},
            422,
            "PROJECT_NOT_FOUND",
        ),
    }
    for field, (operation, status, code) in refused.items():
        assert told(await bulk(*first, operation, patch(task["id"], status="no"))) == (status, [(field, code, 2)])
    answer = await bulk(*first, patch(task["id"], title="c", if_version=1))
    assert told(answer) == (412, [("title", "VERSION_CONFLICT", 2)])
    assert (answer.json()["data"]["current"]["version"], answer.json()["data"]["current"]["title"]) == (2, "b")
    assert told(await bulk(*first, {"op": "delete", "id": str(uuid7())})) == (404, [(None, "NOT_FOUND", 2)])
    assert (len(await roster.log()), await get(roster, task["id"])) == before


async def test_e3_each_for_itself_what_fails_leaves_nothing(roster, bulk):
    task, other, third = [await roster.task() for _ in range(3)]
    count = len(await roster.log())
    answer = await bulk(
        patch(task["id"], title="b"),
        # Refused after the row was changed.
        patch(other["id"], title="b", assignees=roster.several("member", "stranger")),
        new(roster, temp_id="gone", parent_id=third["id"], assignees=roster.several("stranger")),
        patch(third["id"], title="b", if_version=7),
        patch(third["id"], title="c", if_version=1),
        patch("gone", title="c"),
        patch(task["id"], title="d", depends_on=[0, 4]),
        patch(task["id"], title="e", depends_on=[1]),
        patch(task["id"], title="f", depends_on=[7]),
        mode="partial",
    )
    body = answer.json()
    assert answer.status_code == 207
    assert outcomes(body["data"]) == [
        (200, 2, None),
        (422, None, "ASSIGNEE_NO_ACCESS"),
        (422, None, "ASSIGNEE_NO_ACCESS"),
        (412, None, "VERSION_CONFLICT"),
        (200, 2, None),
        (424, None, "DEPENDENCY_FAILED"),
        (200, 3, None),
        (424, None, "DEPENDENCY_FAILED"),
        (424, None, "DEPENDENCY_FAILED"),
    ]
    assert body["data"][1]["error"] == {
        "code": "ASSIGNEE_NO_ACCESS",
        "message": body["data"][1]["error"]["message"],
        "field": "operations.1.patch.assignees.1",
        "errors": [{name: body["data"][1]["error"][name] for name in ("field", "code", "message")} | {"index": 1}],
        "data": None,
    }
    assert body["data"][3]["error"]["data"]["current"]["version"] == 1
    assert {name: body["meta"][name] for name in ("mode", "total", "succeeded", "failed", "temp_ids")} == {
        "mode": "partial",
        "total": 9,
        "succeeded": 3,
        "failed": 6,
        "temp_ids": {},
    }
    assert await types(roster, count) == ["task.updated.v1"] * 3
    assert [(await get(roster, one["id"]))["title"] for one in (task, other, third)] == ["d", "a", "c"]
    assert (await get(roster, third["id"]))["progress"]["total"] == 0
    answer = await bulk(patch(str(uuid7()), title="b"), patch(task["id"], title="b", if_version=1), mode="partial")
    assert told(answer) == (422, [(None, "NOTHING_DONE", None)])
    assert [one["status"] for one in answer.json()["data"]] == [404, 412]
    assert answer.json()["meta"]["failed"] == 2


async def test_e2_a_workspace_may_want_a_version_of_each(roster, bulk):
    task = await roster.task()
    path = f"/workspaces/{roster.workspace_id}"
    await roster.ok("owner", "PATCH", path, {"require_if_match": True}, **{"if-match": "*"})
    assert told(await bulk(patch(task["id"], title="b"))) == (428, [(None, "IF_MATCH_REQUIRED", 0)])
    answer = await bulk(patch(task["id"], title="b", if_version=1), {"op": "delete", "id": task["id"], "if_version": 2})
    assert outcomes(answer.json()["data"]) == [(200, 2, None), (200, 3, None)]


async def test_e5_a_dry_run_shows_what_would_change_and_keeps_nothing(roster, bulk, rows):
    task = await roster.task()
    count, key = len(await roster.log()), str(uuid7())
    operations = [
        new(roster, temp_id="t1", title="trip"),
        patch("t1", priority="high"),
        patch(task["id"], title="b", parent_id="t1"),
        {"op": "delete", "id": task["id"]},
    ]
    answer = await bulk(*operations, dry_run=True, **{"idempotency-key": key})
    real = await bulk(*operations[:1])
    dry = answer.json()
    assert (answer.status_code, dry["meta"]["dry_run"], dry["meta"]["succeeded"]) == (200, True, 4)
    assert [(one["status"], one["version"]) for one in dry["data"]] == [(201, 1), (200, 2), (200, 2), (200, 3)]
    changes = [{one["field"]: (one["old"], one["new"]) for one in item["changes"]} for item in dry["data"]]
    assert {"title": (None, "trip")}.items() <= changes[0].items()
    assert changes[1] == {"priority": ("none", "high")}
    assert changes[2] == {"title": ("a", "b"), "parent_id": (None, dry["meta"]["temp_ids"]["t1"])}
    assert changes[3].keys() == {"deleted_at"}
    assert "changes" not in real.json()["data"][0]
    # The number was not used up, and nothing was told but what came afterwards.
    made = await get(roster, real.json()["data"][0]["id"])
    assert int(made["key"].partition("-")[2]) == int(task["key"].partition("-")[2]) + 1
    assert await types(roster, count) == ["task.created.v1"]
    assert await rows(LEFT, key=key) == [(0,)]
    assert await get(roster, task["id"]) == task
    mixed = await bulk(operations[1], mode="partial", dry_run=True)
    assert told(mixed)[1][0][1] == "UNKNOWN_TEMP_ID"
    mixed = await bulk(operations[0], patch(str(uuid7())), mode="partial", dry_run=True)
    assert (mixed.status_code, len(await roster.log())) == (207, count + 1)


async def test_e7_a_repeated_batch_gets_the_first_answer(roster, bulk):
    task = await roster.task()
    operations = [patch(task["id"], title="b"), patch(str(uuid7()), title="b"), new(roster, temp_id="t1")]
    key = {"idempotency-key": str(uuid7())}
    first, again = [await bulk(*operations, mode="partial", **key) for _ in range(2)]
    assert (first.status_code, again.status_code) == (207, 207)
    assert (again.content, again.headers["idempotency-replayed"]) == (first.content, "true")
    assert again.headers["x-cursor"] == first.headers["x-cursor"]
    assert not [name for name in again.headers if name.startswith("x-about")]
    assert (await get(roster, task["id"]))["version"] == 2
    other = await bulk(*operations[:1], mode="partial", **key)
    assert told(other) == (422, [("Idempotency-Key", "IDEMPOTENCY_KEY_REUSED", None)])


@pytest.mark.parametrize("lost", ["workspace", "project"])
async def test_e7_who_has_lost_sight_gets_no_first_answer(roster, bulk, lost):
    task = await roster.task()
    key = {"idempotency-key": str(uuid7())}
    asked = [patch(task["id"], title="b"), patch(str(uuid7()), title="b")]
    assert (await bulk(*asked, who="member", mode="partial", **key)).status_code == 207
    if lost == "workspace":
        await roster.ok("owner", "DELETE", f"/workspaces/{roster.workspace_id}/members/{roster.id('member')}")
    else:
        await roster.ok("owner", "PATCH", f"/projects/{roster.project_id}", {"visibility": "private"})
    assert told(await bulk(*asked, who="member", mode="partial", **key)) == (404, [(None, "NOT_FOUND", None)])


async def test_h5_a_batch_is_undone_at_once(roster, bulk):
    task, other = await roster.task(), await roster.task()
    before = [await get(roster, one["id"]) for one in (task, other)]
    request = {"x-request-id": str(uuid7())}
    answer = await bulk(
        patch(task["id"], title="b", priority="high"),
        {"op": "complete", "id": task["id"]},
        {"op": "delete", "id": other["id"]},
        new(roster, temp_id="t1"),
        new(roster, parent_id="t1"),
        **request,
    )
    assert answer.status_code == 200
    await roster.ok("owner", "POST", f"/operations/{request['x-request-id']}/undo")
    after = [await get(roster, one["id"]) for one in (task, other)]
    left = {"version", "updated_at"}
    assert [{k: v for k, v in one.items() if k not in left} for one in after] == [
        {k: v for k, v in one.items() if k not in left} for one in before
    ]
    made = answer.json()["data"][3:]
    assert [(await roster.ask("owner", "GET", f"/tasks/{one['id']}")).status_code for one in made] == [404, 404]
