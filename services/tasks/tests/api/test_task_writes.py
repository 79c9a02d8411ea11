"""Changing tasks (B1, B2): what a patch and a replacement touch, and what happens to changes that meet."""

import asyncio
import re

import pytest
from tasks_service.tasks.schemas import TaskReplacement
from testkit.statements import statements_seen

LOG = "SELECT type, version, changes FROM tasks.change WHERE entity_id = :id ORDER BY seq"


@pytest.fixture
async def owner(api, user):
    headers = user()
    answer = await api.post("/api/v1/tasks", json={"title": "a", "description": "d"}, headers=headers)
    return headers, answer.json()["data"]


def path_of(task):
    return f"/api/v1/tasks/{task['id']}"


def whole(task, **changed):
    return {name: task[name] for name in TaskReplacement.model_fields} | changed


def problems(answer):
    return {one["field"]: (one["code"], one.get("hint")) for one in answer.json()["errors"]}


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH"])
async def test_b1_what_is_shown_and_never_set_is_read_only_and_a_slip_gets_a_hint(api, owner, rows, method):
    headers, task = owner
    shown = {"id", "key", "workspace_id", "version", "created_by", "created_at", "updated_at", "completed_at"}
    shown |= {"status_category", "completed_by", "progress", "position", "deleted_at"}
    body = {**whole(task), **{name: task[name] for name in shown}, "titel": "x", "nonsense": 1}
    path = "/api/v1/tasks" if method == "POST" else path_of(task)
    answer = await api.request(method, path, json=body, headers={**headers, "if-match": "*"})
    assert answer.status_code == 422
    assert problems(answer) == {
        **dict.fromkeys(shown, ("READ_ONLY_FIELD", None)),
        "titel": ("UNKNOWN_FIELD", "did you mean title?"),
        "nonsense": ("UNKNOWN_FIELD", None),
    }
    assert len(await rows(LOG, id=task["id"])) == 1


async def test_b1_a_replacement_names_every_field_that_it_lacks(api, owner):
    headers, task = owner
    answer = await api.put(path_of(task), json={"title": "b"}, headers={**headers, "if-match": '"1"'})
    assert answer.status_code == 422
    assert problems(answer) == dict.fromkeys(set(TaskReplacement.model_fields) - {"title"}, ("REQUIRED", None))


async def test_b1_a_replacement_sets_everything_and_clears_what_is_null(api, owner, rows):
    headers, task = owner
    body = whole(task, title="b", description=None, due="2026-12-01", priority="high")
    answer = await api.put(path_of(task), json=body, headers={**headers, "if-match": '"1"'})
    assert (answer.status_code, answer.headers["etag"]) == (200, '"2"')
    due = {"kind": "date", "date": "2026-12-01", "at": None, "timezone": None, "local": None}
    after = answer.json()["data"]
    assert after == {
        **task,
        "title": "b",
        "description": None,
        "due": due,
        "priority": "high",
        "version": 2,
        "updated_at": after["updated_at"],
    }
    again = await api.put(path_of(task), json=body, headers={**headers, "if-match": '"2"'})
    assert (again.status_code, again.headers["etag"]) == (200, '"2"')
    _, updated = await rows(LOG, id=task["id"])
    assert (updated[0], [one["field"] for one in updated[2]]) == (
        "task.updated.v1",
        ["title", "description", "priority", "due"],
    )


async def test_b1_a_replacement_says_what_it_replaces(api, owner):
    headers, task = owner
    missing = await api.put(path_of(task), json=whole(task), headers=headers)
    assert (missing.status_code, missing.json()["errors"][0]["code"]) == (428, "IF_MATCH_REQUIRED")
    whatever = await api.put(path_of(task), json=whole(task, title="b"), headers={**headers, "if-match": "*"})
    assert (whatever.status_code, whatever.json()["data"]["title"]) == (200, "b")
    stale = await api.put(path_of(task), json=whole(task, title="c"), headers={**headers, "if-match": '"1"'})
    assert (stale.status_code, problems(stale)) == (412, {"title": ("VERSION_CONFLICT", None)})
    assert stale.json()["data"]["current"]["title"] == "b"


async def test_b2_a_stale_patch_passes_when_it_merges_and_others_changed_other_fields(api, owner):
    headers, task = owner
    stale = {**headers, "if-match": '"1"'}
    await api.patch(path_of(task), json={"title": "b", "due": "2026-12-01"}, headers=headers)
    refused = await api.patch(path_of(task), json={"description": "e"}, headers=stale)
    assert refused.status_code == 412
    assert set(problems(refused)) == {"title", "due"}
    assert refused.json()["data"]["current"]["version"] == 2
    path = f"{path_of(task)}?merge=fields"
    overlapping = await api.patch(path, json={"description": "e", "due": None}, headers=stale)
    assert (overlapping.status_code, set(problems(overlapping))) == (412, {"due"})
    merged = await api.patch(path, json={"description": "e"}, headers=stale)
    assert (merged.status_code, merged.headers["etag"]) == (200, '"3"')
    shown = (await api.get(path_of(task), headers=headers)).json()["data"]
    assert (shown["title"], shown["description"], shown["due"]["date"]) == ("b", "e", "2026-12-01")


@pytest.mark.parametrize("method", ["PATCH", "PUT", "DELETE"])
async def test_b2_a_workspace_may_ask_for_if_match(api, owner, rows, method):
    headers, task = owner
    await rows("UPDATE tasks.workspace SET require_if_match = true WHERE id = :id", id=task["workspace_id"])
    body = {"PATCH": {"title": "b"}, "PUT": whole(task, title="b"), "DELETE": None}[method]
    refused = await api.request(method, path_of(task), json=body, headers=headers)
    assert (refused.status_code, refused.json()["errors"][0]["code"]) == (428, "IF_MATCH_REQUIRED")
    assert len(await rows(LOG, id=task["id"])) == 1
    passed = await api.request(method, path_of(task), json=body, headers={**headers, "if-match": '"1"'})
    assert (passed.status_code, passed.json()["data"]["version"]) == (200, 2)


async def test_b2_fifty_patches_of_different_fields_lose_nothing(api, patient_api, owner, rows):
    headers, task = owner
    fields = {
        "title": "t",
        "description": "e",
        "priority": "high",
        "start": "2026-11-01",
        "due": "2026-12-01",
        "deadline": "2026-12-31",
        "estimate_minutes": 5,
        "custom": {"a": 1},
        "status": "in_progress",
        "reopen_on_assign": True,
    }
    names = [*fields] * 5
    answers = await asyncio.gather(
        *(patient_api.patch(path_of(task), json={name: fields[name]}, headers=headers) for name in names)
    )
    assert [answer.status_code for answer in answers] == [200] * 50
    after = (await api.get(path_of(task), headers=headers)).json()["data"]
    assert after["due"]["date"] == fields.pop("due")
    assert {name: after[name] for name in fields} == fields
    assert after["version"] == 11
    log = await rows(LOG, id=task["id"])
    assert [version for _, version, _ in log] == list(range(1, 12))
    assert sorted(change["field"] for _, _, changes in log[1:] for change in changes) == sorted(
        [*fields, "due", "status_category"]
    )


async def test_b1_custom_is_merged_at_all_levels_by_patch_and_set_by_put(roster):
    task = await roster.task(custom={"a": 1, "b": {"c": 1}})
    path = f"/tasks/{task['id']}"
    steps = [
        ({"b": {"d": 2}}, {"a": 1, "b": {"c": 1, "d": 2}}),
        ({"a": None, "b": {"c": None}}, {"b": {"d": 2}}),
        ({"b": [1, None]}, {"b": [1, None]}),
        ({"b": {"e": {"f": None}}}, {"b": {"e": {}}}),
        ({"x": None}, {"b": {"e": {}}}),
        ({}, {"b": {"e": {}}}),
        (None, {}),
    ]
    versions = []
    for patch, after in steps:
        changed = await roster.ok("owner", "PATCH", path, {"custom": patch})
        assert changed["custom"] == after, patch
        versions.append(changed["version"])
    assert versions == [2, 3, 4, 5, 5, 5, 6]
    body = whole(changed, custom={"a": None, "b": {"c": None}})
    put = await roster.ask("owner", "PUT", path, body, **{"if-match": "*"})
    assert put.json()["data"]["custom"] == {"a": None, "b": {"c": None}}


async def test_b1_twenty_apps_keep_their_values_in_custom_at_once(patient_api, owner):
    headers, task = owner
    names = [f"app{number}" for number in range(20)]
    answers = await asyncio.gather(
        *(patient_api.patch(path_of(task), json={"custom": {name: {"n": 1}}}, headers=headers) for name in names)
    )
    assert [answer.status_code for answer in answers] == [200] * 20
    after = (await patient_api.get(path_of(task), headers=headers)).json()["data"]
    assert (after["custom"], after["version"]) == ({name: {"n": 1} for name in names}, 21)


async def test_b1_custom_has_its_size_after_the_merge(roster):
    task = await roster.task(custom={"a": "x" * 5000})
    path = f"/tasks/{task['id']}"
    answer = await roster.ask("owner", "PATCH", path, {"custom": {"b": "y" * 5000}})
    assert answer.status_code == 422
    assert [(one["field"], one["code"]) for one in answer.json()["errors"]] == [("custom", "TOO_LONG")]
    assert (await roster.ok("owner", "PATCH", path, {"custom": {"a": None, "b": "y" * 5000}}))["version"] == 2


async def test_n5_one_and_true_are_different_values_of_custom(roster):
    task = await roster.task(custom={"a": 1})
    path = f"/tasks/{task['id']}"
    for version, value in enumerate((True, {"b": 0}, {"b": False}), start=2):
        changed = await roster.ok("owner", "PATCH", path, {"custom": {"a": value}})
        assert changed["version"] == version
        assert changed["custom"]["a"] == value
        assert type(changed["custom"]["a"]) is type(value)
    equal = await roster.ok("owner", "PATCH", path, {"custom": {"a": {"b": False}}})
    assert equal["version"] == 4
    told = [changes for kind, changes, _ in await roster.log() if kind == "task.updated.v1"]
    assert str([one["custom"] for one in told]) == str(
        [({"a": 1}, {"a": True}), ({"a": True}, {"a": {"b": 0}}), ({"a": {"b": 0}}, {"a": {"b": False}})]
    )
    reverted = await roster.ok("owner", "POST", f"{path}/revert", {"to_version": 3})
    assert reverted["custom"]["a"]["b"] is not False


async def test_n5_a_task_that_is_done_completes_nothing_below_it_by_another_status_of_done(roster):
    await roster.ok("owner", "POST", f"/projects/{roster.project_id}/statuses", {"name": "Shipped", "category": "done"})
    task = await roster.task()
    child = await roster.task(parent_id=task["id"])
    path = f"/tasks/{task['id']}"
    await roster.ok("owner", "PATCH", f"{path}?children=leave", {"status": "done"})
    shipped = await roster.ok("owner", "PATCH", f"{path}?children=complete", {"status": "shipped"})
    assert shipped["progress"] == {"done": 0, "total": 1}
    assert (await roster.ok("owner", "GET", f"/tasks/{child['id']}"))["status"] == "todo"


async def test_the_counter_is_not_held_for_members_whom_no_change_is_for(api, user, database):
    """All writes of a workspace wait for its counter: of a task, only who sees its project and its shares are read."""
    headers = user()
    task = (await api.post("/api/v1/tasks", json={"title": "a"}, headers=headers)).json()["data"]
    with statements_seen(database.writer) as statements:
        # With a key, by a session: what the driver runs itself is the same, and not looked at here.
        by_route = {**headers, "idempotency-key": "one"}
        await api.patch(f"/api/v1/tasks/{task['id']}", json={"title": "b"}, headers=by_route)
    first = next(place for place, one in enumerate(statements) if "UPDATE tasks.change_counter" in one)
    # One statement takes the number and reads the members, with their projects: never all of the workspace.
    assert not [one for one in statements[first + 1 :] if "tasks.member" in one]
    read = set(re.findall(r"(?:FROM|JOIN) tasks\.(\w+)", statements[first]))
    assert read == {"change_counter", "project", "member", "project_member", "task_share"}
    assert "FROM tasks.member" not in statements[first]
    conditions = re.findall(r"JOIN tasks\.member ON \S+ = \S+ \nWHERE (\S+) =", statements[first])
    assert conditions == ["tasks.project.id", "tasks.member.user_id"]
