"""What a body names and is not there, or is hidden, is told all at once (R28)."""

import itertools

import pytest
from chassis.ids import uuid7
from testkit.statements import statements_seen

FIELDS = {
    "status": ("status", "STATUS_NOT_FOUND"),
    "category_id": ("category_id", "CATEGORY_NOT_FOUND"),
    "labels": ("labels.1", "LABEL_NOT_FOUND"),
    "parent_id": ("parent_id", "PARENT_NOT_FOUND"),
    "assignees": ("assignees.1", "ASSIGNEE_NO_ACCESS"),
}


def told(answer):
    return answer.status_code, {(one.get("field"), one["code"]) for one in answer.json()["errors"]}


@pytest.fixture
async def names(roster, api, test_gateway):
    """Bodies that name what is of somebody else, what is nowhere, and what is there."""
    other = test_gateway.headers(uuid7())

    async def made(path, **body):
        return (await api.post(f"/api/v1{path}", json=body, headers=other)).json()["data"]["id"]

    here = {"workspace_id": str(roster.workspace_id)}
    label = await roster.ok("owner", "POST", "/labels", {"name": "l", **here})
    category = await roster.ok("owner", "POST", "/categories", {"name": "c", **here})
    hidden = {
        "status": "nowhere",
        "category_id": await made("/categories", name="c"),
        "labels": [label["id"], await made("/labels", name="l")],
        "parent_id": await made("/tasks", title="a"),
        "assignees": roster.several("owner", "stranger"),
    }
    absent = {
        "status": "nowhere",
        "category_id": str(uuid7()),
        "labels": [label["id"], str(uuid7())],
        "parent_id": str(uuid7()),
        "assignees": [roster.id("owner"), str(uuid7())],
    }
    there = {
        "status": "in_progress",
        "category_id": category["id"],
        "labels": [label["id"]],
        "parent_id": (await roster.task())["id"],
        "assignees": roster.several("owner", "editor"),
    }
    return {"hidden": hidden, "absent": absent, "there": there}


@pytest.fixture
async def writes(roster):
    """The operations that take a body with references, each for a task of its own."""
    task = await roster.task()
    new = {"title": "a", "project_id": str(roster.project_id)}
    return {
        "POST": ("/tasks", new),
        "PATCH": (f"/tasks/{task['id']}", {}),
        "PUT": ("/tasks/by-external/jira/1", new),
    }


@pytest.mark.parametrize("method", ["POST", "PATCH", "PUT"])
async def test_r28_every_reference_that_leads_nowhere_is_told(roster, names, writes, method):
    """All of them, each alone, and each two, whatever is looked at first; what is there is not told."""
    path, body = writes[method]
    known = FIELDS if method != "PUT" else {name: told for name, told in FIELDS.items() if name != "assignees"}
    for wrong in [tuple(known), *((one,) for one in known), *itertools.combinations(known, 2)]:
        named = {name: names["absent" if name in wrong else "there"][name] for name in known}
        answer = await roster.ask("owner", method, path, {**body, **named})
        assert told(answer) == (422, {FIELDS[name] for name in wrong}), wrong
        assert len(answer.json()["errors"]) == len(wrong)
    assert (await roster.ask("owner", method, path, {**body, **names["there"]})).status_code < 300


@pytest.mark.parametrize("method", ["POST", "PATCH", "PUT"])
async def test_r28_what_is_hidden_is_told_as_what_is_absent(roster, names, writes, method):
    path, body = writes[method]
    headers = {"x-request-id": "the-same"}
    hidden, absent = [
        await roster.ask("owner", method, path, {**body, **names[kind]}, **headers) for kind in ("hidden", "absent")
    ]
    assert hidden.status_code == 422
    assert hidden.content == absent.content


async def test_r28_who_sees_a_task_by_a_share_is_not_told_of(roster, names, writes):
    path, _ = writes["PATCH"]
    await roster.ok("owner", "PUT", f"{path}/shares/{roster.id('guest')}", {"role": "viewer"})
    wanted = {"status": "nowhere", "assignees": roster.several("guest", "stranger")}
    answer = await roster.ask("owner", "PATCH", path, wanted)
    assert told(answer) == (422, {("status", "STATUS_NOT_FOUND"), ("assignees.1", "ASSIGNEE_NO_ACCESS")})
    one = {"status": "nowhere", "assigned_to": roster.id("stranger")}
    answer = await roster.ask("owner", "PATCH", path, one)
    assert told(answer) == (422, {("status", "STATUS_NOT_FOUND"), ("assigned_to", "ASSIGNEE_NO_ACCESS")})


async def test_r28_each_kind_is_looked_at_once(roster, names, writes, database):
    path, body = writes["POST"]
    with statements_seen(database.writer) as seen:
        await roster.ask("owner", "POST", path, {**body, **names["absent"]})
    selects = [one for one in seen if one.lstrip().startswith("SELECT")]
    assert len(selects) == len(set(selects))
