"""What is wrong with a request is told at once, and what only looks right is refused (R28, R30, R31)."""

import pytest
from chassis.ids import uuid7

TASKS = "/api/v1/tasks"


@pytest.fixture
def mine(test_gateway):
    return test_gateway.headers(uuid7())


def told(answer):
    return answer.status_code, [(one.get("field"), one["code"]) for one in answer.json()["errors"]]


PARAMETERS_WRONG = [("include", "NOT_ALLOWED"), ("page", "TOO_SMALL"), ("per_page", "TOO_SMALL")]
# What filters is read once it is known that there are such parameters.
FILTER_WRONG = [(field, "VALUE_NOT_ALLOWED") for field in ("parent_id", "priority", "status")]


@pytest.mark.parametrize("more", ["", "&zz=1"])
async def test_r28_all_that_is_wrong_with_the_parameters_of_a_list(api, mine, more):
    query = "status=Bad&status=Worse&priority=bad&per_page=0&page=0&parent_id=x&include=zz"
    status, errors = told(await api.get(f"{TASKS}?{query}{more}", headers=mine))
    others = [("zz", "UNKNOWN_PARAMETER")] if more else FILTER_WRONG
    assert (status, sorted(errors)) == (422, sorted(PARAMETERS_WRONG + others))


async def test_r28_an_unknown_parameter_hides_no_others_and_no_body(api, mine):
    listed = told(await api.get(f"{TASKS}?foo=1&per_page=1000&page=0", headers=mine))
    assert listed == (422, [("foo", "UNKNOWN_PARAMETER"), ("page", "TOO_SMALL"), ("per_page", "TOO_LARGE")])
    made = told(await api.post(f"{TASKS}?foo=1", json={"zz": 1}, headers=mine))
    assert made == (422, [("foo", "UNKNOWN_PARAMETER"), ("title", "REQUIRED"), ("zz", "UNKNOWN_FIELD")])


async def test_r31_lists_are_joined_by_commas_or_repeated(api, mine):
    for title, status in (("a", "todo"), ("b", "in_progress"), ("c", "done")):
        made = await api.post(TASKS, json={"title": title, "status": status}, headers=mine)
        assert made.status_code == 201
    for query in (
        "status=todo,done",
        "status=todo&status=done",
        "status=todo,done&status=done&priority=none,high",
        "status_category=todo,done",
    ):
        answer = await api.get(f"{TASKS}?{query}", headers=mine)
        assert [task["title"] for task in answer.json()["data"]] == ["c", "a"]


@pytest.mark.parametrize("text", ["1", "yes", "True", "on", "2", ""])
async def test_r30_a_task_is_purged_for_true_alone(api, mine, text):
    task = (await api.post(TASKS, json={"title": "a"}, headers=mine)).json()["data"]
    path = f"{TASKS}/{task['id']}"
    refused = await api.delete(f"{path}?permanent={text}", headers=mine)
    assert told(refused) == (422, [("permanent", "WRONG_TYPE")])
    assert (await api.get(path, headers=mine)).status_code == 200
    assert (await api.delete(f"{path}?permanent=true", headers=mine)).status_code == 200
    assert (await api.get(path, headers=mine)).status_code == 404


async def test_a_copy_needs_no_body(api, mine):
    task = (await api.post(TASKS, json={"title": "a"}, headers=mine)).json()["data"]
    copied = await api.post(f"{TASKS}/{task['id']}/duplicate", headers=mine)
    assert (copied.status_code, copied.json()["data"]["title"]) == (201, "a")
    unchanged = await api.patch(f"{TASKS}/{task['id']}", headers=mine)
    assert (unchanged.status_code, unchanged.json()["data"]["version"]) == (200, 1)


@pytest.mark.parametrize(
    ("method", "path", "field", "values"),
    [
        ("POST", TASKS, "estimate_minutes", ["5", True, 7.0, 1e2]),
        ("POST", TASKS, "reopen_on_assign", ["true", 1, 0]),
        ("PATCH", f"{TASKS}/{{task}}", "estimate_minutes", ["5", True, 7.0]),
        ("PATCH", f"{TASKS}/{{task}}", "reopen_on_assign", ["true", 1]),
        ("POST", f"{TASKS}/{{task}}/duplicate", "with_status", [1, "true"]),
        ("POST", f"{TASKS}/{{task}}/move", "drop_unmapped_labels", ["true", 1]),
        ("PATCH", "/api/v1/workspaces/{workspace}", "require_if_match", ["false", 0]),
        ("POST", "/api/v1/labels", "personal", ["true", 1]),
    ],
)
async def test_r30_a_body_has_numbers_and_flags_as_json_has_them(api, mine, method, path, field, values):
    task = (await api.post(TASKS, json={"title": "a"}, headers=mine)).json()["data"]
    there = path.format(task=task["id"], workspace=task["workspace_id"])
    for value in values:
        answer = await api.request(method, there, json={field: value}, headers=mine)
        assert (field, "WRONG_TYPE") in told(answer)[1], value
        assert answer.status_code == 422


async def test_r30_what_a_workspace_shows_and_nobody_sets_is_read_only(api, mine):
    task = (await api.post(TASKS, json={"title": "a"}, headers=mine)).json()["data"]
    path = f"/api/v1/workspaces/{task['workspace_id']}"
    shown = (await api.get(path, headers=mine)).json()["data"]
    answer = await api.patch(path, json=shown, headers=mine)
    read_only = shown.keys() - {"name", "require_if_match"}
    assert {"id", "version", "created_at", "role"} <= read_only
    assert (answer.status_code, dict(told(answer)[1])) == (422, dict.fromkeys(read_only, "READ_ONLY_FIELD"))
    made = await api.post("/api/v1/workspaces", json={"name": "a", "id": "x", "version": 1, "zz": 1}, headers=mine)
    assert told(made)[1] == [("id", "READ_ONLY_FIELD"), ("version", "READ_ONLY_FIELD"), ("zz", "UNKNOWN_FIELD")]


@pytest.mark.parametrize("namespace", ["A", "m", "Bad%20Ns", "n" * 65, "-a"])
async def test_a_namespace_that_can_not_be_one_is_told_where_it_would_be_made(api, mine, namespace):
    task = (await api.post(TASKS, json={"title": "a"}, headers=mine)).json()["data"]
    path = f"{TASKS}/{task['id']}/metadata/{namespace}"
    assert told(await api.put(path, json={"a": 1}, headers=mine)) == (422, [("namespace", "INVALID_FORMAT")])
    for method in ("GET", "DELETE"):
        assert (await api.request(method, path, headers=mine)).status_code == 404
    hidden = await api.put(f"{TASKS}/{uuid7()}/metadata/{namespace}", json={"a": 1}, headers=mine)
    assert told(hidden) == (404, [(None, "NOT_FOUND")])


async def test_an_external_id_that_can_not_be_one_is_told_where_it_would_be_made(api, mine):
    for source, one, wrong in (
        ("jira", "x" * 300, [("external_id", "INVALID_FORMAT")]),
        ("a%20b", "1", [("source", "INVALID_FORMAT")]),
        ("a%20b", "x" * 300, [("source", "INVALID_FORMAT"), ("external_id", "INVALID_FORMAT")]),
    ):
        path = f"{TASKS}/by-external/{source}/{one}"
        assert told(await api.put(path, json={"title": "a"}, headers=mine)) == (422, wrong)
        assert (await api.get(path, headers=mine)).status_code == 404
