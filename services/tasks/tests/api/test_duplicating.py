"""Copies of tasks (B14): what is copied, what is not, and when and whose the copies are."""

import pytest
from chassis.ids import uuid7
from testkit.statements import statements_seen

ALL = ["description", "labels", "assignees", "checklist", "subtasks", "relations"]


@pytest.fixture
async def team(roster):
    return roster


@pytest.fixture
def project(team):
    async def make(name="Q", **fields):
        body = {"name": name, "workspace_id": str(team.workspace_id), **fields}
        return await team.ok("owner", "POST", "/projects", body)

    return make


@pytest.fixture
def copy(team):
    async def copy(task, who="owner", headers=None, **body):
        return await team.ask(who, "POST", f"/tasks/{task['id']}/duplicate", body, **(headers or {}))

    return copy


@pytest.fixture
def below(team):
    async def below(task):
        query = f"/tasks?project_id={task['project_id']}&parent_id={task['id']}&per_page=100"
        found = await team.ok("owner", "GET", query)
        return sorted(found, key=lambda one: one["position"])

    return below


def codes(answer):
    return answer.status_code, [one["code"] for one in answer.json()["errors"]]


async def test_b14_a_copy_has_what_the_task_says_and_is_of_who_asks(team, copy):
    label = await team.ok("owner", "POST", "/labels", {"name": "l", "workspace_id": str(team.workspace_id)})
    category = await team.ok("owner", "POST", "/categories", {"name": "c", "workspace_id": str(team.workspace_id)})
    said = {
        "title": "a",
        "description": "d",
        "priority": "high",
        "category_id": category["id"],
        "labels": [label["id"]],
        "start": "2026-12-01",
        "deadline": "2026-12-09",
        "estimate_minutes": 5,
        "completion_policy": "all",
        "reopen_on_assign": True,
        "custom": {"a": [1]},
        "assignees": team.several("member", "owner"),
    }
    task = await team.task(**said, status="in_progress", external_source="jira", external_id="1")
    answer = await copy(task, who="member")
    made = answer.json()["data"]
    assert (answer.status_code, answer.headers["location"]) == (201, f"/api/v1/tasks/{made['id']}")
    assert {name: made[name] for name in said} == said
    assert (made["version"], made["created_by"], made["status"]) == (1, team.id("member"), "todo")
    assert (made["external_source"], made["external_id"], made["assigned_to"]) == (None, None, team.id("member"))
    assert (made["id"] != task["id"], made["key"] != task["key"], "warnings" in answer.json()["meta"]) == (
        True,
        True,
        False,
    )
    assert await team.ok("owner", "GET", f"/tasks/{made['id']}") == made
    assert len(await team.ok("owner", "GET", f"/tasks/{made['id']}/assignees")) == 2
    watching = await team.ok("owner", "GET", f"/tasks/{made['id']}/watchers")
    assert {one["user_id"]: one["reason"] for one in watching} == {
        team.id("member"): "created",
        team.id("owner"): "assigned",
    }


async def test_b14_what_is_not_named_is_not_copied(team, copy, below):
    task = await team.task(description="d", assignees=team.several("member"))
    await team.task(parent_id=task["id"])
    await team.ok("owner", "POST", f"/tasks/{task['id']}/checklist", {"text": "a"})
    await team.ok("owner", "POST", f"/tasks/{task['id']}/comments", {"body": "c"})
    await team.ok("owner", "PUT", f"/tasks/{task['id']}/star")
    made = (await copy(task, include=[], title="b", with_status=True)).json()["data"]
    assert (made["title"], made["description"], made["assignees"], await below(made)) == ("b", None, [], [])
    for path in ("checklist", "comments", "assignees"):
        assert await team.ok("owner", "GET", f"/tasks/{made['id']}/{path}") == []
    assert (await team.ok("owner", "GET", f"/tasks/{made['id']}?include=starred"))["is_starred"] is False
    refused = await copy(task, include=["attachments"])
    assert refused.status_code == 422
    assert refused.json()["errors"][0]["allowed"] == ALL


async def test_b14_subtasks_are_copied_with_one_event_each_and_progress_is_right(team, copy, below):
    top = await team.task(title="top")
    root = await team.task(title="root", parent_id=top["id"])
    middle = await team.task(title="middle", parent_id=root["id"], status="done")
    leaf = await team.task(title="leaf", parent_id=middle["id"], status="cancelled")
    await team.task(title="other", parent_id=middle["id"])
    gone = await team.task(title="gone", parent_id=root["id"])
    await team.ok("owner", "DELETE", f"/tasks/{gone['id']}")
    before = len(await team.log())
    made = (await copy(root, with_status=True)).json()["data"]
    log = await team.log_after(before)
    assert [kind for kind, _, _ in log].count("task.created.v1") == 4
    assert [changes for kind, changes, _ in log if kind == "task.updated.v1"] == [
        {"progress": ({"done": 0, "total": 1}, {"done": 0, "total": 2})}
    ]
    assert (made["parent_id"], made["progress"]) == (top["id"], {"done": 1, "total": 1})
    [one] = await below(made)
    assert (one["title"], one["status"], one["progress"], one["version"]) == (
        "middle",
        "done",
        {"done": 0, "total": 1},
        1,
    )
    assert {(two["title"], two["status"]) for two in await below(one)} == {("leaf", "cancelled"), ("other", "todo")}
    assert leaf["id"] not in {two["id"] for two in await below(one)}
    plain = (await copy(root)).json()["data"]
    assert plain["progress"] == {"done": 0, "total": 1}


async def test_b14_a_copy_in_another_project_has_its_statuses_and_no_parent(team, project, copy):
    there = await project(prefix="ROAD")
    body = {"name": "doing", "key": "doing", "category": "in_progress"}
    await team.ok("owner", "POST", f"/projects/{team.project_id}/statuses", body)
    top = await team.task()
    task = await team.task(parent_id=top["id"], status="doing")
    made = (await copy(task, project_id=there["id"], with_status=True)).json()["data"]
    assert (made["key"], made["parent_id"], made["status"]) == ("ROAD-1", None, "in_progress")
    done = await copy(await team.task(status="done"), who="member", project_id=there["id"], with_status=True)
    assert (done.json()["data"]["status"], done.json()["data"]["completed_by"]) == ("done", team.id("member"))


async def test_b14_dates_are_later_by_whole_days_at_the_same_time_of_the_day(team, copy, below):
    at = {"at": "2026-10-24T07:00:00Z", "timezone": "Europe/Berlin"}
    root = await team.task(start="2026-10-20", due=at, deadline="2026-10-30")
    for due in ("2026-10-24", {"local": "2026-10-24T09:00:00"}):
        await team.task(parent_id=root["id"], due=due)
    await team.ok("owner", "POST", f"/tasks/{root['id']}/checklist", {"text": "a", "due_date": "2026-10-24"})
    made = (await copy(root, shift_dates="P2D")).json()["data"]
    assert (made["start"], made["deadline"]) == ("2026-10-22", "2026-11-01")
    assert (made["due"]["at"], made["due"]["local"]) == ("2026-10-26T08:00:00Z", "2026-10-26T09:00:00")
    first, second = await below(made)
    dues = {one["due"]["kind"]: one["due"] for one in (first, second)}
    assert (dues["date"]["date"], dues["local"]["local"]) == ("2026-10-26", "2026-10-26T09:00:00")
    [item] = await team.ok("owner", "GET", f"/tasks/{made['id']}/checklist")
    assert item["due_date"] == "2026-10-26"
    assert (await copy(root, shift_dates="-P1W")).json()["data"]["start"] == "2026-10-13"
    assert (await copy(root)).json()["data"]["due"] == root["due"]
    assert codes(await copy(root, shift_dates="P5000W")) == (422, ["DATES_OUT_OF_RANGE"])
    for wrong in ("P1M", "PT1H", "7", "P1D2W", ""):
        assert (await copy(root, shift_dates=wrong)).status_code == 422


async def test_b14_a_checklist_is_copied_open_unless_statuses_are_wanted(team, copy):
    task = await team.task()
    for text, done in (("a", True), ("b", False)):
        body = {"text": text, "done": done, "assignee_id": team.id("member")}
        await team.ok("owner", "POST", f"/tasks/{task['id']}/checklist", body)
    for with_status, expected in ((False, [("a", False), ("b", False)]), (True, [("a", True), ("b", False)])):
        made = (await copy(task, with_status=with_status)).json()["data"]
        items = await team.ok("owner", "GET", f"/tasks/{made['id']}/checklist")
        assert [(one["text"], one["done"]) for one in items] == expected
        assert {one["assignee_id"] for one in items} == {team.id("member")}
        assert {one["task_id"] for one in items} == {made["id"]}


async def test_b14_assignees_who_do_not_see_the_copy_are_dropped_and_named(team, project, copy):
    there = await project(visibility="private")
    task = await team.task(assignees=team.several("member", "owner"))
    await team.ok("owner", "POST", f"/tasks/{task['id']}/checklist", {"text": "a", "assignee_id": team.id("member")})
    answer = await copy(task, project_id=there["id"])
    assert answer.json()["data"]["assignees"] == team.several("owner")
    [warning] = answer.json()["meta"]["warnings"]
    assert (warning["code"], warning["task_id"], warning["user_ids"]) == (
        "ASSIGNEE_DROPPED",
        task["id"],
        team.several("member"),
    )
    [item] = await team.ok("owner", "GET", f"/tasks/{answer.json()['data']['id']}/checklist")
    assert item["assignee_id"] is None
    without = await copy(task, project_id=there["id"], include=["checklist"])
    assert ("warnings" in without.json()["meta"], without.json()["data"]["assignees"]) == (False, [])


async def test_b14_relations_are_between_copies_and_to_what_is_seen(team, project, copy, below):
    hidden = await project(visibility="private")
    root, other = await team.task(title="root"), await team.task(title="other")
    child = await team.task(title="child", parent_id=root["id"])
    secret = await team.task(title="secret", project_id=hidden["id"])
    for first, kind, second in (
        (other, "blocks", root),
        (root, "relates_to", child),
        (child, "precedes", other),
        (secret, "blocks", root),
    ):
        body = {"type": kind, "task_id": second["id"]}
        await team.ok("owner", "POST", f"/tasks/{first['id']}/relations", body)
    before = len(await team.log())
    made = (await copy(root, who="member", include=ALL)).json()["data"]
    [one] = await below(made)
    found = await team.ok("owner", "GET", f"/tasks/{made['id']}/relations")
    assert {(each["type"], each["task"]["id"]) for each in found} == {
        ("blocked_by", other["id"]),
        ("relates_to", one["id"]),
    }
    found = await team.ok("owner", "GET", f"/tasks/{one['id']}/relations")
    assert {(each["type"], each["task"]["id"]) for each in found} == {
        ("precedes", other["id"]),
        ("relates_to", made["id"]),
    }
    assert [kind for kind, _, _ in await team.log_after(before)].count("relation.created.v1") == 3
    assert await team.ok("owner", "GET", f"/tasks/{(await copy(root)).json()['data']['id']}/relations") == []


async def test_b14_a_project_that_is_hidden_is_answered_as_one_that_is_absent(team, project, copy, test_gateway):
    task, there = await team.task(), await project(visibility="private")
    trace = {"x-request-id": str(uuid7())}
    hidden = await copy(task, who="member", headers=trace, project_id=there["id"])
    absent = await copy(task, who="member", headers=trace, project_id=str(uuid7()))
    assert codes(hidden) == (422, ["PROJECT_NOT_FOUND"])
    assert hidden.content == absent.content
    token = test_gateway.token_headers(team.ids["owner"], "tasks:read", "tasks:write", project_ids=[team.project_id])
    out_of_reach = await copy(task, headers=token | trace, project_id=there["id"])
    assert (out_of_reach.status_code, out_of_reach.content) == (422, absent.content)


async def test_b14_it_needs_to_read_the_one_and_make_tasks_in_the_other(team, project, copy, test_gateway):
    task, there = await team.task(), await project()
    assert codes(await copy(task, who="viewer")) == (403, ["FORBIDDEN"])
    assert codes(await copy(task, who="guest")) == (404, ["NOT_FOUND"])
    await team.ok("owner", "PUT", f"/tasks/{task['id']}/shares/{team.id('guest')}", {"role": "editor"})
    assert codes(await copy(task, who="guest")) == (403, ["FORBIDDEN"])
    writer = test_gateway.token_headers(team.ids["owner"], "tasks:write")
    assert (await copy(task, headers=writer)).status_code == 403
    mine = await team.ok("owner", "POST", "/tasks", {"title": "in the Inbox"})
    assert codes(await copy(task, project_id=mine["project_id"])) == (422, ["ANOTHER_WORKSPACE"])
    await team.ok("owner", "POST", f"/projects/{team.project_id}/archive")
    assert codes(await copy(task)) == (409, ["PROJECT_ARCHIVED"])
    assert (await copy(task, project_id=there["id"])).status_code == 201


async def test_b14_subtasks_that_are_hidden_are_not_copied(team, project, copy, rows, below):
    there = await project()
    root = await team.task()
    await team.task(parent_id=root["id"])
    await rows(
        "INSERT INTO tasks.project_member VALUES (uuidv7(), :w, :p, :u, 'editor', 1, now())",
        w=team.workspace_id,
        p=there["id"],
        u=team.ids["guest"],
    )
    await team.ok("owner", "PUT", f"/tasks/{root['id']}/shares/{team.id('guest')}", {"role": "viewer"})
    answer = await copy(root, who="guest", project_id=there["id"])
    assert (answer.status_code, answer.json()["data"]["progress"]) == (201, {"done": 0, "total": 0})
    assert await below(answer.json()["data"]) == []


async def test_b14_at_most_500_tasks_are_copied_at_once_in_as_many_statements_as_two(team, copy, rows, database):
    root = await team.task(assignees=team.several("member"))
    counts = []
    for size in (1, 499):
        await rows(
            "INSERT INTO tasks.task (id, workspace_id, project_id, title, status, priority, parent_id, created_by,"
            " version, created_at, updated_at, assignees, assigned_to) SELECT uuidv7(), workspace_id, project_id, 's',"
            " status, priority, id, created_by, 1, now(), now(), assignees, assigned_to FROM tasks.task,"
            " generate_series(1, :size) WHERE id = :id",
            id=root["id"],
            size=size - len(counts),
        )
        with statements_seen(database.writer) as seen:
            answer = await copy(root, include=ALL)
        assert (answer.status_code, answer.json()["data"]["progress"]) == (201, {"done": 0, "total": size})
        counts.append(len(seen))
    assert counts[0] == counts[1]
    await team.task(parent_id=root["id"])
    assert codes(await copy(root)) == (422, ["TREE_TOO_LARGE"])
    assert (await copy(root, include=[])).status_code == 201
