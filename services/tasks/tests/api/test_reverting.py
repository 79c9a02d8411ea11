"""A task becomes what it was, as a new version (H5)."""

import asyncio

import pytest

OWN = (
    "title",
    "description",
    "status",
    "priority",
    "start",
    "due",
    "deadline",
    "estimate_minutes",
    "completion_policy",
    "reopen_on_assign",
    "custom",
    "category_id",
    "labels",
    "assignees",
)


def own(task):
    return {name: task[name] for name in OWN}


async def patch(roster, task, **fields):
    return await roster.ok("owner", "PATCH", f"/tasks/{task['id']}", fields)


async def revert(roster, task, version, who="owner", query="", **headers):
    return await roster.ask(who, "POST", f"/tasks/{task['id']}/revert{query}", {"to_version": version}, **headers)


async def named(roster, kind, name):
    body = {"name": name, "workspace_id": str(roster.workspace_id)}
    return (await roster.ok("owner", "POST", f"/{kind}", body))["id"]


async def full_task(roster):
    return await roster.task(
        description="words",
        priority="high",
        start="2026-12-01",
        due={"at": "2026-12-02T08:00:00Z", "timezone": "Europe/Berlin"},
        deadline="2026-12-05",
        estimate_minutes=30,
        completion_policy="all",
        reopen_on_assign=True,
        custom={"a": {"b": [1]}},
        category_id=await named(roster, "categories", "c"),
        labels=[await named(roster, "labels", "l"), await named(roster, "labels", "m")],
        assignees=roster.several("member", "admin"),
    )


async def test_h5_everything_that_a_task_says_of_itself_comes_back_as_a_new_version(roster):
    first = await full_task(roster)
    other = await named(roster, "categories", "other")
    await patch(roster, first, title="b", description=None, priority="low", start=None, due="2026-12-03")
    await patch(roster, first, title="c", deadline=None, estimate_minutes=None, completion_policy="any")
    await patch(roster, first, reopen_on_assign=False, custom={}, category_id=other, labels=[], assignees=[])
    await patch(roster, first, status="in_progress")
    count = len(await roster.log())
    answer = await revert(roster, first, 1)
    assert answer.status_code == 200, answer.text
    task = answer.json()["data"]
    assert own(task) == own(first)
    assert (task["version"], answer.headers["etag"]) == (6, '"6"')
    assert "warnings" not in answer.json()["meta"]
    log = await roster.log_after(count)
    assert [kind for kind, _, _ in log] == ["task.updated.v1"]
    assert log[0][1]["title"] == ("c", "a")
    [newest, *_] = await roster.ok("owner", "GET", f"/tasks/{task['id']}/history?field=title")
    assert (newest["reason"], newest["version"]) == ("revert to version 1", 6)


async def test_h5_a_version_in_between_is_what_it_was(roster):
    first = await roster.task()
    changes = (
        {"title": "b"},
        {"due": "2026-12-03"},
        {"title": "c", "due": {"local": "2026-12-04T09:00:00"}},
        {"due": None},
    )
    states = [first, *[await patch(roster, first, **fields) for fields in changes]]
    for state in (states[2], states[0], states[3], states[4], states[1]):
        answer = await revert(roster, first, state["version"])
        assert own(answer.json()["data"]) == own(state)


async def test_h5_what_is_so_already_is_no_change(roster):
    task = await roster.task()
    await patch(roster, task, title="b")
    await patch(roster, task, title="a")
    count = len(await roster.log())
    for version in (1, 3):
        answer = await revert(roster, task, version)
        assert (answer.status_code, answer.json()["data"]["version"]) == (200, 3)
    assert await roster.log_after(count) == []


@pytest.mark.parametrize("version", [0, -1, 3, 2**40])
async def test_h5_a_version_that_never_was_is_named(roster, version):
    task = await roster.task()
    await patch(roster, task, title="b")
    answer = await revert(roster, task, version)
    found = [(one["code"], one["field"]) for one in answer.json()["errors"]]
    assert (answer.status_code, found) == (422, [("VERSION_NOT_FOUND", "to_version")])


async def test_h5_what_is_gone_is_left_out_and_told(roster, rows):
    first = await full_task(roster)
    await patch(roster, first, category_id=None, labels=[], assignees=[], title="b")
    gone = min(first["labels"])
    await roster.ok("owner", "DELETE", f"/labels/{gone}")
    await roster.ok("owner", "DELETE", f"/categories/{first['category_id']}?tasks=clear")
    await rows("DELETE FROM tasks.member WHERE user_id = :u", u=roster.ids["member"])
    answer = await revert(roster, first, 1)
    task = answer.json()["data"]
    assert (task["title"], task["category_id"]) == ("a", None)
    assert task["labels"] == [one for one in first["labels"] if one != gone]
    assert (task["assignees"], task["assigned_to"]) == (roster.several("admin"), roster.id("admin"))
    told = [
        {name: value for name, value in one.items() if name != "message"} for one in answer.json()["meta"]["warnings"]
    ]
    assert told == [
        {"code": "ASSIGNEE_DROPPED", "user_id": roster.id("member")},
        {"code": "CATEGORY_DROPPED", "category_id": first["category_id"]},
        {"code": "LABEL_DROPPED", "label_id": gone},
    ]


async def test_h5_a_status_that_is_gone_is_a_conflict(roster):
    project = f"/projects/{roster.project_id}/statuses"
    made = await roster.ok("owner", "POST", project, {"name": "Waiting", "category": "in_progress"})
    task = await roster.task(status=made["key"])
    await patch(roster, task, status="todo", title="b")
    await roster.ok("owner", "DELETE", f"{project}/{made['id']}")
    count = len(await roster.log())
    answer = await revert(roster, task, 1)
    found = [(one["code"], one["field"]) for one in answer.json()["errors"]]
    assert (answer.status_code, found) == (409, [("REVERT_CONFLICT", "status")])
    assert await roster.log_after(count) == []


async def test_h5_the_status_does_not_follow_assignees_who_come_back(roster):
    """Who is left has done it, which would complete the task were it a change of the assignees alone."""
    task = await roster.task(assignees=roster.several("member"), completion_policy="all")
    await roster.ok("owner", "PATCH", f"/tasks/{task['id']}", {"assignees": roster.several("member", "admin")})
    await roster.ok("member", "PATCH", f"/tasks/{task['id']}/assignees/{roster.id('member')}", {"state": "done"})
    answer = await revert(roster, task, 1)
    assert (answer.json()["data"]["assignees"], answer.json()["data"]["status"]) == (roster.several("member"), "todo")


async def test_h5_rules_of_any_change_hold_for_a_revert(roster):
    task = await roster.task(status="done")
    await patch(roster, task, status="todo")
    await roster.task(parent_id=task["id"])
    answer = await revert(roster, task, 1)
    assert (answer.status_code, answer.json()["errors"][0]["code"]) == (409, "OPEN_SUBTASKS")
    answer = await revert(roster, task, 1, query="?children=leave")
    assert answer.json()["data"]["status"] == "done"


async def test_h5_a_revert_keeps_where_a_task_is(roster):
    parent, other = await roster.task(), await roster.task()
    task = await roster.task()
    await patch(roster, task, parent_id=parent["id"], title="b")
    placed = await roster.ok("owner", "POST", f"/tasks/{task['id']}/position", {"after_id": other["id"]})
    answer = await revert(roster, task, 1)
    reverted = answer.json()["data"]
    assert (reverted["title"], reverted["parent_id"], reverted["position"]) == ("a", parent["id"], placed["position"])


async def test_h5_a_revert_is_for_the_state_in_if_match(roster, rows):
    task = await roster.task()
    await patch(roster, task, title="b")
    stale = await revert(roster, task, 1, **{"if-match": '"1"'})
    assert (stale.status_code, stale.json()["data"]["current"]["version"]) == (412, 2)
    assert (await revert(roster, task, 1, **{"if-match": '"2"'})).status_code == 200
    await rows("UPDATE tasks.workspace SET require_if_match = true WHERE id = :w", w=roster.workspace_id)
    assert (await revert(roster, task, 1)).status_code == 428


async def test_h5_an_archived_project_reverts_nothing(roster):
    task = await roster.task()
    await patch(roster, task, title="b")
    await roster.ok("owner", "POST", f"/projects/{roster.project_id}/archive")
    answer = await revert(roster, task, 1)
    assert (answer.status_code, answer.json()["errors"][0]["code"]) == (409, "PROJECT_ARCHIVED")


async def test_h5_reverts_that_race_with_changes_are_each_whole(roster, patient_api):
    """After all there are as many versions as changes, and the log leads from each state to the next."""
    task = await roster.task()
    await patch(roster, task, title="b", description="b")
    path = f"/api/v1/tasks/{task['id']}"
    headers = roster.gateway.headers(roster.ids["owner"])

    async def change(number):
        if number % 2:
            return await patient_api.post(f"{path}/revert", json={"to_version": 1}, headers=headers)
        body = {"title": f"t{number}", "description": f"d{number}"}
        return await patient_api.patch(path, json=body, headers=headers)

    answers = await asyncio.gather(*(change(number) for number in range(20)))
    assert {one.status_code for one in answers} == {200}
    pairs = {(one.json()["data"]["title"], one.json()["data"]["description"]) for one in answers}
    assert pairs == {("a", None), *((f"t{number}", f"d{number}") for number in range(0, 20, 2))}
    history = await roster.ok("owner", "GET", f"/tasks/{task['id']}/history?field=title&per_page=100")
    states = [
        (change["old"], change["new"])
        for one in reversed(history)
        for change in one["changes"]
        if change["field"] == "title"
    ]
    assert [new for _, new in states[:-1]] == [old for old, _ in states[1:]]
